//! Layers as they come and go: a line for each as Docker has them, and while they are on their way, on a terminal, a bar.
//!
//! ```text
//! latest: Pulling from library/ubuntu
//! 7c3b88808835: Pull complete
//! 58690f9b18fc: Downloading [=======>                ]  12.3MB/28.57MB
//! ```
//! Lines of layers that are done are written in the order of the image, so that they come out the same every time.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_registry::{Event, LayerState, Progress};
use kiln_types::{Digest, Reference};

use super::frame::Frame;
pub(crate) use super::frame::Stream;
use super::problem::Problem;
use super::size;

/// Of a layer's line besides its bar.
const BESIDE_BAR: usize = 48;
const LONGEST_BAR: usize = 50;
/// Shorter ones say less than the numbers behind them.
const SHORTEST_BAR: usize = 8;

/// One image on its way.
pub(crate) struct Transfer {
    stream: Stream,
    told: Mutex<Told>,
}

struct Told {
    frame: Frame,
    /// Written once it is known that there is something to tell.
    heading: Option<String>,
    /// Lines are told elsewhere; here are only bars.
    only_bars: bool,
    /// In the order of the image.
    layers: Vec<Layer>,
    places: HashMap<Digest, usize>,
    /// How many layers' lines were written.
    written: usize,
    /// The first line that could not be written.
    lost: Option<io::Error>,
}

struct Layer {
    /// A title has none.
    id: Option<String>,
    words: String,
    /// Bytes done and in all.
    progress: Option<(u64, u64)>,
    is_over: bool,
}

impl Transfer {
    /// `heading` is written as soon as it is known that there is such an image.
    pub(crate) fn new(stream: Stream, heading: Option<String>) -> Self {
        Self::with(stream, heading, false)
    }

    /// Without lines of what is done.
    pub(crate) fn bars(stream: Stream) -> Self {
        Self::with(stream, None, true)
    }

    /// Among the bars, before those of the layers that follow.
    pub(crate) fn title(&self, text: String) {
        let mut told = self.told();
        told.layers.push(Layer { id: None, words: text, progress: None, is_over: true });
        told.draw(true);
    }

    fn with(stream: Stream, heading: Option<String>, only_bars: bool) -> Self {
        let frame = Frame::new(stream);
        let (layers, places) = (Vec::new(), HashMap::new());
        Self { stream, told: Mutex::new(Told { frame, heading, only_bars, layers, places, written: 0, lost: None }) }
    }

    /// Takes the bars away. Whatever could not be written is an error now.
    pub(crate) fn finish(self) -> io::Result<()> {
        let told = self.told.into_inner().unwrap_or_else(PoisonError::into_inner);
        match told.lost {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The heading, where it was not written yet.
    pub(crate) fn head(&self) {
        let mut told = self.told();
        if let Some(heading) = told.heading.take() {
            told.say(self.stream, &heading);
        }
    }

    fn layer(&self, digest: &Digest, state: LayerState<'_>) {
        let mut told = self.told();
        let place = match told.places.get(digest) {
            Some(&place) => place,
            None => {
                let place = told.layers.len();
                told.places.insert(*digest, place);
                let id = Some(digest.short());
                told.layers.push(Layer { id, words: String::new(), progress: None, is_over: false });
                place
            }
        };
        let layer = &mut told.layers[place];
        if layer.is_over {
            return;
        }
        let words = words(state);
        let is_new = words != layer.words;
        (layer.words, layer.progress, layer.is_over) = (words, progress(state), is_end(state));
        if layer.is_over && !told.only_bars {
            told.write_finished(self.stream);
        }
        told.draw(is_new);
    }
}

impl Told {
    /// Above the bars.
    fn say(&mut self, stream: Stream, line: &str) {
        self.frame.clear();
        if let Err(error) = stream.say(line) {
            self.lost.get_or_insert(error);
        }
    }

    /// The lines whose turn it is.
    fn write_finished(&mut self, stream: Stream) {
        while let Some(layer) = self.layers.get(self.written).filter(|layer| layer.is_over) {
            let line = layer.line(0);
            self.written += 1;
            self.say(stream, &line);
        }
    }

    fn draw(&mut self, urgent: bool) {
        let layers = &self.layers[self.written..];
        self.frame.draw(urgent, |columns| layers.iter().map(|layer| layer.line(columns)).collect());
    }
}

impl Layer {
    fn line(&self, columns: usize) -> String {
        let (done, total) = self.progress.unwrap_or_default();
        match &self.id {
            Some(id) => format!("{id}: {}{}", self.words, bar(done, total, columns)),
            None => self.words.clone(),
        }
    }
}

impl Progress for Transfer {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::From { .. } => self.head(),
            Event::PassedOver { endpoint, error } => {
                let mut problem = Problem::warning(format!("the mirror {endpoint} is passed over"));
                problem.causes.push(error.to_string());
                problem.causes_of(error);
                let mut told = self.told();
                told.frame.clear();
                problem.show();
            }
            Event::Image { .. } => self.head(),
            Event::Layer { layer, state } => {
                self.head();
                self.layer(layer, state);
            }
        }
    }
}

/// `latest: Pulling from library/ubuntu`
pub(crate) fn heading(name: &Reference) -> String {
    let what = match (&name.digest, &name.tag) {
        (None, Some(tag)) => tag.clone(),
        _ => name.to_string(),
    };
    format!("{what}: Pulling from {}", name.repository)
}

pub(crate) fn status(name: &Reference, news: bool) -> String {
    let what = if news { "Downloaded newer image" } else { "Image is up to date" };
    format!("Status: {what} for {}", name.familiar())
}

/// Docker's words, and what it has none for.
pub(crate) fn words(state: LayerState<'_>) -> String {
    match state {
        LayerState::Waiting => "Waiting".to_owned(),
        LayerState::AlreadyExists => "Already exists".to_owned(),
        LayerState::Downloading { .. } => "Downloading".to_owned(),
        LayerState::Verifying { .. } => "Verifying".to_owned(),
        LayerState::PullComplete => "Pull complete".to_owned(),
        LayerState::Retrying { after, .. } => format!("Retrying in {} seconds", after.as_secs().max(1)),
        LayerState::Preparing => "Preparing".to_owned(),
        LayerState::Compressing { .. } => "Compressing".to_owned(),
        LayerState::Pushing { .. } => "Pushing".to_owned(),
        LayerState::MountedFrom { repository } => format!("Mounted from {repository}"),
        LayerState::LayerAlreadyExists => "Layer already exists".to_owned(),
        LayerState::Pushed => "Pushed".to_owned(),
    }
}

pub(crate) fn is_end(state: LayerState<'_>) -> bool {
    match state {
        LayerState::AlreadyExists
        | LayerState::PullComplete
        | LayerState::MountedFrom { .. }
        | LayerState::LayerAlreadyExists
        | LayerState::Pushed => true,
        LayerState::Waiting
        | LayerState::Downloading { .. }
        | LayerState::Verifying { .. }
        | LayerState::Retrying { .. }
        | LayerState::Preparing
        | LayerState::Compressing { .. }
        | LayerState::Pushing { .. } => false,
    }
}

fn progress(state: LayerState<'_>) -> Option<(u64, u64)> {
    match state {
        LayerState::Downloading { done, total }
        | LayerState::Verifying { done, total }
        | LayerState::Compressing { done, total }
        | LayerState::Pushing { done, total } => Some((done, total)),
        _ => None,
    }
}

/// ` [====>     ]  1.2MB/3MB`, as far as there is room.
fn bar(done: u64, total: u64, columns: usize) -> String {
    let mut text = String::new();
    if total == 0 {
        return text;
    }
    let width = columns.saturating_sub(BESIDE_BAR).min(LONGEST_BAR);
    if width >= SHORTEST_BAR {
        let full = (done.min(total) as f64 / total as f64 * width as f64) as usize;
        let head = if full < width { ">" } else { "" };
        let _ = write!(text, " [{}{head}{}]", "=".repeat(full), " ".repeat((width - full).saturating_sub(1)));
    }
    let _ = write!(text, "  {}/{}", size::exact(done), size::exact(total));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_dockers() {
        for (done, columns, expected) in [
            (0, 120, format!(" [>{}]  0B/1kB", " ".repeat(49))),
            (500, 120, format!(" [{}>{}]  500B/1kB", "=".repeat(25), " ".repeat(24))),
            (1000, 120, format!(" [{}]  1kB/1kB", "=".repeat(50))),
            (500, 60, " [======>     ]  500B/1kB".to_owned()),
            (500, 40, "  500B/1kB".to_owned()),
        ] {
            assert_eq!(bar(done, 1000, columns), expected, "{done} {columns}");
        }
        assert_eq!(bar(0, 0, 80), "");
        assert!(bar(u64::MAX, 1, 80).starts_with(" [====="));
    }

    #[test]
    fn layers_keep_their_order() {
        let transfer = Transfer::new(Stream::Err, None);
        let [a, b] = ["a", "b"].map(Digest::of);
        let tell = |layer, state| transfer.event(Event::Layer { layer, state });
        tell(&a, LayerState::Waiting);
        tell(&b, LayerState::Waiting);
        tell(&b, LayerState::PullComplete);
        assert_eq!(transfer.told().written, 0);
        tell(&a, LayerState::Downloading { done: 1, total: 2 });
        tell(&a, LayerState::AlreadyExists);
        assert_eq!(transfer.told().written, 2);
        tell(&a, LayerState::AlreadyExists);
        assert_eq!(transfer.told().written, 2);
        transfer.finish().expect("nothing was lost");
    }
}
