//! Records: read from a stream, and split into fields.

use std::io::Read;
use std::rc::Rc;

use crate::regex::Regex;

/// What separates fields, or the pieces of `split`.
#[derive(Debug, Clone)]
pub(super) enum Separator {
    Blanks,
    Byte(u8),
    /// Every byte is a piece.
    Nothing,
    Regex(Rc<Regex>),
}

pub(super) fn split(text: &[u8], separator: &Separator) -> Vec<Rc<[u8]>> {
    if text.is_empty() {
        return Vec::new();
    }
    match separator {
        Separator::Blanks => text
            .split(|byte| matches!(byte, b' ' | b'\t' | b'\n'))
            .filter(|piece| !piece.is_empty())
            .map(Rc::from)
            .collect(),
        Separator::Byte(separator) => text.split(|byte| byte == separator).map(Rc::from).collect(),
        Separator::Nothing => text.chunks(1).map(Rc::from).collect(),
        Separator::Regex(regex) => {
            let mut pieces = Vec::new();
            let (mut start, mut from) = (0, 0);
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
                pieces.push(Rc::from(&text[start..begin]));
                (start, from) = (end, end);
            }
            pieces.push(Rc::from(&text[start..]));
            pieces
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

    pub(super) fn record(&mut self, source: &mut dyn Read, ending: &Ending) -> std::io::Result<Option<Vec<u8>>> {
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
                    rest[from..].iter().position(|other| other == byte).map(|at| (from + at, from + at + 1))
                }
                Ending::Paragraph => rest.windows(2).position(|pair| pair == b"\n\n").map(|at| (at, at + 2)),
                // A match at the end of what has been read might go on.
                Ending::Regex(regex) => {
                    let captures = regex.find_whole(rest, 0).ok().flatten().map(|captures| captures.whole());
                    captures.filter(|(begin, end)| end > begin && (self.ended || *end < rest.len()))
                }
            };
            if let Some((length, used)) = found {
                let record = rest[..length].to_vec();
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
                let record = record.to_vec();
                self.start = self.buffer.len();
                return Ok(Some(record));
            }
            searched = rest.len();
            self.fill(source)?;
        }
    }
}
