//! `od`, `hexdump -C`-like dumps with `od -A x -t x1z`.

use std::io::{self, Write};

use crate::context::{Context, Failure, Outcome, show};
use crate::options::{Spec, size};

const SPEC: Spec = Spec {
    short: "A:t:N:j:vw::bcdoxsS:i",
    long: &[
        ("address-radix", 'A'),
        ("format", 't'),
        ("read-bytes", 'N'),
        ("skip-bytes", 'j'),
        ("output-duplicates", 'v'),
        ("width", 'w'),
    ],
    operands_last: false,
};

const BLOCK: usize = 64 * 1024;

#[derive(Clone, Copy)]
struct Format {
    kind: u8,
    bytes: usize,
    /// `z`: the printable characters after the line.
    characters: bool,
}

impl Format {
    fn width(self) -> usize {
        match (self.kind, self.bytes) {
            (b'a' | b'c', _) => 4,
            (b'o', bytes) => [0, 4, 7, 0, 12, 0, 0, 0, 23][bytes],
            (b'x', bytes) => bytes * 2 + 1,
            (b'u', bytes) => [0, 4, 6, 0, 11, 0, 0, 0, 21][bytes],
            (b'f', 4) => 16,
            (b'f', _) => 25,
            (_, bytes) => [0, 5, 7, 0, 12, 0, 0, 0, 21][bytes],
        }
    }

    fn show(self, bytes: &[u8]) -> String {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        let value = u64::from_le_bytes(whole);
        let shift = 64 - 8 * self.bytes as u32;
        match self.kind {
            b'o' => format!("{value:0width$o}", width = self.width() - 1),
            b'x' => format!("{value:0width$x}", width = self.bytes * 2),
            b'u' => value.to_string(),
            b'd' => (((value << shift) as i64) >> shift).to_string(),
            b'f' if self.bytes == 4 => {
                crate::printf::float_digits(f64::from(f32::from_bits(value as u32)), b'g', 8, false)
            }
            b'f' => crate::printf::float_digits(f64::from_bits(value), b'g', 17, false),
            b'a' => named(bytes[0] & 0x7f),
            _ => escaped(bytes[0]),
        }
    }
}

fn escaped(byte: u8) -> String {
    match byte {
        0 => "\\0".into(),
        7 => "\\a".into(),
        8 => "\\b".into(),
        9 => "\\t".into(),
        10 => "\\n".into(),
        11 => "\\v".into(),
        12 => "\\f".into(),
        13 => "\\r".into(),
        b' '..=b'~' => (byte as char).to_string(),
        _ => format!("{byte:03o}"),
    }
}

fn named(byte: u8) -> String {
    const NAMES: [&str; 33] = [
        "nul", "soh", "stx", "etx", "eot", "enq", "ack", "bel", "bs", "ht", "nl", "vt", "ff", "cr", "so", "si", "dle",
        "dc1", "dc2", "dc3", "dc4", "nak", "syn", "etb", "can", "em", "sub", "esc", "fs", "gs", "rs", "us", "sp",
    ];
    match byte {
        0..=32 => NAMES[usize::from(byte)].into(),
        127 => "del".into(),
        _ => (byte as char).to_string(),
    }
}

fn formats(text: &[u8]) -> Option<Vec<Format>> {
    let mut out: Vec<Format> = Vec::new();
    let mut rest = text;
    while let Some((&kind, after)) = rest.split_first() {
        rest = after;
        if kind == b'z' {
            out.last_mut()?.characters = true;
            continue;
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let bytes = match rest.first() {
            _ if digits > 0 => show(&rest[..digits]).parse().ok()?,
            Some(b'C') => 1,
            Some(b'S') => 2,
            Some(b'I' | b'F') => 4,
            Some(b'L' | b'D') => 8,
            _ if matches!(kind, b'a' | b'c') => 1,
            _ if kind == b'f' => 8,
            _ => 4,
        };
        rest = &rest[digits.max(usize::from(matches!(rest.first(), Some(b'C' | b'S' | b'I' | b'L' | b'F' | b'D'))))..];
        if !b"acdoxuf".contains(&kind) || ![1, 2, 4, 8].contains(&bytes) || (kind == b'f' && bytes < 4) {
            return None;
        }
        out.push(Format { kind, bytes: if matches!(kind, b'a' | b'c') { 1 } else { bytes }, characters: false });
    }
    Some(out)
}

pub fn od(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let mut chosen = Vec::new();
    for (letter, value) in &given.options {
        let text: &[u8] = match (letter, value) {
            ('t', Some(text)) => text,
            ('b', _) => b"o1",
            ('c', _) => b"c",
            ('d', _) => b"u2",
            ('o', _) => b"o2",
            ('x', _) => b"x2",
            ('s', _) => b"d2",
            ('i', _) => b"d4",
            _ => continue,
        };
        chosen.extend(formats(text).ok_or_else(|| Failure::new(format!("invalid type string '{}'", show(text))))?);
    }
    if chosen.is_empty() {
        chosen.push(Format { kind: b'o', bytes: 2, characters: false });
    }
    let amount = |letter| match given.value(letter) {
        Some(text) => {
            let parsed = match text.strip_prefix(b"0x") {
                Some(digits) => u64::from_str_radix(&show(digits), 16).ok(),
                None => size(text),
            };
            parsed.map(Some).ok_or_else(|| Failure::new(format!("invalid number '{}'", show(text))))
        }
        None => Ok(None),
    };
    let skipped = amount('j')?.unwrap_or(0);
    let most = amount('N')?;
    let width = if given.has('w') { given.value('w').and_then(size).unwrap_or(32).clamp(1, 4096) as usize } else { 16 };
    let radix = given.value('A').unwrap_or(b"o").first().copied().unwrap_or(b'o');
    let mut dump = Dump::new(chosen, width, radix, given.has('v'), skipped);
    let (mut to_skip, mut remaining) = (skipped, most.unwrap_or(u64::MAX));
    let status = context.for_each_block(&given.operands, BLOCK, |output, block| {
        let start = block.len().min(usize::try_from(to_skip).unwrap_or(usize::MAX));
        to_skip -= start as u64;
        let block = &block[start..];
        let block = &block[..block.len().min(usize::try_from(remaining).unwrap_or(usize::MAX))];
        remaining -= block.len() as u64;
        dump.put(output, block)?;
        Ok(remaining > 0)
    })?;
    if status != 0 && to_skip == skipped && dump.address == skipped && dump.partial.is_empty() {
        return Ok(status);
    }
    if to_skip > 0 {
        return Err(Failure::new("cannot skip past end of combined input"));
    }
    dump.finish(context.stdout)?;
    Ok(status)
}

/// What has been printed, and the beginning of the next line.
struct Dump {
    formats: Vec<Format>,
    /// Columns of several formats stand beneath each other: the largest unit, and its width in characters.
    unit: usize,
    unit_width: usize,
    width: usize,
    radix: u8,
    shows_repeated: bool,
    address: u64,
    partial: Vec<u8>,
    previous: Vec<u8>,
    starred: bool,
}

impl Dump {
    fn new(formats: Vec<Format>, width: usize, radix: u8, shows_repeated: bool, address: u64) -> Dump {
        let unit = formats.iter().map(|format| format.bytes).max().unwrap_or(1);
        let unit_width = formats.iter().map(|format| unit / format.bytes * format.width()).max().unwrap_or(1);
        let (partial, previous) = (Vec::new(), Vec::new());
        Dump { formats, unit, unit_width, width, radix, shows_repeated, address, partial, previous, starred: false }
    }

    fn put(&mut self, output: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        if !self.partial.is_empty() {
            let missing = rest.len().min(self.width - self.partial.len());
            self.partial.extend_from_slice(&rest[..missing]);
            rest = &rest[missing..];
            if self.partial.len() < self.width {
                return Ok(());
            }
            let line = std::mem::take(&mut self.partial);
            self.line(output, &line)?;
        }
        let lines = rest.chunks_exact(self.width);
        self.partial.extend_from_slice(lines.remainder());
        for line in lines {
            self.line(output, line)?;
        }
        Ok(())
    }

    fn line(&mut self, output: &mut dyn Write, line: &[u8]) -> io::Result<()> {
        if !self.shows_repeated && self.previous == line {
            if !self.starred {
                output.write_all(b"*\n")?;
            }
            self.starred = true;
        } else {
            self.show(output, line)?;
            self.previous.clear();
            self.previous.extend_from_slice(line);
            self.starred = false;
        }
        self.address += line.len() as u64;
        Ok(())
    }

    fn show(&self, output: &mut dyn Write, line: &[u8]) -> io::Result<()> {
        let address = self.shown_address();
        for (row, format) in self.formats.iter().enumerate() {
            let mut text = if row == 0 { address.clone() } else { " ".repeat(address.len()) };
            let column = self.unit_width * format.bytes / self.unit;
            for item in line.chunks(format.bytes) {
                text.push_str(&format!("{:>column$}", format.show(item)));
            }
            if format.characters {
                let missing = (self.width - line.len()).div_ceil(format.bytes);
                text.push_str(&" ".repeat(missing * column));
                let printable = |byte: &u8| if (b' '..=b'~').contains(byte) { *byte as char } else { '.' };
                text.push_str(&format!("  >{}<", line.iter().map(printable).collect::<String>()));
            }
            text.push('\n');
            output.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    fn shown_address(&self) -> String {
        let address = self.address;
        match self.radix {
            b'x' => format!("{address:06x}"),
            b'd' => format!("{address:07}"),
            b'n' => String::new(),
            _ => format!("{address:07o}"),
        }
    }

    fn finish(&mut self, output: &mut dyn Write) -> io::Result<()> {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            self.show(output, &line)?;
            self.address += line.len() as u64;
        }
        if self.radix != b'n' {
            writeln!(output, "{}", self.shown_address())?;
        }
        Ok(())
    }
}
