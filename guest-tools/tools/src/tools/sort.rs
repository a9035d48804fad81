//! `sort`.

use std::cmp::Ordering;

use crate::context::{Context, Failure, Outcome, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "bdfghiMnrVk:t:o:uszcCmS:T:",
    long: &[
        ("ignore-leading-blanks", 'b'),
        ("dictionary-order", 'd'),
        ("ignore-case", 'f'),
        ("general-numeric-sort", 'g'),
        ("human-numeric-sort", 'h'),
        ("month-sort", 'M'),
        ("numeric-sort", 'n'),
        ("reverse", 'r'),
        ("version-sort", 'V'),
        ("key", 'k'),
        ("field-separator", 't'),
        ("output", 'o'),
        ("unique", 'u'),
        ("stable", 's'),
        ("zero-terminated", 'z'),
        ("check", 'c'),
        ("merge", 'm'),
        ("buffer-size", 'S'),
        ("temporary-directory", 'T'),
        ("parallel", 'Π'),
    ],
    operands_last: false,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Numeric,
    General,
    Human,
    Month,
    Version,
}

#[derive(Clone, Copy)]
struct Order {
    kind: Kind,
    blanks: bool,
    dictionary: bool,
    fold: bool,
    printable: bool,
    reverse: bool,
}

/// A key: from a field and character to another, from 1; an end character of 0 is the field's end.
struct Key {
    start: (usize, usize),
    end: Option<(usize, usize)>,
    skip_start: bool,
    skip_end: bool,
    order: Order,
}

const PLAIN: Order =
    Order { kind: Kind::Text, blanks: false, dictionary: false, fold: false, printable: false, reverse: false };

impl Order {
    fn set(&mut self, letter: char) -> bool {
        match letter {
            'b' => self.blanks = true,
            'd' => self.dictionary = true,
            'f' => self.fold = true,
            'i' => self.printable = true,
            'r' => self.reverse = true,
            'g' => self.kind = Kind::General,
            'h' => self.kind = Kind::Human,
            'M' => self.kind = Kind::Month,
            'n' => self.kind = Kind::Numeric,
            'V' => self.kind = Kind::Version,
            _ => return false,
        }
        true
    }
}

fn key(text: &[u8], global: Order) -> Option<Key> {
    let text = std::str::from_utf8(text).ok()?;
    let (start, end) = match text.split_once(',') {
        Some((start, end)) => (start, Some(end)),
        None => (text, None),
    };
    let mut order = PLAIN;
    let mut own = false;
    let mut position = |text: &str, skip: &mut bool, default: usize| -> Option<(usize, usize)> {
        let letters = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
        for letter in text[letters..].chars() {
            own = true;
            *skip |= letter == 'b';
            if !order.set(letter) {
                return None;
            }
        }
        let (field, character) = match text[..letters].split_once('.') {
            Some((field, character)) => (field.parse().ok()?, character.parse().ok()?),
            None => (text[..letters].parse().ok()?, default),
        };
        (field > 0).then_some((field, character))
    };
    let (mut skip_start, mut skip_end) = (false, false);
    let start = position(start, &mut skip_start, 1)?;
    let end = match end {
        Some(end) => Some(position(end, &mut skip_end, 0)?),
        None => None,
    };
    if !own {
        order = global;
        (skip_start, skip_end) = (global.blanks, global.blanks);
    }
    (start.1 > 0).then_some(Key { start, end, skip_start, skip_end, order })
}

pub fn sort(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args).map_err(|failure| failure.with_status(2))?;
    let mut global = PLAIN;
    for (letter, _) in &given.options {
        global.set(*letter);
    }
    let separator = match given.value('t') {
        Some(b"\\0") => Some(0),
        Some([byte]) => Some(*byte),
        Some(text) => return Err(Failure::usage(format!("multi-character tab '{}'", show(text)))),
        None => None,
    };
    let mut keys = Vec::new();
    for (letter, value) in &given.options {
        if let ('k', Some(text)) = (letter, value) {
            keys.push(key(text, global).ok_or_else(|| Failure::usage(format!("invalid key '{}'", show(text))))?);
        }
    }
    let end = if given.has('z') { 0 } else { b'\n' };
    let mut inputs = Vec::new();
    let standard = [b"-".to_vec()];
    for operand in if given.operands.is_empty() { &standard[..] } else { &given.operands } {
        let bytes = context.read(operand).map_err(|error| {
            Failure::usage(format!("cannot read: {}: {}", show(operand), crate::context::reason(&error)))
        })?;
        inputs.push(bytes);
    }
    let rank = |line| match keys.first() {
        Some(key) => rank(key.of(line, separator), key.order),
        None => rank(line, global),
    };
    let mut lines: Vec<Line> = Vec::new();
    for input in &inputs {
        let body = input.strip_suffix(&[end]).unwrap_or(input);
        if !input.is_empty() {
            lines.extend(body.split(|&byte| byte == end).map(|text| Line { text, rank: rank(text) }));
        }
    }
    let by_keys = |left: &Line, right: &Line| {
        let ranks = left.rank.cmp(&right.rank);
        ranks.then_with(|| compare_keys(left.text, right.text, &keys, global, separator))
    };
    let last_resort = !given.has('s') && !given.has('u');
    let compare = |left: &Line, right: &Line| {
        by_keys(left, right).then_with(|| match last_resort {
            true if global.reverse => right.text.cmp(left.text),
            true => left.text.cmp(right.text),
            false => Ordering::Equal,
        })
    };
    if let Some(letter) = given.last_of("cC") {
        let wrong = lines.windows(2).position(|pair| {
            let order = compare(&pair[0], &pair[1]);
            order.is_gt() || (given.has('u') && by_keys(&pair[0], &pair[1]).is_eq())
        });
        return match wrong {
            None => Ok(0),
            Some(_) if letter == 'C' => Ok(1),
            Some(at) => {
                let name = given.operands.first().map_or(&b"-"[..], Vec::as_slice);
                let message = format!("{}:{}: disorder: {}", show(name), at + 2, show(lines[at + 1].text));
                Err(Failure::new(message))
            }
        };
    }
    lines.sort_by(compare);
    if given.has('u') {
        lines.dedup_by(|right, left| by_keys(left, right).is_eq());
    }
    let mut out = Vec::with_capacity(inputs.iter().map(Vec::len).sum::<usize>() + 1);
    for line in lines {
        out.extend_from_slice(line.text);
        out.push(end);
    }
    match given.value('o') {
        Some(operand) => std::fs::write(context.path(operand), &out).map_err(|error| {
            Failure::usage(format!("open failed: {}: {}", show(operand), crate::context::reason(&error)))
        })?,
        None => context.stdout.write_all(&out)?,
    }
    Ok(0)
}

/// A line, and what says for most pairs which comes first.
struct Line<'a> {
    text: &'a [u8],
    rank: u64,
}

/// A number that is less only for what comes earlier. It says nothing of those for which it is equal.
fn rank(key: &[u8], order: Order) -> u64 {
    const MIDDLE: u64 = 1 << 63;
    /// Digits that fit a half.
    const MOST_DIGITS: usize = 18;
    let rank = match order.kind {
        Kind::Numeric => {
            let number = numeric(key);
            let whole = match number.whole.len() {
                0..=MOST_DIGITS => number.whole.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
                _ => MIDDLE - 1,
            };
            if number.negative { MIDDLE - whole } else { MIDDLE + whole }
        }
        Kind::General => {
            let bits = general(key).to_bits();
            if bits >= MIDDLE { !bits } else { bits | MIDDLE }
        }
        Kind::Human => MIDDLE.wrapping_add_signed(human(key).into()),
        Kind::Month => month(key) as u64,
        Kind::Version => 0,
        Kind::Text => {
            let mut start = [0; 8];
            start.iter_mut().zip(text(key, order)).for_each(|(place, byte)| *place = byte);
            u64::from_be_bytes(start)
        }
    };
    if order.reverse { !rank } else { rank }
}

fn compare_keys(left: &[u8], right: &[u8], keys: &[Key], global: Order, separator: Option<u8>) -> Ordering {
    let directed = |order: Order, left: &[u8], right: &[u8]| {
        let ordering = compare(left, right, order);
        if order.reverse { ordering.reverse() } else { ordering }
    };
    if keys.is_empty() {
        return directed(global, left, right);
    }
    for key in keys {
        let ordering = directed(key.order, key.of(left, separator), key.of(right, separator));
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

impl Key {
    fn of<'a>(&self, line: &'a [u8], separator: Option<u8>) -> &'a [u8] {
        let start = position(line, self.start.0, separator);
        let start = skip_blanks(line, start, self.skip_start);
        let start = (start + self.start.1 - 1).min(line.len());
        let end = match self.end {
            None => line.len(),
            Some((field, 0)) => field_end(line, field, separator),
            Some((field, character)) => {
                let begin = position(line, field, separator);
                (skip_blanks(line, begin, self.skip_end) + character).min(line.len())
            }
        };
        &line[start..end.max(start)]
    }
}

fn skip_blanks(line: &[u8], start: usize, skip: bool) -> usize {
    let blanks = line[start..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    start + if skip { blanks } else { 0 }
}

/// Where a field begins, counted from 1.
fn position(line: &[u8], field: usize, separator: Option<u8>) -> usize {
    if field == 1 {
        return 0;
    }
    let end = field_end(line, field - 1, separator);
    if separator.is_some() { (end + 1).min(line.len()) } else { end }
}

/// Where a field ends. Without a separator a field begins with the blanks before it.
fn field_end(line: &[u8], field: usize, separator: Option<u8>) -> usize {
    let mut at = 0;
    for index in 0..field {
        match separator {
            Some(separator) => {
                if index > 0 {
                    at += 1;
                }
                at = line
                    .get(at..)
                    .and_then(|rest| rest.iter().position(|&byte| byte == separator))
                    .map_or(line.len(), |found| at + found);
            }
            None => {
                at = skip_blanks(line, at, true);
                at += line[at..].iter().take_while(|byte| !matches!(byte, b' ' | b'\t')).count();
            }
        }
        if at >= line.len() {
            return line.len();
        }
    }
    at
}

fn compare(left: &[u8], right: &[u8], order: Order) -> Ordering {
    match order.kind {
        Kind::Numeric => numeric(left).compare(&numeric(right)),
        Kind::Human => human(left).cmp(&human(right)).then_with(|| numeric(left).compare(&numeric(right))),
        Kind::General => general(left).total_cmp(&general(right)),
        Kind::Month => month(left).cmp(&month(right)),
        Kind::Version => version(left, right),
        Kind::Text if !order.blanks && !order.dictionary && !order.fold && !order.printable => left.cmp(right),
        Kind::Text => text(left, order).cmp(text(right, order)),
    }
}

/// The bytes that count, in the form in which they are compared.
fn text(bytes: &[u8], order: Order) -> impl Iterator<Item = u8> + '_ {
    let start = skip_blanks(bytes, 0, order.blanks);
    bytes[start..]
        .iter()
        .filter(move |byte| !order.dictionary || byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'\t'))
        .filter(move |byte| !order.printable || byte.is_ascii_graphic() || **byte == b' ')
        .map(move |byte| if order.fold { byte.to_ascii_uppercase() } else { *byte })
}

/// A decimal number of any length.
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

fn numeric(bytes: &[u8]) -> Number<'_> {
    let bytes = &bytes[skip_blanks(bytes, 0, true)..];
    let (negative, bytes) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let length = digits(bytes);
    let zeros = bytes[..length].iter().take_while(|&&byte| byte == b'0').count();
    let fraction = match bytes.get(length) {
        Some(b'.') => &bytes[length + 1..length + 1 + digits(&bytes[length + 1..])],
        _ => b"",
    };
    let significant = fraction.iter().rposition(|&byte| byte != b'0').map_or(0, |at| at + 1);
    Number { negative, whole: &bytes[zeros..length], fraction: &fraction[..significant] }
}

impl Number<'_> {
    fn compare(&self, other: &Number) -> Ordering {
        let is_zero = |number: &Number| number.whole.is_empty() && number.fraction.is_empty();
        let magnitude = || {
            let whole = self.whole.len().cmp(&other.whole.len()).then_with(|| self.whole.cmp(other.whole));
            whole.then_with(|| self.fraction.cmp(other.fraction))
        };
        match (self.negative && !is_zero(self), other.negative && !is_zero(other)) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => magnitude().reverse(),
            (false, false) => magnitude(),
        }
    }
}

/// The rank of the unit after a number.
fn human(bytes: &[u8]) -> i32 {
    let number = numeric(bytes);
    let sign = if number.negative { -1 } else { 1 };
    let unit = bytes.iter().find(|byte| !byte.is_ascii_digit() && !b" \t-.".contains(byte));
    let rank = unit.and_then(|unit| b"kMGTPEZY".iter().position(|known| known.eq_ignore_ascii_case(unit)));
    sign * rank.map_or(0, |rank| rank as i32 + 1)
}

fn general(bytes: &[u8]) -> f64 {
    let text = show(bytes.trim_ascii_start()).into_owned();
    (0..=text.len())
        .rev()
        .filter(|&end| text.is_char_boundary(end))
        .find_map(|end| text[..end].parse().ok())
        .unwrap_or(f64::NEG_INFINITY)
}

fn month(bytes: &[u8]) -> usize {
    let name = show(bytes.trim_ascii_start()).to_uppercase();
    crate::calendar::MONTHS
        .iter()
        .position(|month| name.get(..3).is_some_and(|start| month[..3].eq_ignore_ascii_case(start)))
        .map_or(0, |position| position + 1)
}

/// Runs of digits are compared as numbers, the rest as text.
pub fn version(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        let text = |bytes: &[u8]| bytes.iter().take_while(|byte| !byte.is_ascii_digit()).count();
        let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (left_text, right_text) = (&left[..text(left)], &right[..text(right)]);
        // `~` comes before the end, letters before other signs.
        let rank = |byte: Option<&u8>| match byte {
            Some(b'~') => -1,
            None => 0,
            Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
            Some(byte) => i32::from(*byte) + 256,
        };
        for index in 0..left_text.len().max(right_text.len()) {
            let ordering = rank(left_text.get(index)).cmp(&rank(right_text.get(index)));
            if ordering.is_ne() {
                return ordering;
            }
        }
        (left, right) = (&left[left_text.len()..], &right[right_text.len()..]);
        let (left_digits, right_digits) = (&left[..digits(left)], &right[..digits(right)]);
        let ordering = numeric(left_digits).compare(&numeric(right_digits));
        if ordering.is_ne() {
            return ordering;
        }
        (left, right) = (&left[left_digits.len()..], &right[right_digits.len()..]);
        if left.is_empty() && right.is_empty() {
            return Ordering::Equal;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        let order = |kind| Order { kind, ..PLAIN };
        for (kind, left, right, expected) in [
            (Kind::Numeric, "10", "9", Ordering::Greater),
            (Kind::Numeric, "-1", "0", Ordering::Less),
            (Kind::Numeric, "1.5", "1.50", Ordering::Equal),
            (Kind::Human, "2K", "1M", Ordering::Less),
            (Kind::Version, "a-1.10", "a-1.9", Ordering::Greater),
            (Kind::Version, "1.0~rc1", "1.0", Ordering::Less),
            (Kind::Month, "JAN", "feb", Ordering::Less),
            (Kind::General, "1e3", "999", Ordering::Greater),
        ] {
            let (left, right) = (left.as_bytes(), right.as_bytes());
            assert_eq!(compare(left, right, order(kind)), expected, "{left:?} {right:?}");
        }
    }

    #[test]
    fn ranks_never_contradict() {
        let keys = [
            "",
            "0",
            "-0",
            "-1",
            "-1.5",
            "-.5",
            ".5",
            "1",
            "1.5",
            "9",
            "10",
            "99999999999999999999",
            "-99999999999999999999",
            "123456789012345678",
            "-123456789012345678",
            "1e3",
            "-1e3",
            "nan",
            "inf",
            "2K",
            "1M",
            "-1M",
            "JAN",
            "feb",
            "a",
            "A",
            " b",
            "ab",
            "ab\0",
            "abcdefgh",
            "abcdefghi",
            "\u{ff}",
        ];
        for kind in [Kind::Text, Kind::Numeric, Kind::General, Kind::Human, Kind::Month, Kind::Version] {
            for (fold, reverse) in [(false, false), (true, false), (false, true)] {
                let order = Order { kind, fold, dictionary: fold, reverse, ..PLAIN };
                for left in keys.map(str::as_bytes) {
                    for right in keys.map(str::as_bytes) {
                        let plain = compare(left, right, order);
                        let expected = if reverse { plain.reverse() } else { plain };
                        let found = rank(left, order).cmp(&rank(right, order));
                        assert!(found.is_eq() || found == expected, "{} {}", show(left), show(right));
                    }
                }
            }
        }
    }

    #[test]
    fn keys_of_lines() {
        for (spec, separator, line, expected) in [
            ("2", None, "a b c", " b c"),
            ("2,2", Some(b':'), "a:b:c", "b"),
            ("2.2,3.1", Some(b':'), "a:bcd:xyz", "cd:x"),
            ("5", Some(b':'), "a:b", ""),
        ] {
            let key = key(spec.as_bytes(), PLAIN).expect(spec);
            assert_eq!(show(key.of(line.as_bytes(), separator)), expected, "{spec}");
        }
    }
}
