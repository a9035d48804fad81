//! Writes headers: ustar, with a pax header before it only where ustar cannot say it.

use super::BLOCK;
use super::records::append_record;
use crate::error::{Error, Result};
use crate::meta::Meta;

/// Two zero blocks, and nothing after them.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Largest numbers of the seven- and eleven-digit octal fields.
const MAX_SHORT: u64 = 0o7_777_777;
const MAX_LONG: u64 = 0o77_777_777_777;

/// Bytes of zeros that follow `size` bytes of content.
pub(crate) fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK as u64) as usize
}

pub(crate) struct Header<'a> {
    /// `0` file, `1` hard link, `2` symbolic link, `3` `4` devices, `5` directory, `6` fifo.
    pub(crate) kind: u8,
    /// With a trailing slash for directories.
    pub(crate) path: &'a [u8],
    pub(crate) link: &'a [u8],
    pub(crate) meta: &'a Meta,
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
}

pub(crate) fn append_header(out: &mut Vec<u8>, header: &Header<'_>) -> Result<()> {
    let Header { kind, path, link, meta, size, device: (major, minor) } = *header;
    if path.contains(&0) || link.contains(&0) {
        return Err(unrepresentable(path, "its name or target has a NUL byte"));
    }
    if u64::from(major.max(minor)) > MAX_SHORT {
        return Err(unrepresentable(path, "its device numbers are too big"));
    }
    let mut records = Vec::new();
    let (prefix, name) = split(path).unwrap_or_else(|| {
        append_record(&mut records, b"path", path);
        (b"", &path[..path.len().min(100)])
    });
    if link.len() > 100 || !link.is_ascii() {
        append_record(&mut records, b"linkpath", link);
    }
    let mut number = |key: &str, value: u64, max: u64| {
        if value > max {
            append_record(&mut records, key.as_bytes(), value.to_string().as_bytes());
        }
        if value > max { 0 } else { value }
    };
    let size_field = number("size", size, MAX_LONG);
    let uid = number("uid", meta.uid.into(), MAX_SHORT);
    let gid = number("gid", meta.gid.into(), MAX_SHORT);
    let mtime = match u64::try_from(meta.mtime) {
        Ok(mtime) if mtime <= MAX_LONG => mtime,
        _ => {
            append_record(&mut records, b"mtime", meta.mtime.to_string().as_bytes());
            0
        }
    };
    for (key, value) in &meta.xattrs {
        if key.contains(&b'=') || key.contains(&0) {
            return Err(unrepresentable(path, "the name of an extended attribute has a `=` or NUL byte"));
        }
        append_record(&mut records, &[b"SCHILY.xattr.", key.as_slice()].concat(), value);
    }
    if !records.is_empty() {
        let plain =
            Fields { mode: 0o644, size: records.len() as u64, kind: b'x', name: b"PaxHeaders/0", ..Fields::default() };
        plain.append(out);
        out.extend_from_slice(&records);
        out.resize(out.len() + padding(records.len() as u64), 0);
    }
    let mode = meta.mode & 0o7777;
    let link = &link[..link.len().min(100)];
    Fields { name, prefix, mode, uid, gid, size: size_field, mtime, kind, link, major, minor }.append(out);
    Ok(())
}

fn unrepresentable(path: &[u8], reason: &'static str) -> Error {
    Error::Unrepresentable { path: kiln_types::paths::display(path), reason }
}

/// A path as ustar's prefix and name, where it fits.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some((b"", path));
    }
    // The last slash that leaves at least one byte of name and at most 155 of prefix.
    let end = path.len().min(157) - 1;
    let slash = path[..end].iter().rposition(|&byte| byte == b'/')?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    (!prefix.is_empty() && name.len() <= 100).then_some((prefix, name))
}

#[derive(Default)]
struct Fields<'a> {
    name: &'a [u8],
    prefix: &'a [u8],
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: u64,
    kind: u8,
    link: &'a [u8],
    major: u32,
    minor: u32,
}

impl Fields<'_> {
    fn append(&self, out: &mut Vec<u8>) {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, self.name);
        put(100, &octal::<7>(self.mode.into()));
        put(108, &octal::<7>(self.uid));
        put(116, &octal::<7>(self.gid));
        put(124, &octal::<11>(self.size));
        put(136, &octal::<11>(self.mtime));
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, self.link);
        put(257, b"ustar\x0000");
        put(329, &octal::<7>(self.major.into()));
        put(337, &octal::<7>(self.minor.into()));
        put(345, self.prefix);
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        block[148..154].copy_from_slice(&octal::<6>(sum));
        block[154] = 0;
        out.extend_from_slice(&block);
    }
}

fn octal<const DIGITS: usize>(mut value: u64) -> [u8; DIGITS] {
    let mut out = [b'0'; DIGITS];
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_where_ustar_can() {
        let long = |n| "n".repeat(n);
        for (path, expected) in [
            (long(100), Some((0, 100))),
            (long(101), None),
            (format!("{}/{}", long(155), long(100)), Some((155, 100))),
            (format!("{}/{}", long(156), long(100)), None),
            (format!("{}/{}/", long(80), long(99)), Some((80, 100))),
            (format!("{}/{}", long(10), long(101)), None),
            (format!("/{}", long(101)), None),
            ("ü".to_owned(), None),
        ] {
            let got = split(path.as_bytes()).map(|(prefix, name)| (prefix.len(), name.len()));
            assert_eq!(got, expected, "{path}");
        }
    }
}
