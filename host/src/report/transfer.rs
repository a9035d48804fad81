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
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use kiln_registry::{Event, LayerState, Progress};
use kiln_types::{Digest, Reference};

use super::problem::Problem;
use super::size;

/// Of a layer's line besides its bar.
const BESIDE_BAR: usize = 48;
const LONGEST_BAR: usize = 50;
/// Shorter ones say less than the numbers behind them.
const SHORTEST_BAR: usize = 8;

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Stream {
    pub(crate) fn say(self, line: &str) -> io::Result<()> {
        match self {
            Self::Out => {
                let mut out = io::stdout().lock();
                writeln!(out, "{line}")?;
                out.flush()
            }
            Self::Err => writeln!(io::stderr(), "{line}"),
        }
    }

    fn draw_target(self) -> ProgressDrawTarget {
        match self {
            Self::Out => ProgressDrawTarget::stdout(),
            Self::Err => ProgressDrawTarget::stderr(),
        }
    }
}

/// One image on its way.
pub(crate) struct Transfer {
    stream: Stream,
    /// Hidden where there is no terminal.
    bars: MultiProgress,
    told: Mutex<Told>,
}

struct Told {
    /// Written once it is known where the image comes from.
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
    id: String,
    bar: ProgressBar,
    /// The last word.
    end: Option<String>,
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

    fn with(stream: Stream, heading: Option<String>, only_bars: bool) -> Self {
        let (layers, places) = (Vec::new(), HashMap::new());
        Self {
            stream,
            bars: MultiProgress::with_draw_target(stream.draw_target()),
            told: Mutex::new(Told { heading, only_bars, layers, places, written: 0, lost: None }),
        }
    }

    /// Takes the bars away. Whatever could not be written is an error now.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.clear();
        match self.told().lost.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn clear(&self) {
        for layer in &self.told().layers {
            layer.bar.finish_and_clear();
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Above the bars.
    fn say(&self, told: &mut Told, line: &str) {
        if let Err(error) = self.bars.suspend(|| self.stream.say(line)) {
            told.lost.get_or_insert(error);
        }
    }

    fn layer(&self, digest: &Digest, state: LayerState<'_>) {
        let mut told = self.told();
        let place = match told.places.get(digest) {
            Some(&place) => place,
            None => {
                let place = told.layers.len();
                told.places.insert(*digest, place);
                let bar = self.bars.add(ProgressBar::new(0).with_style(style()).with_prefix(digest.short()));
                told.layers.push(Layer { id: digest.short(), bar, end: None });
                place
            }
        };
        let layer = &mut told.layers[place];
        if let Some((done, total)) = progress(state) {
            layer.bar.set_length(total);
            layer.bar.set_position(done.min(total));
        } else {
            layer.bar.set_length(0);
        }
        layer.bar.set_message(words(state));
        if !is_end(state) || layer.end.is_some() {
            return;
        }
        layer.end = Some(words(state));
        if told.only_bars {
            return;
        }
        while let Some(layer) = told.layers.get(told.written)
            && let Some(end) = &layer.end
        {
            let line = format!("{}: {end}", layer.id);
            layer.bar.finish_and_clear();
            told.written += 1;
            self.say(&mut told, &line);
        }
    }
}

/// Whatever happens, no bar stays on the screen.
impl Drop for Transfer {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Progress for Transfer {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::From { .. } => {
                let mut told = self.told();
                if let Some(heading) = told.heading.take() {
                    self.say(&mut told, &heading);
                }
            }
            Event::PassedOver { endpoint, error } => {
                let mut problem = Problem::warning(format!("the mirror {endpoint} is passed over"));
                problem.causes.push(error.to_string());
                problem.causes_of(error);
                self.bars.suspend(|| problem.show());
            }
            Event::Image { .. } => {}
            Event::Layer { layer, state } => self.layer(layer, state),
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
        | LayerState::Retrying { .. }
        | LayerState::Preparing
        | LayerState::Compressing { .. }
        | LayerState::Pushing { .. } => false,
    }
}

fn progress(state: LayerState<'_>) -> Option<(u64, u64)> {
    match state {
        LayerState::Downloading { done, total }
        | LayerState::Compressing { done, total }
        | LayerState::Pushing { done, total } => Some((done, total)),
        _ => None,
    }
}

fn style() -> ProgressStyle {
    let bar = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // Nothing can be done about a terminal that takes no text.
        let _ = out.write_str(&bar(state.pos(), state.len().unwrap_or(0), columns()));
    };
    ProgressStyle::with_template("{prefix}: {msg}{progress}").expect("it is a template").with_key("progress", bar)
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

/// How wide the terminal is at the moment.
fn columns() -> usize {
    const USUAL: usize = 80;
    #[cfg(unix)]
    for stream in [io::stdout().as_fd(), io::stderr().as_fd()] {
        if let Ok(size) = rustix::termios::tcgetwinsize(stream)
            && size.ws_col > 0
        {
            return usize::from(size.ws_col);
        }
    }
    USUAL
}

#[cfg(unix)]
use std::os::fd::AsFd;

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
