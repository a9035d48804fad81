//! `base64`.

use crate::context::{Context, Failure, Outcome, show};
use crate::options::{Spec, number};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Whole groups of three bytes, so that only the last block needs padding.
const BLOCK: usize = 3 * 16 * 1024;

pub fn base64(context: &mut Context) -> Outcome {
    const SPEC: Spec =
        Spec { short: "diw:", long: &[("decode", 'd'), ("ignore-garbage", 'i'), ("wrap", 'w')], operands_last: false };
    let given = SPEC.parse(context.args)?;
    if let Some(extra) = given.operands.get(1) {
        return Err(Failure::misuse(format!("extra operand '{}'", show(extra))));
    }
    if given.has('d') {
        let mut decoder = Decoder { ignore_garbage: given.has('i'), ..Decoder::default() };
        let mut bytes = Vec::new();
        let status = context.for_each_block(&given.operands, BLOCK, |output, block| {
            bytes.clear();
            let valid = decoder.decode(block, &mut bytes);
            output.write_all(&bytes)?;
            if valid { Ok(true) } else { Err(Failure::new("invalid input")) }
        })?;
        bytes.clear();
        let complete = decoder.finish(&mut bytes);
        context.stdout.write_all(&bytes)?;
        return if complete { Ok(status) } else { Err(Failure::new("invalid input")) };
    }
    let width = match given.value('w') {
        Some(text) => {
            number::<usize>(text).ok_or_else(|| Failure::new(format!("invalid wrap size: '{}'", show(text))))?
        }
        None => 76,
    };
    let mut text = Vec::with_capacity(BLOCK / 3 * 4);
    let mut column = 0;
    let status = context.for_each_block(&given.operands, BLOCK, |output, block| {
        text.clear();
        encode(block, &mut text);
        if width == 0 {
            output.write_all(&text)?;
            return Ok(true);
        }
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(width - column));
            output.write_all(line)?;
            (rest, column) = (after, column + line.len());
            if column == width {
                output.write_all(b"\n")?;
                column = 0;
            }
        }
        Ok(true)
    })?;
    if column > 0 {
        context.stdout.write_all(b"\n")?;
    }
    Ok(status)
}

fn encode(bytes: &[u8], text: &mut Vec<u8>) {
    for chunk in bytes.chunks(3) {
        let group = u32::from(chunk[0]) << 16
            | u32::from(*chunk.get(1).unwrap_or(&0)) << 8
            | u32::from(*chunk.get(2).unwrap_or(&0));
        for position in 0..4 {
            let letter = ALPHABET[(group >> (18 - 6 * position) & 63) as usize];
            text.push(if position <= chunk.len() { letter } else { b'=' });
        }
    }
}

/// The digits of the group that is being read.
#[derive(Default)]
struct Decoder {
    ignore_garbage: bool,
    group: u32,
    count: usize,
    padding: usize,
}

impl Decoder {
    /// Appends what the text stands for; returns whether all of it is valid so far.
    fn decode(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        for &byte in text {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'\n' => continue,
                b'=' if self.count >= 2 => {
                    self.padding += 1;
                    0
                }
                _ if self.ignore_garbage => continue,
                _ => return false,
            };
            if self.padding > 0 && byte != b'=' {
                return false;
            }
            self.group = self.group << 6 | u32::from(value);
            self.count += 1;
            if self.count == 4 {
                out.extend_from_slice(&self.group.to_be_bytes()[1..4 - self.padding]);
                *self = Decoder { ignore_garbage: self.ignore_garbage, ..Decoder::default() };
            }
        }
        true
    }

    /// Appends the whole bytes of a group that was cut off; returns whether none was.
    fn finish(&self, out: &mut Vec<u8>) -> bool {
        if self.count == 0 {
            return true;
        }
        let whole = (self.count * 6 / 8).saturating_sub(self.padding);
        let group = self.group << (8 + 6 * (4 - self.count));
        out.extend_from_slice(&group.to_be_bytes()[..whole]);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]], ignore_garbage: bool) -> (Vec<u8>, bool) {
        let mut decoder = Decoder { ignore_garbage, ..Decoder::default() };
        let mut out = Vec::new();
        let valid = pieces.iter().all(|piece| decoder.decode(piece, &mut out));
        let complete = valid && decoder.finish(&mut out);
        (out, complete)
    }

    #[test]
    fn decodes_across_pieces() {
        for (pieces, ignore_garbage, expected, valid) in [
            (&[&b"aGVs\nbG8="[..]][..], false, &b"hello"[..], true),
            (&[b"aG", b"Vsb", b"G8", b"="], false, b"hello", true),
            (&[b"aGVsbA==aGk="], false, b"hellhi", true),
            (&[b"a!"], false, b"", false),
            (&[b"a!G-Vs"], true, b"hel", true),
            (&[b"aGVsb"], false, b"hel", false),
            (&[b"aGVsbG8"], false, b"hello", false),
            (&[b"a==="], false, b"", false),
            (&[b"aG=k"], false, b"", false),
        ] {
            assert_eq!(decode(pieces, ignore_garbage), (expected.to_vec(), valid), "{pieces:?}");
        }
    }

    #[test]
    fn every_length_comes_back() {
        for length in 0..20 {
            let bytes: Vec<u8> = (0..length).map(|byte: u8| byte.wrapping_mul(59)).collect();
            let mut text = Vec::new();
            encode(&bytes, &mut text);
            assert_eq!(decode(&[&text], false), (bytes, true));
        }
    }
}
