//! The numbers of tar headers.

/// A numeric field: octal digits between spaces and NULs, or GNU's base-256.
pub(super) fn field(bytes: &[u8]) -> Option<i64> {
    match bytes.first()? {
        first if first & 0x80 != 0 => base256(bytes),
        _ => octal(bytes),
    }
}

fn octal(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.trim_ascii_start();
    let end = digits.iter().position(|&byte| byte == 0 || byte == b' ').unwrap_or(digits.len());
    digits[..end].iter().try_fold(0i64, |value, &digit| {
        let digit = i64::from(digit).checked_sub(i64::from(b'0')).filter(|digit| (0..8).contains(digit))?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

/// Two's complement, big-endian; the first bit is the marker, the second the sign.
fn base256(bytes: &[u8]) -> Option<i64> {
    let negative = bytes[0] & 0x40 != 0;
    let start = i64::from(bytes[0] & 0x7f) - if negative { 0x80 } else { 0 };
    bytes[1..].iter().try_fold(start, |value, &byte| value.checked_mul(256)?.checked_add(i64::from(byte)))
}

/// Seconds of a pax time such as `-1.25`, fractions rounded down.
pub(super) fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let before = whole.starts_with('-') && fraction.bytes().any(|byte| byte != b'0');
    seconds.checked_sub(before.into())
}

/// A decimal number of a pax record.
pub(super) fn decimal<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (bytes, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"77777777777", Some(0o77_777_777_777)),
            (b"8\0", None),
            (b"-1\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(field(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn times() {
        for (text, expected) in
            [("12.9", Some(12)), ("-1", Some(-1)), ("-1.5", Some(-2)), ("-0.5", Some(-1)), ("1.x", None), ("", None)]
        {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
    }
}
