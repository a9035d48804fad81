//! `cut`.

use crate::context::{Context, Failure, Outcome, show};
use crate::options::{Spec, number};

const SPEC: Spec = Spec {
    short: "b:c:f:d:snz",
    long: &[
        ("bytes", 'b'),
        ("characters", 'c'),
        ("fields", 'f'),
        ("delimiter", 'd'),
        ("only-delimited", 's'),
        ("complement", 'ψ'),
        ("output-delimiter", 'Ω'),
        ("zero-terminated", 'z'),
    ],
    operands_last: false,
};

/// Ranges of positions from 1, in order and apart.
struct Ranges(Vec<(usize, usize)>);

impl Ranges {
    fn parse(text: &[u8]) -> Option<Ranges> {
        let mut ranges = Vec::new();
        for part in text.split(|byte| matches!(byte, b',' | b' ' | b'\t')) {
            let range = match part.iter().position(|&byte| byte == b'-') {
                None => {
                    let only = number(part)?;
                    (only, only)
                }
                Some(_) if part.len() == 1 => return None,
                Some(0) => (1, number(&part[1..])?),
                Some(at) if at + 1 == part.len() => (number(&part[..at])?, usize::MAX),
                Some(at) => (number(&part[..at])?, number(&part[at + 1..])?),
            };
            if range.0 == 0 || range.0 > range.1 {
                return None;
            }
            ranges.push(range);
        }
        ranges.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                // Adjoining ranges stay apart, for an output delimiter stands between them.
                Some(last) if range.0 <= last.1 => last.1 = last.1.max(range.1),
                _ => merged.push(range),
            }
        }
        Some(Ranges(merged))
    }

    fn complement(&self) -> Ranges {
        let mut out = Vec::new();
        let mut next = 1;
        for &(start, end) in &self.0 {
            if next < start {
                out.push((next, start - 1));
            }
            next = end.saturating_add(1);
        }
        if next != usize::MAX {
            out.push((next, usize::MAX));
        }
        Ranges(out)
    }

    fn contains(&self, position: usize) -> bool {
        self.0.iter().any(|&(start, end)| (start..=end).contains(&position))
    }
}

pub fn cut(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let Some(kind) = given.last_of("bcf") else {
        return Err(Failure::new("you must specify a list of bytes, characters, or fields"));
    };
    let list = given.value(kind).unwrap_or_default();
    let mut ranges = Ranges::parse(list).ok_or_else(|| Failure::new(format!("invalid list '{}'", show(list))))?;
    if given.has('ψ') {
        ranges = ranges.complement();
    }
    let delimiter = match given.value('d') {
        None => b'\t',
        Some(b"") => 0,
        Some([byte]) => *byte,
        Some(_) => return Err(Failure::new("the delimiter must be a single character")),
    };
    let end = if given.has('z') { 0 } else { b'\n' };
    let output_delimiter = given.value('Ω').map(<[u8]>::to_vec);
    context.for_each_line(&given.operands, end, |output, line, _| {
        let mut out = Vec::with_capacity(line.len() + 1);
        match kind {
            'f' if !line.contains(&delimiter) => {
                if given.has('s') {
                    return Ok(true);
                }
                out.extend_from_slice(line);
            }
            'f' => {
                let chosen: Vec<&[u8]> = line
                    .split(|&byte| byte == delimiter)
                    .enumerate()
                    .filter(|(index, _)| ranges.contains(index + 1))
                    .map(|(_, field)| field)
                    .collect();
                out = chosen.join(output_delimiter.as_deref().unwrap_or(&[delimiter]));
            }
            'c' => {
                let text = show(line);
                for (index, character) in text.chars().enumerate().filter(|(index, _)| ranges.contains(index + 1)) {
                    between(&ranges, index, &output_delimiter, &mut out);
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            _ => {
                for (index, &byte) in line.iter().enumerate().filter(|(index, _)| ranges.contains(index + 1)) {
                    between(&ranges, index, &output_delimiter, &mut out);
                    out.push(byte);
                }
            }
        }
        out.push(end);
        output.write_all(&out)?;
        Ok(true)
    })
}

/// Puts the output delimiter where a new range begins.
fn between(ranges: &Ranges, index: usize, delimiter: &Option<Vec<u8>>, out: &mut Vec<u8>) {
    if let Some(delimiter) = delimiter
        && !out.is_empty()
        && ranges.0.iter().any(|range| range.0 == index + 1)
    {
        out.extend_from_slice(delimiter);
    }
}
