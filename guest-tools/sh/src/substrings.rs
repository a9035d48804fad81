//! Parts of texts: what `${name:offset}`, `${name/pattern/text}`, `${name^^}` and `${name@Q}` make.

use std::ops::Range;

use kiln_tools::escapes::{Style, decode};
use kiln_tools::pattern::Pattern;

use crate::syntax::ast::Which;
use crate::syntax::print::quote;

/// What an offset and a length choose of so many; `None` where the end would come before the beginning. Both may count
/// from the end.
pub(crate) fn bounds(total: usize, offset: i64, length: Option<i64>) -> Option<Range<usize>> {
    let total = total as i64;
    let start = if offset < 0 { total.saturating_add(offset) } else { offset };
    if start < 0 || start > total {
        return Some(0..0);
    }
    let end = match length {
        None => total,
        Some(length) if length < 0 => total.saturating_add(length),
        Some(length) => start.saturating_add(length).min(total),
    };
    (start <= end).then_some(start as usize..end as usize)
}

pub(crate) fn replace(value: &[u8], pattern: &Pattern, which: Which, replacement: &[u8]) -> Vec<u8> {
    match which {
        Which::Prefix => match pattern.prefix(value, true) {
            Some(length) => [replacement, &value[length..]].concat(),
            None => value.to_vec(),
        },
        Which::Suffix => match pattern.suffix(value, true) {
            Some(start) => [&value[..start], replacement].concat(),
            None => value.to_vec(),
        },
        Which::First | Which::Every => {
            let beginnings = pattern.beginnings(value);
            let mut out = Vec::with_capacity(value.len());
            let mut at = 0;
            while at < value.len() {
                let length = if beginnings[at] { pattern.prefix(&value[at..], true) } else { None };
                match length {
                    Some(length) if length > 0 => {
                        out.extend_from_slice(replacement);
                        at += length;
                        if which == Which::First {
                            break;
                        }
                    }
                    _ => {
                        out.push(value[at]);
                        at += 1;
                    }
                }
            }
            out.extend_from_slice(&value[at..]);
            out
        }
    }
}

pub(crate) fn change_case(value: &[u8], upper: bool, every: bool, pattern: Option<&Pattern>) -> Vec<u8> {
    let mut out = value.to_vec();
    let count = if every { out.len() } else { out.len().min(1) };
    for byte in &mut out[..count] {
        if pattern.is_none_or(|pattern| pattern.matches(&[*byte])) {
            *byte = if upper { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        }
    }
    out
}

/// `@Q`, `@U`, `@u`, `@L` and `@E`.
pub(crate) fn transform(value: &[u8], letter: u8) -> Vec<u8> {
    match letter {
        b'Q' => quote(value),
        b'U' => change_case(value, true, true, None),
        b'u' => change_case(value, true, false, None),
        b'L' => change_case(value, false, true, None),
        _ => decode(value, Style::DollarQuote).bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_count_from_either_end() {
        for (total, offset, length, expected) in [
            (5, 1, None, Some(1..5)),
            (5, -2, None, Some(3..5)),
            (5, 1, Some(2), Some(1..3)),
            (5, 1, Some(-1), Some(1..4)),
            (5, 3, Some(-3), None),
            (5, 9, None, Some(0..0)),
            (5, -9, Some(1), Some(0..0)),
            (5, 2, Some(i64::MAX), Some(2..5)),
            (5, i64::MIN, Some(i64::MIN), Some(0..0)),
        ] {
            assert_eq!(bounds(total, offset, length), expected, "{total} {offset} {length:?}");
        }
    }

    #[test]
    fn replaces_where_it_should() {
        for (which, pattern, expected) in [
            (Which::First, "a", "Xbab"),
            (Which::Every, "a", "XbXb"),
            (Which::Every, "a*", "X"),
            (Which::Prefix, "a", "Xbab"),
            (Which::Prefix, "b", "abab"),
            (Which::Suffix, "?b", "abX"),
            (Which::Prefix, "", "Xabab"),
            (Which::Every, "", "abab"),
        ] {
            let found = replace(b"abab", &Pattern::new(pattern.as_bytes()), which, b"X");
            assert_eq!(String::from_utf8_lossy(&found), expected, "{which:?} {pattern}");
        }
    }
}
