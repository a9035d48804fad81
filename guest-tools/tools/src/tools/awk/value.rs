//! Values: numbers, texts, and texts from outside that look like numbers.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::printf::float_digits;

#[derive(Debug, Clone, Default)]
pub(super) enum Value {
    #[default]
    Unset,
    Number(f64),
    Text(Rc<[u8]>),
    /// Input: a number in comparisons if it looks like one.
    Input(Rc<[u8]>),
}

pub(super) type Array = Rc<RefCell<BTreeMap<Vec<u8>, Value>>>;

/// What a variable holds.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Scalar(Value),
    Array(Array),
}

impl Default for Cell {
    fn default() -> Cell {
        Cell::Scalar(Value::Unset)
    }
}

impl Value {
    pub(super) fn text(bytes: &[u8]) -> Value {
        Value::Text(bytes.into())
    }

    pub(super) fn input(bytes: &[u8]) -> Value {
        Value::Input(bytes.into())
    }

    pub(super) fn boolean(truth: bool) -> Value {
        Value::Number(f64::from(u8::from(truth)))
    }

    pub(super) fn number(&self) -> f64 {
        match self {
            Value::Unset => 0.0,
            Value::Number(number) => *number,
            Value::Text(text) | Value::Input(text) => leading_number(text).0,
        }
    }

    /// As text, numbers in the given format.
    pub(super) fn bytes(&self, format: &[u8]) -> Rc<[u8]> {
        match self {
            Value::Unset => Rc::from(&b""[..]),
            Value::Number(number) => number_text(*number, format).into(),
            Value::Text(text) | Value::Input(text) => text.clone(),
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Unset => false,
            Value::Number(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Input(text) => match numeric(text) {
                Some(number) => number != 0.0,
                None => !text.is_empty(),
            },
        }
    }

    /// The number, if it counts as one in a comparison.
    fn as_number(&self) -> Option<f64> {
        match self {
            Value::Unset => Some(0.0),
            Value::Number(number) => Some(*number),
            Value::Text(_) => None,
            Value::Input(text) => numeric(text),
        }
    }

    pub(super) fn compare(&self, other: &Value, format: &[u8]) -> Option<Ordering> {
        match (self.as_number(), other.as_number()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => Some(self.bytes(format).cmp(&other.bytes(format))),
        }
    }
}

/// A text that is a number and nothing else, but for blanks.
fn numeric(text: &[u8]) -> Option<f64> {
    let (number, length) = leading_number(text);
    (length > 0 && text[length..].iter().all(u8::is_ascii_whitespace)).then_some(number)
}

/// The decimal number at the beginning, and where it ends; 0 if there is none.
fn leading_number(text: &[u8]) -> (f64, usize) {
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let rest = &text[blanks..];
    let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
    let digits =
        |from: usize| rest.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(sign);
    let mut length = sign + whole;
    let mut fraction = 0;
    if rest.get(length) == Some(&b'.') {
        fraction = digits(length + 1);
        length += 1 + fraction;
    }
    if whole + fraction == 0 {
        return (0.0, 0);
    }
    if matches!(rest.get(length), Some(b'e' | b'E')) {
        let exponent_sign = usize::from(matches!(rest.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + exponent_sign);
        if exponent > 0 {
            length += 1 + exponent_sign + exponent;
        }
    }
    let number = std::str::from_utf8(&rest[..length]).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    (number, blanks + length)
}

/// Whole numbers without a point, others in the format.
pub(super) fn number_text(number: f64, format: &[u8]) -> Vec<u8> {
    if number == number.trunc() && number.abs() < 1e16 {
        return format!("{}", number as i64).into_bytes();
    }
    if format == b"%.6g" {
        let sign = if number < 0.0 { "-" } else { "" };
        return format!("{sign}{}", float_digits(number.abs(), b'g', 6, false)).into_bytes();
    }
    super::functions::format(format, &[Value::Number(number)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts() {
        for (text, number, looks) in
            [("10", 10.0, true), (" 1e2 ", 100.0, true), ("3x", 3.0, false), ("", 0.0, false), ("+.5", 0.5, true)]
        {
            assert_eq!(leading_number(text.as_bytes()).0, number, "{text}");
            assert_eq!(numeric(text.as_bytes()).is_some(), looks, "{text}");
        }
        assert_eq!(number_text(0.1 + 0.2, b"%.6g"), b"0.3");
        assert_eq!(number_text(1e6, b"%.6g"), b"1000000");
    }
}
