//! Sizes as `--memory`, `--shm-size` and tmpfs take them: `64m`, `1.5g`, `512`; units are powers of 1024.

use crate::error::{Error, Result};

pub fn parse(text: &str) -> Result<u64> {
    let wrong = || Error::invalid("size", text, "write a number of bytes, or one with k, m, g or t");
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let (number, shift) = match lower.char_indices().last() {
        Some((at, 'k')) => (&lower[..at], 10),
        Some((at, 'm')) => (&lower[..at], 20),
        Some((at, 'g')) => (&lower[..at], 30),
        Some((at, 't')) => (&lower[..at], 40),
        _ => (lower, 0),
    };
    let number = number.trim_end();
    if !number.starts_with(|c: char| c.is_ascii_digit()) || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(wrong());
    }
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).ok_or_else(wrong);
    }
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * (1u64 << shift) as f64;
    if bytes < 9e18 { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        for (text, expected) in [
            ("512", Some(512)),
            ("64k", Some(65536)),
            ("64KB", Some(65536)),
            ("1.5g", Some(3 << 29)),
            ("1 GiB", Some(1 << 30)),
            ("0", Some(0)),
            ("", None),
            ("-1", None),
            ("m", None),
            ("1x", None),
            ("99999999999t", None),
            ("1e9", None),
            ("inf", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }
}
