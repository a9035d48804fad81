//! Pax records: `length key=value\n`, the length counting itself.

/// Appends one record.
pub(super) fn append_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Splits the first record off: key, value and what follows.
pub(super) fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_itself() {
        for value in [0, 1, 90, 91, 92, 93, 94, 95, 980, 990, 991, 992, 993, 994, 995, 9_985] {
            let mut out = Vec::new();
            append_record(&mut out, b"path", &vec![b'v'; value]);
            let text =
                String::from_utf8_lossy(&out[..out.iter().position(|&b| b == b' ').expect("space")]).into_owned();
            assert_eq!(text, out.len().to_string());
            let (key, got, rest) = split_record(&out).expect("own record");
            assert_eq!((key, got.len(), rest.len()), (&b"path"[..], value, 0));
        }
    }

    #[test]
    fn refuses_bad_records() {
        for bytes in [
            "",
            " ",
            "5",
            "3 a",
            "0 a=b\n",
            "6 a=b",
            "99 a=b\n",
            "6 a:bc\n",
            "-6 a=b\n",
            "99999999999999999999999 a=b\n",
        ] {
            assert!(split_record(bytes.as_bytes()).is_none(), "{bytes}");
        }
    }
}
