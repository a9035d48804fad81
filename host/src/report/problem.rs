//! Problems as users read them: a sentence, the place in the source, the causes, hints.
//!
//! ```text
//! error[unknown-instruction]: unknown instruction `COPPY`
//!  --> Dockerfile:2:1
//!   |
//! 2 | COPPY a b
//!   | ^^^^^
//!   |
//!   = hint: did you mean COPY?
//! ```

use std::io::{self, Write};
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use kiln_dockerfile::Span;

/// One thing to tell. Built up from what is known about it.
#[derive(Debug, Default)]
pub(crate) struct Problem {
    pub(crate) warning: bool,
    /// Stable, for scripts.
    pub(crate) code: Option<&'static str>,
    pub(crate) message: String,
    pub(crate) place: Option<Place>,
    pub(crate) causes: Vec<String>,
    pub(crate) hints: Vec<String>,
}

/// The first line of a span, cut out of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    file: String,
    line_number: usize,
    line: String,
    marked: Range<usize>,
    label: Option<String>,
}

impl Place {
    /// Never fails: a span that does not fit the text is moved until it does.
    pub(crate) fn new(file: &str, text: &[u8], span: Span) -> Self {
        let start = span.start.min(text.len());
        let line_start = text[..start].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line_length = text[line_start..].iter().position(|&b| b == b'\n').unwrap_or(text.len() - line_start);
        let bytes = text[line_start..line_start + line_length].trim_ascii_end();
        // Replacing each stray byte by one character keeps the offsets right.
        let line = match std::str::from_utf8(bytes) {
            Ok(line) => line.to_owned(),
            Err(_) => bytes.iter().map(|&b| if b.is_ascii() { b as char } else { '?' }).collect(),
        };
        let boundary = |at: usize| line.floor_char_boundary(at.saturating_sub(line_start).min(line.len()));
        let marked = boundary(start)..boundary(span.end.max(start));
        let line_number = text[..line_start].iter().filter(|&&b| b == b'\n').count() + 1;
        Self { file: file.to_owned(), line_number, line, marked, label: None }
    }

    pub(crate) fn label(mut self, label: Option<String>) -> Self {
        self.label = label;
        self
    }
}

impl Problem {
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::error(message) }
    }

    /// An error and what it came from, outermost first.
    pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut problem = Self::error(error.to_string());
        problem.causes_of(error);
        problem
    }

    /// Adds the causes of `error`, leaving out what only repeats the line above.
    pub(crate) fn causes_of(&mut self, error: &(dyn std::error::Error + 'static)) {
        let mut above = error.to_string();
        for cause in std::iter::successors(error.source(), |cause| cause.source()) {
            let text = cause.to_string();
            if !above.contains(&text) {
                self.causes.push(text.clone());
                above = text;
            }
        }
    }

    pub(crate) fn render(&self) -> String {
        let level = if self.warning { Level::WARNING } else { Level::ERROR };
        let title = level.primary_title(self.message.as_str());
        let title = match self.code {
            Some(code) => title.id(code),
            None => title,
        };
        let renderer = Renderer::styled();
        let Some(place) = &self.place else {
            let lines = self.causes.iter().map(|cause| format!("\n  cause: {cause}"));
            let hints = self.hints.iter().map(|hint| format!("\n  hint: {hint}"));
            return renderer.render(&[Group::with_title(title)]) + &lines.chain(hints).collect::<String>();
        };
        let annotation = AnnotationKind::Primary.span(place.marked.clone()).label(place.label.as_deref());
        let snippet = Snippet::source(place.line.as_str())
            .line_start(place.line_number)
            .path(place.file.as_str())
            .annotation(annotation);
        let causes = self.causes.iter().map(|cause| Level::NOTE.with_name("cause").message(cause.as_str()));
        let hints = self.hints.iter().map(|hint| Level::HELP.with_name("hint").message(hint.as_str()));
        renderer.render(&[Group::with_title(title).element(snippet).elements(causes).elements(hints)])
    }

    /// Writes to standard error, in colour where that is wanted.
    pub(crate) fn show(&self) {
        // There is nowhere left to tell that standard error is closed.
        let _ = writeln!(anstream::AutoStream::auto(io::stderr().lock()), "{}", self.render());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(problem: &Problem) -> String {
        anstream::adapter::strip_str(&problem.render()).to_string()
    }

    #[test]
    fn shows_the_place_and_the_way_out() {
        let text = b"FROM scratch\nCOPPY a b\n";
        let problem = Problem {
            code: Some("unknown-instruction"),
            place: Some(Place::new("Dockerfile", text, Span::new(13, 18))),
            hints: vec!["did you mean COPY?".to_owned()],
            ..Problem::error("unknown instruction `COPPY`")
        };
        assert_eq!(
            plain(&problem),
            "error[unknown-instruction]: unknown instruction `COPPY`\n \
             --> Dockerfile:2:1\n  |\n2 | COPPY a b\n  | ^^^^^\n  |\n  = hint: did you mean COPY?"
        );
    }

    #[test]
    fn tells_causes_once() {
        let inner = io::Error::other("disk full");
        let error = anyhow::Error::new(inner).context("cannot write").context("cannot save: cannot write");
        let problem = Problem::chain(error.as_ref());
        assert_eq!(problem.causes, ["disk full"]);
        assert!(plain(&problem).starts_with("error: cannot save: cannot write\n"), "{}", plain(&problem));
    }

    #[test]
    fn without_a_place_there_is_no_frame() {
        let mut problem = Problem::error("cannot write");
        problem.causes.push("disk full".to_owned());
        problem.hints.push("free some space".to_owned());
        assert_eq!(plain(&problem), "error: cannot write\n  cause: disk full\n  hint: free some space");
    }

    #[test]
    fn any_span_of_any_bytes_is_a_place() {
        for text in [&b""[..], b"\n", b"\xff\xfe\nx", "é\r\nü".as_bytes(), b"a\nb"] {
            for start in 0..8 {
                for end in 0..8 {
                    let place = Place::new("f", text, Span { start, end });
                    plain(&Problem { place: Some(place), ..Problem::error("m") });
                }
            }
        }
    }

    #[test]
    fn a_span_of_several_lines_shows_the_first() {
        let text = b"# c\nRUN a \\\n  && b\n";
        let place = Place::new("f", text, Span::new(4, 18));
        assert_eq!((place.line_number, place.line.as_str(), place.marked), (2, "RUN a \\", 0..7));
    }
}
