//! Physical lines, and logical lines: continuations joined, every character still knowing where it came from.

use crate::{Span, Word};
use std::ops::Range;

/// One line of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical<'a> {
    /// Byte offset of the first character.
    pub(crate) start: usize,
    /// Counted from 1.
    pub(crate) number: usize,
    /// With its line end.
    pub(crate) full: &'a str,
}

impl<'a> Physical<'a> {
    /// Without its line end.
    pub(crate) fn text(&self) -> &'a str {
        self.full.trim_end_matches(['\r', '\n'])
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.full.trim_start().is_empty()
    }

    /// What follows the `#`, and its byte offset, where this line is a comment.
    pub(crate) fn comment(&self) -> Option<(&'a str, usize)> {
        let text = self.text();
        let comment = text.trim_start().strip_prefix('#')?;
        Some((comment, self.start + text.len() - comment.len()))
    }

    pub(crate) fn span(&self) -> Span {
        Span::new(self.start, self.start + self.text().len())
    }
}

/// Hands out the lines of a text, one after the other.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    at: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    /// A byte order mark is passed over.
    pub(crate) fn new(text: &'a str) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at, number: 0 }
    }

    pub(crate) fn end(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn next(&mut self) -> Option<Physical<'a>> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let full = rest.split_inclusive('\n').next().unwrap_or(rest);
        let line = Physical { start: self.at, number: self.number + 1, full };
        self.at += full.len();
        self.number += 1;
        Some(line)
    }

    /// The logical line that begins with `first`. Comments and blank lines between its parts are left out.
    pub(crate) fn logical(&mut self, first: Physical<'a>, escape: char) -> Logical {
        let mut line =
            Logical { text: String::new(), pieces: Vec::new(), number: first.number, blank: None, heredocs_end: 0 };
        let text = first.text().trim_start();
        let mut start = first.start + first.text().len() - text.len();
        let mut part = text;
        loop {
            let (kept, continues) = match without_continuation(part, escape) {
                Some(kept) => (kept, true),
                None => (part, false),
            };
            line.push(kept, start);
            if !continues {
                return line;
            }
            loop {
                let Some(next) = self.next() else { return line };
                if next.comment().is_some() {
                    continue;
                }
                if next.is_blank() {
                    line.blank.get_or_insert(next.span());
                    continue;
                }
                (part, start) = (next.text(), next.start);
                break;
            }
        }
    }
}

/// `part` without the escape character that continues it on the next line. A doubled one does not.
fn without_continuation(part: &str, escape: char) -> Option<&str> {
    let kept = part.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!kept.ends_with(escape)).then_some(kept)
}

/// One instruction's line.
#[derive(Debug)]
pub(crate) struct Logical {
    pub(crate) text: String,
    /// (offset in `text`, offset in the file) where each part begins; never empty.
    pieces: Vec<(usize, usize)>,
    /// Of its first physical line, counted from 1.
    pub(crate) number: usize,
    /// The first blank line between its parts.
    pub(crate) blank: Option<Span>,
    /// Offset in the file of the end of its last heredoc; 0 if it has none.
    pub(crate) heredocs_end: usize,
}

impl Logical {
    fn push(&mut self, part: &str, start: usize) {
        self.pieces.push((self.text.len(), start));
        self.text.push_str(part);
    }

    /// The trimmed text's place in `text`.
    pub(crate) fn trimmed(&self) -> Range<usize> {
        trim(&self.text, 0..self.text.len())
    }

    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        let start = self.source(range.start);
        if range.is_empty() {
            return Span::new(start, start);
        }
        Span::new(start, self.source(range.end - 1) + 1)
    }

    fn source(&self, offset: usize) -> usize {
        let after = self.pieces.partition_point(|&(joined, _)| joined <= offset);
        let (joined, source) = self.pieces[after - 1];
        source + (offset - joined)
    }

    pub(crate) fn word(&self, range: Range<usize>) -> Word {
        Word { text: self.text[range.clone()].to_owned(), span: self.span(range) }
    }
}

/// `range` without the white space at its ends.
pub(crate) fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let slice = &text[range.clone()];
    let start = range.start + slice.len() - slice.trim_start().len();
    start..start + slice.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> Logical {
        let mut lines = Lines::new(text);
        let first = lines.next().unwrap();
        lines.logical(first, '\\')
    }

    #[test]
    fn continuations_join_and_spans_point_back() {
        let text = "\u{feff}  RUN a \\  \r\n# comment \\\r\n\r\n   b\\\r\n c\r\nnext";
        let line = joined(text);
        assert_eq!(line.text, "RUN a    b c");
        assert!(line.blank.is_some());
        let b = line.text.find('b').unwrap();
        assert_eq!(&text[line.span(b..b + 1).range()], "b");
        let across = line.text.find('a').unwrap()..line.text.len();
        assert_eq!(&text[line.span(across).range()], "a \\  \r\n# comment \\\r\n\r\n   b\\\r\n c");
    }

    #[test]
    fn a_doubled_escape_and_the_end_of_the_file_end_a_line() {
        assert_eq!(joined("RUN a \\\\\nb").text, "RUN a \\\\");
        assert_eq!(joined("RUN a \\").text, "RUN a ");
        assert_eq!(joined("\\\nRUN a").text, "RUN a");
    }
}
