//! Go's literals: numbers, characters and strings.

/// A number as it stands in a template; what it is depends on where it is used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number {
    pub(crate) text: String,
    /// Its value if it is whole and fits 64 bits, whatever its syntax.
    pub(crate) whole: Option<i128>,
    pub(crate) float: Option<f64>,
}

/// What a number is where nothing particular is expected.
pub(crate) enum Constant {
    Whole(i64),
    Float(f64),
    TooBig,
}

impl Number {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let illegal = || format!("illegal number syntax: {text:?}");
        if !underscores_separate_digits(text) {
            return Err(illegal());
        }
        let plain = text.replace('_', "");
        let float = parse_float(&plain);
        let of_float = || float.filter(|value| value.fract() == 0.0 && value.abs() < 1.9e19).map(|value| value as i128);
        let whole = parse_whole(&plain).or_else(of_float);
        let fits = |value: &i128| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(value);
        let number = Self { text: text.to_owned(), whole: whole.filter(fits), float };
        if number.whole.is_none() && number.float.is_none() {
            return Err(if whole.is_some() { format!("integer overflow: {text:?}") } else { illegal() });
        }
        Ok(number)
    }

    pub(crate) fn character(text: &str) -> Result<Self, String> {
        let malformed = || format!("malformed character constant: {text}");
        let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).ok_or_else(malformed)?;
        let mut rest = inner.chars().as_str();
        let c = unquoted_char(&mut rest, '\'').ok_or_else(malformed)?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        Ok(Self { text: text.to_owned(), whole: Some(i128::from(c)), float: Some(f64::from(c)) })
    }

    pub(crate) fn constant(&self) -> Constant {
        let hexadecimal = self.text.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("0x");
        let is_float = !self.text.starts_with('\'')
            && self.text.contains(if hexadecimal { &['p', 'P'][..] } else { &['.', 'e', 'E'][..] });
        match (self.whole.map(i64::try_from), self.float) {
            (_, Some(float)) if is_float => Constant::Float(float),
            (Some(Ok(whole)), _) => Constant::Whole(whole),
            _ => Constant::TooBig,
        }
    }
}

fn parse_whole(text: &str) -> Option<i128> {
    let (negative, digits) = sign(text);
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

fn parse_float(text: &str) -> Option<f64> {
    let (negative, digits) = sign(text);
    let lower = digits.to_ascii_lowercase();
    let value = match lower.strip_prefix("0x") {
        Some(hexadecimal) => hexadecimal_float(hexadecimal)?,
        // Rust reads `inf` and `nan` as well.
        None if lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') => lower.parse().ok()?,
        None => return None,
    };
    Some(if negative { -value } else { value }).filter(|value: &f64| value.is_finite())
}

fn hexadecimal_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent: i32 = exponent.parse().ok()?;
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?.checked_mul(4)?)?;
    Some(value * 2f64.powi(exponent))
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// An underscore follows a digit or the base, and a digit follows it.
fn underscores_separate_digits(text: &str) -> bool {
    if !text.contains('_') {
        return true;
    }
    let (_, text) = sign(text);
    let lower = text.to_ascii_lowercase();
    let hexadecimal = lower.starts_with("0x");
    let based = hexadecimal || lower.starts_with("0b") || lower.starts_with("0o");
    let mut before = if based { '0' } else { '^' };
    for c in lower.chars().skip(if based { 2 } else { 0 }) {
        match c {
            '_' if before != '0' => return false,
            '_' => before = '_',
            _ if c.is_ascii_digit() || (hexadecimal && c.is_ascii_hexdigit()) => before = '0',
            _ if before == '_' => return false,
            _ => before = '!',
        }
    }
    before != '_'
}

/// The text of a quoted or raw string, its quotes included. Bytes that are no UTF-8 become U+FFFD.
pub(crate) fn unquote(text: &str) -> Result<String, String> {
    let invalid = || "invalid syntax".to_owned();
    if let Some(raw) = text.strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
        return Ok(raw.replace('\r', ""));
    }
    let mut rest = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or_else(invalid)?;
    let mut bytes = Vec::new();
    while !rest.is_empty() {
        let is_byte = matches!(rest.as_bytes(), [b'\\', b'x' | b'0'..=b'7', ..]);
        let c = unquoted_char(&mut rest, '"').ok_or_else(invalid)?;
        match u8::try_from(c) {
            Ok(byte) if is_byte => bytes.push(byte),
            _ => bytes.extend(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER).to_string().bytes()),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Takes one character, or an escape, from the front.
fn unquoted_char(rest: &mut &str, quote: char) -> Option<u32> {
    let mut chars = rest.chars();
    let first = chars.next().filter(|&first| first != quote)?;
    if first != '\\' {
        *rest = chars.as_str();
        return Some(u32::from(first));
    }
    let escape = chars.next()?;
    let mut digits = |count: usize, radix: u32, first: Option<char>| {
        let mut value = first.and_then(|first| first.to_digit(radix)).unwrap_or(0);
        for _ in 0..count {
            value = value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)?;
        }
        Some(value)
    };
    let value = match escape {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '\\' => u32::from('\\'),
        'x' => digits(2, 16, None)?,
        'u' => digits(4, 16, None)?,
        'U' => digits(8, 16, None)?,
        '0'..='7' => digits(2, 8, Some(escape)).filter(|&value| value < 256)?,
        '\'' | '"' if escape == quote => u32::from(quote),
        _ => return None,
    };
    if matches!(escape, 'u' | 'U') && char::from_u32(value).is_none() {
        return None;
    }
    *rest = chars.as_str();
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_gos() {
        for (text, whole, float) in [
            ("0", Some(0), Some(0.0)),
            ("-73", Some(-73), Some(-73.0)),
            ("7_3", Some(73), Some(73.0)),
            ("0b10_010_01", Some(73), None),
            ("073", Some(0o73), Some(73.0)),
            ("0X_7F", Some(127), None),
            ("1e9", Some(1_000_000_000), Some(1e9)),
            ("1E1_9", Some(10_000_000_000_000_000_000), Some(1e19)),
            ("-1.2", None, Some(-1.2)),
            (".5", None, Some(0.5)),
            ("0x_1p-4", None, Some(1.0 / 16.0)),
            ("18446744073709551615", Some(u64::MAX.into()), Some(1.844_674_407_370_955_2e19)),
        ] {
            let number = Number::parse(text).expect(text);
            assert_eq!((number.whole, number.float), (whole, float), "{text}");
        }
        for text in ["+-2", "0x123.", "1e.", "1__0", "_1", "1_", "0x", "", "-", ".", "1e", "0b2", "08_"] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn strings_and_characters_are_gos() {
        assert_eq!(unquote(r#""a\tb\n\x41\101\u00e9\U0001F600\"""#).as_deref(), Ok("a\tb\nAA\u{e9}\u{1f600}\""));
        assert_eq!(unquote("`a\\n\r`").as_deref(), Ok("a\\n"));
        assert_eq!(unquote(r#""\xff""#).as_deref(), Ok("\u{fffd}"));
        for text in [r#""\q""#, r#""\'""#, r#""\ud800""#, r#""\x1""#, r#""\400""#] {
            assert!(unquote(text).is_err(), "{text}");
        }
        assert_eq!(Number::character(r"'\''").map(|number| number.whole), Ok(Some(39)));
        assert_eq!(Number::character("'パ'").map(|number| number.whole), Ok(Some(0x30d1)));
        for text in ["''", "'xx'", "'\\\"'", "'x"] {
            assert!(Number::character(text).is_err(), "{text}");
        }
    }
}
