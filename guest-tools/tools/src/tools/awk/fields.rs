//! Records: read from a stream, and split into fields.

use std::io::Read;
use std::ops::Range;
use std::rc::Rc;

use crate::regex::Regex;
use crate::search;

/// What separates fields, or the pieces of `split`.
#[derive(Debug, Clone)]
pub(super) enum Separator {
    Blanks,
    Byte(u8),
    /// Every byte is a piece.
    Nothing,
    Regex(Rc<Regex>),
}

/// Hands every piece of the text to `each`.
pub(super) fn split(text: &[u8], separator: &Separator, mut each: impl FnMut(Range<usize>)) {
    if text.is_empty() {
        return;
    }
    let mut start = 0;
    match separator {
        Separator::Blanks => {
            for (at, byte) in text.iter().chain(b" ").enumerate() {
                if matches!(byte, b' ' | b'\t' | b'\n') {
                    if at > start {
                        each(start..at);
                    }
                    start = at + 1;
                }
            }
        }
        Separator::Byte(separator) => {
            while let Some(length) = search::position(&text[start..], *separator) {
                each(start..start + length);
                start += length + 1;
            }
            each(start..text.len());
        }
        Separator::Nothing => (0..text.len()).for_each(|at| each(at..at + 1)),
        Separator::Regex(regex) => {
            let mut from = 0;
            // One that is too complex to be matched separates nothing.
            while let Ok(Some(captures)) = regex.find_whole(text, from) {
                let (begin, end) = captures.whole();
                if end == begin {
                    from = end + 1;
                    if from > text.len() {
                        break;
                    }
                    continue;
                }
                each(start..begin);
                (start, from) = (end, end);
            }
            each(start..text.len());
        }
    }
}

/// What ends a record.
#[derive(Debug, Clone)]
pub(super) enum Ending {
    Byte(u8),
    /// Empty lines.
    Paragraph,
    Regex(Rc<Regex>),
}

/// The part of a stream that has been read but not used.
#[derive(Debug, Default)]
pub(super) struct Pending {
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
}

impl Pending {
    fn fill(&mut self, source: &mut dyn Read) -> std::io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + 32 * 1024, 0);
        let count = source.read(&mut self.buffer[old..]);
        self.buffer.truncate(old + *count.as_ref().unwrap_or(&0));
        self.ended = count? == 0;
        Ok(())
    }

    pub(super) fn record(&mut self, source: &mut dyn Read, ending: &Ending) -> std::io::Result<Option<Rc<[u8]>>> {
        let mut searched = 0;
        loop {
            if matches!(ending, Ending::Paragraph) {
                let newlines = self.buffer[self.start..].iter().take_while(|&&byte| byte == b'\n').count();
                self.start += newlines;
            }
            let rest = &self.buffer[self.start..];
            let found = match ending {
                Ending::Byte(byte) => {
                    let from = searched.min(rest.len());
                    search::position(&rest[from..], *byte).map(|at| (from + at, from + at + 1))
                }
                Ending::Paragraph => rest.windows(2).position(|pair| pair == b"\n\n").map(|at| (at, at + 2)),
                // A match at the end of what has been read might go on.
                Ending::Regex(regex) => {
                    let captures = regex.find_whole(rest, 0).ok().flatten().map(|captures| captures.whole());
                    captures.filter(|(begin, end)| end > begin && (self.ended || *end < rest.len()))
                }
            };
            if let Some((length, used)) = found {
                let record = Rc::from(&rest[..length]);
                self.start += used;
                return Ok(Some(record));
            }
            if self.ended {
                if rest.is_empty() {
                    return Ok(None);
                }
                let record = match ending {
                    Ending::Byte(_) => rest,
                    _ => rest.strip_suffix(b"\n").unwrap_or(rest),
                };
                let record = Rc::from(record);
                self.start = self.buffer.len();
                return Ok(Some(record));
            }
            searched = rest.len();
            self.fill(source)?;
        }
    }
}
