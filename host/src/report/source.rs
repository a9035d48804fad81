//! Lines of a file with some of them marked, as `docker build --check` shows them.

use std::io::{self, Write};
use std::ops::RangeInclusive;

use kiln_dockerfile::Span;

/// A text by its lines.
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let after = text.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    /// Counted from 1.
    pub(crate) fn of(&self, span: Span) -> RangeInclusive<usize> {
        let line = |at: usize| self.starts.partition_point(|&start| start <= at);
        line(span.start)..=line(span.end.max(span.start + 1) - 1).max(line(span.start))
    }

    /// What stands in a line, fit for a terminal.
    fn get(&self, number: usize) -> String {
        let end = self.starts.get(number).copied().unwrap_or(self.text.len());
        let line = String::from_utf8_lossy(&self.text[self.starts[number - 1]..end]);
        let line = line.trim_end_matches(['\r', '\n']);
        line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
    }

    /// The lines of `span` marked, some lines around them, and where they are.
    pub(crate) fn excerpt(&self, name: &str, span: Span, out: &mut impl Write) -> io::Result<()> {
        const RULE: &str = "--------------------";
        let marked = self.of(span);
        let around = if marked.start() == marked.end() { 2 } else { 1 };
        let first = marked.start().saturating_sub(around).max(1);
        // Behind the last line end there is no line, unless it is marked.
        let count = self.starts.len() - usize::from(self.text.ends_with(b"\n"));
        let last = (marked.end() + around).min(count).max(*marked.end());
        writeln!(out, "{name}:{}\n{RULE}", marked.start())?;
        for number in first..=last {
            let mark = if marked.contains(&number) { ">>>" } else { "   " };
            writeln!(out, " {number:3} | {mark} {}", self.get(number))?;
        }
        writeln!(out, "{RULE}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Span) -> String {
        let mut out = Vec::new();
        Lines::new(text.as_bytes()).excerpt("Dockerfile", span, &mut out).expect("a vector takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn lines_are_marked() {
        let text = "FROM a\nRUN b \\\n c\nRUN d\r\n";
        assert_eq!(
            shown(text, Span::new(7, 17)),
            "Dockerfile:2\n--------------------\n   1 |     FROM a\n   2 | >>> RUN b \\\n   3 | >>>  c\n   4 |     RUN \
             d\n--------------------\n"
        );
        assert!(shown(text, Span::new(0, 6)).contains("   1 | >>> FROM a\n   2 |     RUN b \\\n   3 |      c\n---"));
    }

    #[test]
    fn any_span_of_any_text_can_be_shown() {
        for text in ["", "\n", "a\u{1b}[31m\n\nb", "\u{0}"] {
            for start in 0..6 {
                shown(text, Span::new(start, start + 2));
            }
        }
    }
}
