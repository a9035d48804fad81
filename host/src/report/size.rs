//! Sizes as people read them: decimal units, rounded to a number of significant digits.

const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// What lists show: 3 significant digits, like `844kB` and `1.84kB`.
pub(crate) fn short(bytes: u64) -> String {
    format(bytes, 3)
}

/// What the size of a context shows: 4 significant digits, like `2.048kB`.
pub(crate) fn exact(bytes: u64) -> String {
    format(bytes, 4)
}

/// A size as people write it: `50GB`, `1.5g`, `512MiB`. One letter, with or without `B`, is decimal.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let (base, unit) = match unit.strip_suffix("ib") {
        Some(unit) if !unit.is_empty() => (1024f64, unit),
        _ => (1000f64, unit.strip_suffix('b').unwrap_or(unit)),
    };
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|&name| name == unit)?;
    let number = number.trim_end();
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let bytes = number.parse::<f64>().ok()? * base.powi(power as i32);
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

fn format(bytes: u64, digits: usize) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    loop {
        // What rounding makes of 999.9 decides the unit: `1MB`, not `1000kB`.
        let rounded = round(value, digits);
        if rounded < 1000.0 || unit + 1 == UNITS.len() {
            return format!("{rounded}{}", UNITS[unit]);
        }
        value /= 1000.0;
        unit += 1;
    }
}

fn round(value: f64, digits: usize) -> f64 {
    let integer_digits = if value < 10.0 { 1 } else { value.log10().floor() as usize + 1 };
    let scale = 10f64.powi(digits.saturating_sub(integer_digits) as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_show_three_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (1, "1B"),
            (999, "999B"),
            (1000, "1kB"),
            (1_840, "1.84kB"),
            (13_256, "13.3kB"),
            (843_800, "844kB"),
            (999_499, "999kB"),
            (999_500, "1MB"),
            (1_239_820, "1.24MB"),
            (7_860_000, "7.86MB"),
            (12_854_000, "12.9MB"),
            (24_200_000, "24.2MB"),
            (63_480_000, "63.5MB"),
            (64_190_000, "64.2MB"),
            (72_780_000, "72.8MB"),
            (86_100_000, "86.1MB"),
            (119_900_000, "120MB"),
            (126_000_000, "126MB"),
            (203_900_000, "204MB"),
            (237_400_000, "237MB"),
            (300_600_000, "301MB"),
            (1_000_000_000, "1GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(short(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("512b", Some(512)),
            ("50GB", Some(50_000_000_000)),
            ("1.5 g", Some(1_500_000_000)),
            ("2MiB", Some(2 << 20)),
            ("1k", Some(1000)),
            ("", None),
            ("GB", None),
            ("-1", None),
            ("1x", None),
            ("1e3", None),
            ("inf", None),
            ("99999999PB", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
    }

    #[test]
    fn the_context_shows_four() {
        for (bytes, text) in
            [(2048, "2.048kB"), (3072, "3.072kB"), (857_088, "857.1kB"), (22_016, "22.02kB"), (1024, "1.024kB")]
        {
            assert_eq!(exact(bytes), text, "{bytes}");
        }
    }
}
