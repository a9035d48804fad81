//! Searching bytes, eight at a time.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

fn word(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// Where `needle` first stands in `text`. Looks for its first and its last byte at once, so that little else has to be
/// compared.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let (Some(&first), Some(&last)) = (needle.first(), needle.last()) else { return Some(0) };
    let distance = needle.len() - 1;
    let (firsts, lasts) = (ONES * u64::from(first), ONES * u64::from(last));
    let mut at = 0;
    while let Some(ends) = word(text, at + distance) {
        let Some(starts) = word(text, at) else { break };
        // Bytes that are zero are places where both fit.
        let differences = (starts ^ firsts) | (ends ^ lasts);
        // A place after a real one may be marked wrongly, never one before it.
        let mut places = differences.wrapping_sub(ONES) & !differences & HIGH;
        while places != 0 {
            let start = at + places.trailing_zeros() as usize / 8;
            if text[start..].starts_with(needle) {
                return Some(start);
            }
            places &= places - 1;
        }
        at += 8;
    }
    (at..(text.len() + 1).saturating_sub(needle.len())).find(|&start| text[start..].starts_with(needle))
}

/// Where a byte first stands.
pub fn position(text: &[u8], byte: u8) -> Option<usize> {
    find(text, &[byte])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_plain_search_finds() {
        // Bytes that differ in one bit only, at every alignment.
        let text: Vec<u8> = (0..200u32).map(|index| b"\0\x01\x80\x81ab"[(index * index / 7 % 6) as usize]).collect();
        for length in 0..20 {
            for start in 0..=text.len() - length {
                let needle = &text[start..start + length];
                let plain = (0..=text.len() - length).find(|&at| text[at..].starts_with(needle));
                assert_eq!(find(&text, needle), plain, "{needle:?}");
                assert!(find(&text[..start], needle).is_none_or(|at| at + length <= start));
            }
        }
        assert_eq!(find(b"abc", b"abcd"), None);
        assert_eq!(find(b"", b"a"), None);
        assert_eq!(position(b"0123456789:", b':'), Some(10));
    }
}
