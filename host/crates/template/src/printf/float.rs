//! Floating-point numbers as Go writes them.

use super::format::Flags;

pub(super) fn is_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G')
}

/// The number with its sign, and whether zeros may be put before it.
pub(super) fn format(number: f64, verb: char, flags: &Flags) -> (String, bool) {
    let sign = match () {
        () if number.is_sign_negative() && !number.is_nan() => "-",
        () if flags.plus || flags.plus_v => "+",
        () if flags.space => " ",
        () => "",
    };
    let number = number.abs();
    if !number.is_finite() {
        return (
            if number.is_nan() {
                format!("{sign}NaN")
            } else {
                format!("{}Inf", if sign.is_empty() { "+" } else { sign })
            },
            false,
        );
    }
    let text = match verb {
        'f' | 'F' => fixed(number, flags),
        'e' | 'E' => scientific(number, flags),
        _ => shortest(number, flags),
    };
    let text = if matches!(verb, 'E' | 'G') { text.to_uppercase() } else { text };
    (format!("{sign}{text}"), true)
}

fn fixed(number: f64, flags: &Flags) -> String {
    let precision = flags.precision.unwrap_or(6);
    let text = precise(precision, |digits| format!("{number:.digits$}"));
    if flags.sharp && precision == 0 { text + "." } else { text }
}

fn scientific(number: f64, flags: &Flags) -> String {
    let precision = flags.precision.unwrap_or(6);
    let text = precise(precision, |digits| format!("{number:.digits$e}"));
    let (mantissa, exponent) = split(&text);
    let point = if flags.sharp && precision == 0 { "." } else { "" };
    format!("{mantissa}{point}{}", exponent_text(exponent))
}

/// `%g`: the shorter of both forms, without zeros at its end.
fn shortest(number: f64, flags: &Flags) -> String {
    let wanted = flags.precision.map(|precision| precision.max(1));
    let text = match wanted {
        Some(digits) => precise(digits - 1, |digits| format!("{number:.digits$e}")),
        None => format!("{number:e}"),
    };
    let (mantissa, exponent) = split(&text);
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_end_matches('0').len().max(1);
    let before_point = usize::try_from(exponent + 1).unwrap_or(0);
    // From which exponent on Go prefers the scientific form.
    let limit = match wanted {
        None => 6,
        Some(digits) if digits > significant && significant >= before_point => significant,
        Some(digits) => digits,
    };
    let keep = if flags.sharp { wanted.unwrap_or(6).max(significant) } else { significant };
    digits.truncate(keep);
    while digits.len() < keep {
        digits.push('0');
    }
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() && !flags.sharp { "" } else { "." };
        return format!("{first}{point}{rest}{}", exponent_text(exponent));
    }
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("0.{zeros}{digits}");
    }
    while digits.len() < before_point {
        digits.push('0');
    }
    let (whole, fraction) = digits.split_at(before_point);
    if fraction.is_empty() && !flags.sharp { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// No f64 has more digits than this that are not zero; formatting is asked for no more, and zeros are added.
const MOST_DIGITS: usize = 1100;

fn precise(digits: usize, format: impl Fn(usize) -> String) -> String {
    if digits <= MOST_DIGITS {
        return format(digits);
    }
    let text = format(MOST_DIGITS);
    let zeros = "0".repeat(digits - MOST_DIGITS);
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{mantissa}{zeros}e{exponent}"),
        None => text + &zeros,
    }
}

fn split(text: &str) -> (&str, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    (mantissa, exponent.parse().unwrap_or(0))
}

fn exponent_text(exponent: i32) -> String {
    format!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}
