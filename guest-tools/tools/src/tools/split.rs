//! `split`.

use std::fs::File;
use std::io::Write;

use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::{Given, Spec, number, size};

const SPEC: Spec = Spec {
    short: "l:b:a:dn:",
    long: &[
        ("lines", 'l'),
        ("bytes", 'b'),
        ("suffix-length", 'a'),
        ("numeric-suffixes", 'd'),
        ("number", 'n'),
        ("additional-suffix", 'Σ'),
    ],
    operands_last: false,
};

const BLOCK: usize = 64 * 1024;
const MAX_PARTS: u64 = 1 << 16;

/// Where a piece ends.
enum Limit {
    Lines(u64),
    Bytes(u64),
    /// So many pieces of equal size; the last one takes what remains.
    Parts {
        count: u64,
        bytes: u64,
    },
}

pub fn split(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let standard = b"-".to_vec();
    let input = given.operands.first().unwrap_or(&standard);
    if let Some(extra) = given.operands.get(2) {
        return Err(Failure::misuse(format!("extra operand '{}'", show(extra))));
    }
    let wanted = |letter, what: &str| {
        let value = given.value(letter).map(|text| size(text).filter(|size| *size > 0).ok_or(text));
        value.transpose().map_err(|text| Failure::new(format!("invalid number of {what}: '{}'", show(text))))
    };
    // The size must be known before the first piece of `-n` ends.
    let mut whole = None;
    let limit = if let Some(bytes) = wanted('b', "bytes")? {
        Limit::Bytes(bytes)
    } else if let Some(count) = wanted('n', "chunks")? {
        if count > MAX_PARTS {
            return Err(Failure::new(format!("more than {MAX_PARTS} chunks")));
        }
        let failed = |error| not_opened(input, &error);
        let stat = if input == b"-" { None } else { Some(kiln_guest::stat(&context.path(input), true)) };
        let length = match stat.transpose().map_err(failed)?.filter(kiln_guest::Stat::is_file) {
            Some(stat) => stat.size,
            None => whole.insert(context.read(input).map_err(failed)?).len() as u64,
        };
        Limit::Parts { count, bytes: (length / count).max(1) }
    } else {
        Limit::Lines(wanted('l', "lines")?.unwrap_or(1000))
    };
    let mut pieces = Pieces::new(context, &given, limit);
    let outcome = match whole {
        Some(bytes) => pieces.put(&bytes).map(|()| 0),
        None => {
            context.open(input).map_err(|error| not_opened(input, &error))?;
            context.for_each_block(std::slice::from_ref(input), BLOCK, |_, block| pieces.put(block).map(|()| true))
        }
    }?;
    pieces.finish()?;
    Ok(outcome)
}

fn not_opened(input: &[u8], error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot open '{}' for reading: {}", show(input), reason(error)))
}

/// The files that are written one after the other.
struct Pieces {
    prefix: std::path::PathBuf,
    additional_suffix: Vec<u8>,
    digits: &'static [u8],
    suffix_length: usize,
    limit: Limit,
    begun: u64,
    current: Option<(File, Vec<u8>)>,
    /// Lines or bytes that the current piece still takes.
    remaining: u64,
}

impl Pieces {
    fn new(context: &Context, given: &Given, limit: Limit) -> Pieces {
        let prefix = given.operands.get(1).map_or(&b"x"[..], Vec::as_slice);
        Pieces {
            prefix: context.path(prefix),
            additional_suffix: given.value('Σ').unwrap_or_default().to_vec(),
            digits: if given.has('d') { b"0123456789" } else { b"abcdefghijklmnopqrstuvwxyz" },
            suffix_length: given.value('a').and_then(number::<usize>).unwrap_or(2).clamp(1, 16),
            limit,
            begun: 0,
            current: None,
            remaining: 0,
        }
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let mut suffix = vec![self.digits[0]; self.suffix_length];
        let base = self.digits.len() as u64;
        let mut rest = self.begun;
        for digit in suffix.iter_mut().rev() {
            *digit = self.digits[(rest % base) as usize];
            rest /= base;
        }
        if rest > 0 {
            return Err(Failure::new("output file suffixes exhausted"));
        }
        let name = [crate::context::path_bytes(&self.prefix), &suffix, &self.additional_suffix].concat();
        let file = File::create(kiln_guest::path(&name))
            .map_err(|error| Failure::new(format!("'{}': {}", show(&name), reason(&error))))?;
        self.begun += 1;
        self.current = Some((file, name));
        self.remaining = match self.limit {
            Limit::Lines(lines) => lines,
            Limit::Bytes(bytes) => bytes,
            Limit::Parts { count, .. } if self.begun == count => u64::MAX,
            Limit::Parts { bytes, .. } => bytes,
        };
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.remaining == 0 {
                self.begin()?;
                continue;
            }
            let (length, used) = match self.limit {
                Limit::Lines(_) => lines(rest, self.remaining),
                _ => {
                    let length = rest.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
                    (length, length as u64)
                }
            };
            let (piece, after) = rest.split_at(length);
            if let Some((file, name)) = &mut self.current {
                file.write_all(piece).map_err(|error| Failure::new(format!("'{}': {}", show(name), reason(&error))))?;
            }
            (rest, self.remaining) = (after, self.remaining - used);
        }
        Ok(())
    }

    /// `-n` makes all its files, whatever there was to write.
    fn finish(&mut self) -> Result<(), Failure> {
        while let Limit::Parts { count, .. } = self.limit
            && self.begun < count
        {
            self.begin()?;
        }
        Ok(())
    }
}

/// How many bytes the next lines have, and how many of these lines end within the text.
fn lines(text: &[u8], most: u64) -> (usize, u64) {
    let mut count = 0;
    for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        count += 1;
        if count == most {
            return (at + 1, count);
        }
    }
    (text.len(), count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines() {
        for (text, most, expected) in
            [("a\nb\nc", 1, (2, 1)), ("a\nb\nc", 2, (4, 2)), ("a\nb\nc", 3, (5, 2)), ("a", 1, (1, 0)), ("", 1, (0, 0))]
        {
            assert_eq!(lines(text.as_bytes(), most), expected, "{text:?} {most}");
        }
    }
}
