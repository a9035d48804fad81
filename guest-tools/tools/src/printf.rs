//! `printf`.

use crate::context::{Context, Failure, Outcome, show};
use crate::escapes::{Style, decode};

/// What a run of printf prints and complains of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Printed {
    pub out: Vec<u8>,
    pub complaints: Vec<String>,
}

pub fn printf(context: &mut Context) -> Outcome {
    let args = match context.args.first() {
        Some(first) if first == b"--" => &context.args[1..],
        _ => context.args,
    };
    let Some((format, values)) = args.split_first() else {
        return Err(Failure::usage("usage: printf format [arg ...]"));
    };
    let printed = format_all(format, values);
    context.stdout.write_all(&printed.out)?;
    for complaint in &printed.complaints {
        context.complain(complaint);
    }
    Ok(u8::from(!printed.complaints.is_empty()))
}

/// The format applied until the values are used up, and at least once.
pub fn format_all(format: &[u8], values: &[Vec<u8>]) -> Printed {
    let mut printed = Printed::default();
    let mut values = values.iter();
    loop {
        let before = values.len();
        if format_once(format, &mut values, &mut printed) || values.len() == 0 || values.len() == before {
            return printed;
        }
    }
}

#[derive(Default)]
struct Directive {
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// Far more than any output needs, so that a width cannot exhaust memory.
const MAX_WIDTH: usize = 1 << 20;

/// Returns whether `\c` ended all output.
fn format_once(format: &[u8], values: &mut std::slice::Iter<Vec<u8>>, printed: &mut Printed) -> bool {
    let mut rest = format;
    while let Some(&byte) = rest.first() {
        if byte != b'%' {
            let length = rest.iter().position(|&byte| byte == b'%').unwrap_or(rest.len());
            printed.out.extend_from_slice(&decode(&rest[..length], Style::Format).bytes);
            rest = &rest[length..];
            continue;
        }
        rest = &rest[1..];
        if rest.first() == Some(&b'%') {
            printed.out.push(b'%');
            rest = &rest[1..];
            continue;
        }
        let mut directive = Directive::default();
        while let Some(&flag) = rest.first() {
            match flag {
                b'-' => directive.minus = true,
                b'+' => directive.plus = true,
                b' ' => directive.space = true,
                b'0' => directive.zero = true,
                b'#' => directive.alternate = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        if let Some(width) = count(&mut rest, values, printed) {
            directive.minus |= width < 0;
            directive.width = (width.unsigned_abs() as usize).min(MAX_WIDTH);
        }
        if rest.first() == Some(&b'.') {
            rest = &rest[1..];
            let precision = count(&mut rest, values, printed).unwrap_or(0);
            directive.precision = usize::try_from(precision).ok().map(|precision| precision.min(MAX_WIDTH));
        }
        while matches!(rest.first(), Some(b'l' | b'h' | b'L' | b'q' | b'j' | b'z' | b't')) {
            rest = &rest[1..];
        }
        let Some((&conversion, after)) = rest.split_first() else {
            printed.complaints.push("%: missing format character".into());
            return true;
        };
        rest = after;
        let value = values.next().map(Vec::as_slice);
        match conversion {
            b's' => directive.pad_text(value.unwrap_or_default(), &mut printed.out),
            b'b' => {
                let decoded = decode(value.unwrap_or_default(), Style::Echo);
                directive.pad_text(&decoded.bytes, &mut printed.out);
                if decoded.stop {
                    return true;
                }
            }
            b'c' => {
                directive.pad_text(&value.unwrap_or_default()[..value.map_or(0, |v| v.len().min(1))], &mut printed.out);
            }
            b'd' | b'i' => {
                let number = integer(value, printed);
                let sign = if number < 0 { "-" } else { directive.sign() };
                directive.pad_number(sign, &number.unsigned_abs().to_string(), &mut printed.out);
            }
            b'u' | b'o' | b'x' | b'X' => {
                let number = integer(value, printed) as u64;
                let (prefix, digits) = match conversion {
                    b'u' => ("", number.to_string()),
                    b'o' => ("0", format!("{number:o}")),
                    b'x' => ("0x", format!("{number:x}")),
                    _ => ("0X", format!("{number:X}")),
                };
                let prefix = if directive.alternate && number != 0 { prefix } else { "" };
                directive.pad_number(prefix, &digits, &mut printed.out);
            }
            b'f' | b'F' | b'e' | b'E' | b'g' | b'G' => {
                let number = float(value, printed);
                let sign = if number.is_sign_negative() { "-" } else { directive.sign() };
                let digits =
                    float_digits(number.abs(), conversion, directive.precision.unwrap_or(6), directive.alternate);
                let plain = Directive { precision: None, zero: directive.zero && number.is_finite(), ..directive };
                plain.pad_number(sign, &digits, &mut printed.out);
            }
            _ => {
                printed.complaints.push(format!("%{}: invalid directive", show(&[conversion])));
                return true;
            }
        }
    }
    false
}

/// A width or precision, of digits or from the values.
fn count(rest: &mut &[u8], values: &mut std::slice::Iter<Vec<u8>>, printed: &mut Printed) -> Option<i64> {
    if rest.first() == Some(&b'*') {
        *rest = &rest[1..];
        return Some(integer(values.next().map(Vec::as_slice), printed));
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, after) = rest.split_at(digits);
    *rest = after;
    (digits > 0).then(|| show(number).parse().unwrap_or(i64::MAX))
}

fn integer(value: Option<&[u8]>, printed: &mut Printed) -> i64 {
    let text = value.unwrap_or_default();
    if let Some([b'\'' | b'"', character, ..]) = value {
        return i64::from(*character);
    }
    if value.is_none() {
        return 0;
    }
    let shown = show(text).into_owned();
    let (negative, digits) = match shown.trim_start().strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, shown.trim_start().trim_start_matches('+')),
    };
    let (radix, digits) = match digits {
        _ if digits.starts_with("0x") || digits.starts_with("0X") => (16, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    let length = digits.find(|digit: char| !digit.is_digit(radix)).unwrap_or(digits.len());
    if length == 0 {
        printed.complaints.push(format!("{shown}: expected numeric value"));
        return 0;
    }
    if length < digits.len() {
        printed.complaints.push(format!("{shown}: not completely converted"));
    }
    match u64::from_str_radix(&digits[..length], radix) {
        Ok(number) if negative => (number as i64).wrapping_neg(),
        Ok(number) => number as i64,
        Err(_) => {
            printed.complaints.push(format!("{shown}: Result too large"));
            if negative { i64::MIN } else { i64::MAX }
        }
    }
}

fn float(value: Option<&[u8]>, printed: &mut Printed) -> f64 {
    let Some(text) = value else { return 0.0 };
    if let [b'\'' | b'"', character, ..] = text {
        return f64::from(*character);
    }
    match show(text).trim().parse() {
        Ok(number) => number,
        Err(_) => {
            printed.complaints.push(format!("{}: expected numeric value", show(text)));
            0.0
        }
    }
}

/// A number that is not negative, as C prints it.
pub fn float_digits(number: f64, conversion: u8, precision: usize, alternate: bool) -> String {
    if !number.is_finite() {
        let text = if number.is_nan() { "nan" } else { "inf" };
        return if conversion.is_ascii_uppercase() { text.to_uppercase() } else { text.into() };
    }
    let precision = precision.min(1100);
    let text = match conversion {
        b'f' | b'F' => format!("{number:.precision$}"),
        b'e' | b'E' => exponential(number, precision),
        _ => {
            let significant = precision.max(1);
            let exponent = exponent_of(number, significant);
            let text = if exponent < -4 || exponent >= significant as i32 {
                exponential(number, significant - 1)
            } else {
                let decimals = (significant as i32 - 1 - exponent).max(0) as usize;
                format!("{number:.decimals$}")
            };
            if alternate { text } else { without_trailing_zeros(&text) }
        }
    };
    if conversion.is_ascii_uppercase() { text.to_uppercase() } else { text }
}

fn exponent_of(number: f64, significant: usize) -> i32 {
    let text = format!("{number:.*e}", significant - 1);
    text.split('e').nth(1).and_then(|exponent| exponent.parse().ok()).unwrap_or(0)
}

fn exponential(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn without_trailing_zeros(text: &str) -> String {
    let (mantissa, exponent) = match text.find('e') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    if !mantissa.contains('.') {
        return text.to_string();
    }
    format!("{}{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
}

impl Directive {
    fn sign(&self) -> &'static str {
        match (self.plus, self.space) {
            (true, _) => "+",
            (false, true) => " ",
            (false, false) => "",
        }
    }

    fn pad_text(&self, text: &[u8], out: &mut Vec<u8>) {
        let text = &text[..self.precision.unwrap_or(text.len()).min(text.len())];
        let padding = self.width.saturating_sub(text.len());
        if !self.minus {
            out.extend(std::iter::repeat_n(b' ', padding));
        }
        out.extend_from_slice(text);
        if self.minus {
            out.extend(std::iter::repeat_n(b' ', padding));
        }
    }

    fn pad_number(&self, sign: &str, digits: &str, out: &mut Vec<u8>) {
        let zeros = self.precision.unwrap_or(0).saturating_sub(digits.len());
        let length = sign.len() + zeros + digits.len();
        let padding = self.width.saturating_sub(length);
        let pad_zeros = self.zero && !self.minus && self.precision.is_none();
        if !self.minus && !pad_zeros {
            out.extend(std::iter::repeat_n(b' ', padding));
        }
        out.extend_from_slice(sign.as_bytes());
        out.extend(std::iter::repeat_n(b'0', zeros + if pad_zeros { padding } else { 0 }));
        out.extend_from_slice(digits.as_bytes());
        if self.minus {
            out.extend(std::iter::repeat_n(b' ', padding));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_like_c() {
        for (format, values, expected) in [
            ("%s-%s\\n", &["a", "b", "c"][..], "a-b\nc-\n"),
            ("%5d|%-5d|%05d", &["42", "42", "42"], "   42|42   |00042"),
            ("%x %o %X %#x", &["255", "8", "255", "255"], "ff 10 FF 0xff"),
            ("%.2f %e %g", &["3.14159", "12345.678", "0.0001"], "3.14 1.234568e+04 0.0001"),
            ("%b|%c", &["a\\tb", "xyz"], "a\tb|x"),
            ("%*d %.3s", &["5", "7", "abcdef"], "    7 abc"),
            ("%d %d", &["0x10", "'A"], "16 65"),
            ("100%%", &[], "100%"),
            ("%+d % d", &["5", "5"], "+5  5"),
        ] {
            let values: Vec<_> = values.iter().map(|value| value.as_bytes().to_vec()).collect();
            let printed = format_all(format.as_bytes(), &values);
            assert_eq!(String::from_utf8_lossy(&printed.out), expected, "{format}");
            assert!(printed.complaints.is_empty());
        }
    }
}
