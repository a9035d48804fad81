//! Backslash escapes as `echo`, `printf`, `tr` and `$'…'` read them.

/// Whose rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The format of `printf`: `\NNN` with up to three octal digits.
    Format,
    /// `echo` and `printf %b`: `\0NNN`, and `\c` ends all output.
    Echo,
    /// `$'…'`: as a format, and quotes may be escaped.
    DollarQuote,
}

/// Decoded text.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    pub bytes: Vec<u8>,
    /// Whether `\c` was met.
    pub stop: bool,
}

pub fn decode(text: &[u8], style: Style) -> Decoded {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some((&escape, after)) = rest.split_first() else {
            bytes.push(b'\\');
            break;
        };
        match escape {
            b'c' if style == Style::Echo => return Decoded { bytes, stop: true },
            b'0'..=b'7' if style != Style::Echo => {
                let (value, length) = number(rest, 8, 3);
                bytes.push(value as u8);
                rest = &rest[length..];
                continue;
            }
            b'0' => {
                let (value, length) = number(after, 8, 3);
                bytes.push(value as u8);
                rest = &after[length..];
                continue;
            }
            b'x' if style != Style::Echo || !after.is_empty() => {
                let (value, length) = number(after, 16, 2);
                if length > 0 {
                    bytes.push(value as u8);
                    rest = &after[length..];
                    continue;
                }
                bytes.extend_from_slice(b"\\x");
            }
            b'\'' | b'"' if style != Style::Echo => bytes.push(escape),
            b'e' | b'E' if style == Style::DollarQuote => bytes.push(0x1b),
            b'u' | b'U' if style != Style::Echo => {
                let (value, length) = number(after, 16, if escape == b'u' { 4 } else { 8 });
                match char::from_u32(value).filter(|_| length > 0) {
                    Some(character) => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                    None => bytes.extend_from_slice(&[b'\\', escape]),
                }
                rest = &after[length..];
                continue;
            }
            _ => match simple(escape) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend_from_slice(&[b'\\', escape]),
            },
        }
        rest = after;
    }
    Decoded { bytes, stop: false }
}

/// The escapes that all styles share.
pub fn simple(escape: u8) -> Option<u8> {
    Some(match escape {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        _ => return None,
    })
}

/// The number at the beginning, of at most `most` digits, and how many it has.
pub fn number(text: &[u8], radix: u32, most: usize) -> (u32, usize) {
    let mut value = 0u32;
    let mut length = 0;
    for &byte in text.iter().take(most) {
        let Some(digit) = (byte as char).to_digit(radix) else { break };
        value = value.wrapping_mul(radix).wrapping_add(digit);
        length += 1;
    }
    (value, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_by_style() {
        for (style, text, bytes, stop) in [
            (Style::Format, r"a\tb\101\\", &b"a\tbA\\"[..], false),
            (Style::Format, r"\q\", br"\q\", false),
            (Style::Echo, r"x\0101\cy", b"xA", true),
            (Style::DollarQuote, r"it\'s\x41", b"it'sA", false),
            (Style::DollarQuote, r"\u00e9\U1F600\uq", "\u{e9}\u{1f600}\\uq".as_bytes(), false),
        ] {
            assert_eq!(decode(text.as_bytes(), style), Decoded { bytes: bytes.to_vec(), stop }, "{text}");
        }
    }
}
