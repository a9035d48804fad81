//! Durations as Go's `time.ParseDuration` reads them: `1h30m`, `1.5s`, `100ms`.

use std::time::Duration;

/// The duration, or what is wrong with it. Negative ones are refused: no instruction takes them.
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    let rest = text.strip_prefix('+').unwrap_or(text);
    if rest.starts_with('-') {
        return Err("must not be negative");
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err("is empty");
    }
    let mut total: u128 = 0;
    let mut rest = rest;
    while !rest.is_empty() {
        let (amount, after) = number(rest).ok_or("is not a number followed by a unit")?;
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let nanoseconds: u128 = match &after[..unit_end] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err("lacks a unit"),
            _ => return Err("has an unknown unit"),
        };
        total += amount.in_nanoseconds(nanoseconds).ok_or("is too long")?;
        if total > i64::MAX as u128 {
            return Err("is too long");
        }
        rest = &after[unit_end..];
    }
    Ok(Duration::from_nanos(u64::try_from(total).map_err(|_| "is too long")?))
}

struct Amount {
    whole: u128,
    /// The digits after the point: `fraction / scale`.
    fraction: u128,
    scale: u128,
}

impl Amount {
    fn in_nanoseconds(&self, unit: u128) -> Option<u128> {
        self.whole.checked_mul(unit)?.checked_add(self.fraction * unit / self.scale)
    }
}

fn number(text: &str) -> Option<(Amount, &str)> {
    let whole_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, mut rest) = text.split_at(whole_end);
    let mut amount = Amount { whole: 0, fraction: 0, scale: 1 };
    for digit in whole.bytes() {
        amount.whole = amount.whole.saturating_mul(10).saturating_add(u128::from(digit - b'0'));
    }
    let mut digits = whole.len();
    if let Some(after) = rest.strip_prefix('.') {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        // No unit is long enough for the digits after the fifteenth to matter.
        for digit in after[..end].bytes().take(15) {
            amount.fraction = amount.fraction * 10 + u128::from(digit - b'0');
            amount.scale *= 10;
        }
        digits += end;
        rest = &after[end..];
    }
    (digits > 0).then_some((amount, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("1h15m30.918s", 4_530_918_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("12µs", 12_000),
            ("12μs", 12_000),
            ("0.100000000000000000000h", 360_000_000_000),
            ("2562047h47m16.854775807s", i64::MAX as u64),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
        for text in ["", "3", "-1s", "s", ".", "-.s", ".s", "+.s", "1d", "1.2.3s", "2562047h47m16.854775808s", "9e9s"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("{}h", "9".repeat(10_000))).is_err());
    }
}
