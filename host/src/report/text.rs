//! The words of one step's progress, written to the screen or kept for later.

use std::borrow::Cow;
use std::io::{self, Write};

use kiln_build::{Event, PulledImage};
use kiln_types::Platform;

use super::explanation::{self, Format, Place};
use super::transfer;

/// How steps are told.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) explanations: Format,
    /// The one of several platforms that is built for: its steps say so.
    pub(crate) platform: Option<Platform>,
    /// It was the same context that was told before.
    pub(crate) context_is_told: bool,
}

impl Manner {
    /// What steps begin with: nothing, or `[linux/arm64] `.
    fn label(&self) -> String {
        self.platform.as_ref().map(|platform| format!("[{platform}] ")).unwrap_or_default()
    }
}

/// Where steps are told: the build's own words and its output in one place, notes in another.
pub(super) struct Text<O, N> {
    pub(super) out: O,
    pub(super) notes: N,
    /// The last output did not end its line.
    pub(super) mid_line: bool,
    /// An ARG before the first FROM belongs to no image: nothing comes of it.
    before_from: bool,
    manner: Manner,
    /// The step being told: its number as `2/3`, and its instruction.
    number: Option<String>,
    instruction: String,
}

/// An instruction as it is printed: what a Dockerfile has of control characters must not talk to the terminal.
fn shown(instruction: &str) -> Cow<'_, str> {
    let talks = |c: char| c.is_control() && c != '\t' && c != '\n';
    match instruction.contains(talks) {
        false => Cow::Borrowed(instruction),
        true => Cow::Owned(instruction.replace(talks, "\u{fffd}")),
    }
}

impl<O: Write, N: Write> Text<O, N> {
    pub(super) fn new(out: O, notes: N, manner: Manner) -> Self {
        let (number, instruction) = (None, String::new());
        Self { out, notes, mid_line: false, before_from: false, manner, number, instruction }
    }

    /// Docker's classic format, line for line.
    pub(super) fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Event::Output { bytes, .. } = event {
            return self.output(bytes);
        }
        self.end_line()?;
        if let Event::Started { text, number, total, .. } = event {
            self.number = number.map(|number| format!("{number}/{total}"));
            self.instruction.clear();
            self.instruction.push_str(text);
            self.before_from = text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("arg "));
        }
        match event {
            Event::Started { number: Some(number), total, text, .. } => {
                writeln!(self.out, "{}Step {number}/{total} : {}", self.manner.label(), shown(text))
            }
            Event::Pulled { image, .. } => pulled(&mut self.out, image),
            Event::Triggers { count: 1, .. } => writeln!(self.out, "# Executing 1 build trigger"),
            Event::Triggers { count, .. } => writeln!(self.out, "# Executing {count} build triggers"),
            Event::Explained { explanation, .. } => {
                let (number, platform) = (self.number.as_deref(), self.manner.platform.as_ref());
                let place = Place { platform, number, instruction: &self.instruction };
                explanation::write(&mut self.notes, self.manner.explanations, &place, explanation)
            }
            Event::Cached { .. } => writeln!(self.out, " ---> Using cache"),
            Event::Running { container, .. } => writeln!(self.out, " ---> Running in {container}"),
            Event::Removed { container, .. } => writeln!(self.out, "Removing intermediate container {container}"),
            Event::Finished { image: Some(image), .. } => writeln!(self.out, " ---> {}", image.short()),
            Event::Finished { image: None, .. } if self.before_from => Ok(()),
            Event::Finished { image: None, .. } => writeln!(self.out, " --->"),
            Event::Note { text, .. } => writeln!(self.notes, "note: {text}"),
            // A trigger has no number and no line of its own: it belongs to its FROM.
            Event::Started { number: None, .. } => Ok(()),
            Event::Context { .. } | Event::Pulling { .. } | Event::Output { .. } | Event::Failed { .. } => Ok(()),
        }
    }

    fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(last) = bytes.last() {
            self.mid_line = *last != b'\n';
        }
        self.out.write_all(bytes)
    }

    /// What follows begins on a line of its own, whatever a command wrote last.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.mid_line) { self.out.write_all(b"\n") } else { Ok(()) }
    }
}

/// Docker's lines, to the blank behind each layer's that its classic builds have.
fn pulled(out: &mut impl Write, image: &PulledImage) -> io::Result<()> {
    writeln!(out, "{}", transfer::heading(&image.name))?;
    for layer in &image.layers {
        let end = if layer.was_here { "Already exists" } else { "Pull complete" };
        writeln!(out, "{}: {end} ", layer.digest.short())?;
    }
    writeln!(out, "Digest: {}", image.digest)?;
    writeln!(out, "{}", transfer::status(&image.name, image.news))
}

/// The step an event belongs to.
pub(super) fn step_of(event: &Event<'_>) -> Option<kiln_build::StepId> {
    match *event {
        Event::Context { .. } | Event::Pulling { .. } => None,
        Event::Started { step, .. }
        | Event::Pulled { step, .. }
        | Event::Triggers { step, .. }
        | Event::Explained { step, .. }
        | Event::Cached { step }
        | Event::Running { step, .. }
        | Event::Output { step, .. }
        | Event::Note { step, .. }
        | Event::Removed { step, .. }
        | Event::Finished { step, .. }
        | Event::Failed { step } => Some(step),
    }
}
