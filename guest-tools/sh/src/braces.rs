//! Brace expansion: `{a,b}` and `{1..10}`.

use crate::syntax::ast::{Part, Word};

/// More words than any command line needs.
const MAX_WORDS: usize = 100_000;
/// Braces within braces beyond this are ordinary signs.
const MAX_DEPTH: usize = 50;

/// More words than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// A byte that was not quoted, or anything else.
#[derive(Clone, Copy)]
enum Unit<'a> {
    Byte(u8),
    Part(&'a Part),
}

type Units<'a> = Vec<Unit<'a>>;

/// The words that a word with braces stands for; `None` if it has none that mean anything.
pub(crate) fn expand(word: &Word) -> Result<Option<Vec<Word>>, TooMany> {
    if !word.parts.iter().any(|part| matches!(part, Part::Literal(text) if text.contains(&b'{'))) {
        return Ok(None);
    }
    let mut units = Vec::new();
    for part in &word.parts {
        match part {
            Part::Literal(text) => units.extend(text.iter().map(|&byte| Unit::Byte(byte))),
            other => units.push(Unit::Part(other)),
        }
    }
    let words = alternatives(&units, 0)?;
    Ok(Some(words.into_iter().map(to_word).collect()))
}

fn to_word(units: Units) -> Word {
    let mut parts = Vec::new();
    for unit in units {
        match (unit, parts.last_mut()) {
            (Unit::Byte(byte), Some(Part::Literal(text))) => text.push(byte),
            (Unit::Byte(byte), _) => parts.push(Part::Literal(vec![byte])),
            (Unit::Part(part), _) => parts.push(part.clone()),
        }
    }
    Word { parts, text: Vec::new() }
}

fn is(unit: Option<&Unit>, byte: u8) -> bool {
    matches!(unit, Some(Unit::Byte(found)) if *found == byte)
}

fn alternatives<'a>(units: &[Unit<'a>], depth: usize) -> Result<Vec<Units<'a>>, TooMany> {
    let closing = closing_braces(units);
    let mut words: Vec<Units> = vec![Vec::new()];
    let mut at = 0;
    while at < units.len() {
        let group = closing[at].filter(|_| depth < MAX_DEPTH).map(|end| &units[at + 1..end]);
        let choices = match group {
            Some(inner) => choices(inner, depth)?,
            None => None,
        };
        let Some(choices) = choices else {
            for word in &mut words {
                word.push(units[at]);
            }
            at += 1;
            continue;
        };
        if words.len() * choices.len() > MAX_WORDS {
            return Err(TooMany);
        }
        let longer =
            |word: &Units<'a>| choices.iter().map(|choice| [word.as_slice(), choice].concat()).collect::<Vec<_>>();
        words = words.iter().flat_map(longer).collect();
        at = closing[at].map_or(units.len(), |end| end + 1);
    }
    Ok(words)
}

/// For each opening brace, where it is closed.
fn closing_braces(units: &[Unit]) -> Vec<Option<usize>> {
    let mut closing = vec![None; units.len()];
    let mut open = Vec::new();
    for (index, unit) in units.iter().enumerate() {
        match unit {
            Unit::Byte(b'{') => open.push(index),
            Unit::Byte(b'}') => {
                if let Some(start) = open.pop() {
                    closing[start] = Some(index);
                }
            }
            _ => {}
        }
    }
    closing
}

/// What the text between two braces offers; `None` if it is neither a list nor a sequence.
fn choices<'a>(inner: &[Unit<'a>], depth: usize) -> Result<Option<Vec<Units<'a>>>, TooMany> {
    let mut level = 0usize;
    let mut commas = Vec::new();
    for (index, unit) in inner.iter().enumerate() {
        match unit {
            Unit::Byte(b'{') => level += 1,
            Unit::Byte(b'}') => level = level.saturating_sub(1),
            Unit::Byte(b',') if level == 0 => commas.push(index),
            _ => {}
        }
    }
    if commas.is_empty() {
        return sequence(inner);
    }
    let mut all = Vec::new();
    let mut start = 0;
    for end in commas.into_iter().chain([inner.len()]) {
        all.extend(alternatives(&inner[start..end], depth + 1)?);
        start = end + 1;
    }
    Ok(Some(all))
}

/// `first..last` or `first..last..step`, of numbers or of letters.
fn sequence<'a>(inner: &[Unit<'a>]) -> Result<Option<Vec<Units<'a>>>, TooMany> {
    if !(0..inner.len()).any(|at| is(inner.get(at), b'.') && is(inner.get(at + 1), b'.')) {
        return Ok(None);
    }
    let text: Option<String> = inner
        .iter()
        .map(|unit| match unit {
            Unit::Byte(byte) => Some(char::from(*byte)),
            Unit::Part(_) => None,
        })
        .collect();
    let Some(text) = text else { return Ok(None) };
    let pieces: Vec<&str> = text.split("..").collect();
    let (first, last, step) = match pieces.as_slice() {
        [first, last] => (*first, *last, 1),
        [first, last, step] => match step.parse::<i64>() {
            Ok(step) => (*first, *last, step.saturating_abs().max(1)),
            Err(_) => return Ok(None),
        },
        _ => return Ok(None),
    };
    let letter = |text: &str| match text.as_bytes() {
        [byte] if byte.is_ascii_alphabetic() => Some(i64::from(*byte)),
        _ => None,
    };
    let letters = letter(first).zip(letter(last));
    let numbers = first.parse::<i64>().ok().zip(last.parse::<i64>().ok());
    let Some((from, to)) = letters.or(numbers) else { return Ok(None) };
    if from.abs_diff(to) / step.unsigned_abs() >= MAX_WORDS as u64 {
        return Err(TooMany);
    }
    let padded = |text: &str| text.trim_start_matches('-').starts_with('0') && text.trim_start_matches('-').len() > 1;
    let width = if padded(first) || padded(last) { first.len().max(last.len()) } else { 0 };
    let mut all = Vec::new();
    let mut value = from;
    loop {
        let text = match letters {
            Some(_) => char::from(value as u8).to_string(),
            None if value < 0 => format!("-{:0>width$}", value.unsigned_abs(), width = width.saturating_sub(1)),
            None => format!("{value:0>width$}"),
        };
        all.push(text.bytes().map(Unit::Byte).collect());
        let next = if from <= to { value.checked_add(step) } else { value.checked_sub(step) };
        match next {
            Some(next) if (from <= to && next <= to) || (from > to && next >= to) => value = next,
            _ => return Ok(Some(all)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<String, TooMany> {
        let word = Word { parts: vec![Part::Literal(text.into())], text: text.into() };
        let words = expand(&word)?.unwrap_or_else(|| vec![word]);
        let text = |word: &Word| match word.parts.as_slice() {
            [] => String::new(),
            [Part::Literal(text)] => String::from_utf8_lossy(text).into_owned(),
            other => format!("{other:?}"),
        };
        Ok(words.iter().map(text).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn expands_lists_and_sequences() {
        for (text, expected) in [
            ("a{b,c}d", "abd acd"),
            ("{a,b}{1,2}", "a1 a2 b1 b2"),
            ("{a,{b,c}d}", "a bd cd"),
            ("{1..4}", "1 2 3 4"),
            ("{4..1..2}", "4 2"),
            ("{08..10}", "08 09 10"),
            ("{-1..1}", "-1 0 1"),
            ("{c..a}", "c b a"),
            ("{}", "{}"),
            ("{a}", "{a}"),
            ("{a,b", "{a,b"),
            ("a{,b}", "a ab"),
            ("{1..x}", "{1..x}"),
            ("{9223372036854775807..9223372036854775806}", "9223372036854775807 9223372036854775806"),
        ] {
            assert_eq!(words(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(words("{1..1000000000}"), Err(TooMany));
        assert_eq!(words(&"{a,b}".repeat(40)), Err(TooMany));
        assert!(words(&"{".repeat(100_000)).is_ok());
    }
}
