//! Extended attributes as they stand after an inode.

use crate::index::{Entry, Kind};
use crate::meta::is_overlays_own;

/// Bytes before the first attribute.
const HEADER: usize = 12;
const MAX_NAME: usize = 255;

/// Name spaces that the kernel shows of an EROFS as they are. Access control lists are none: it reads them itself.
const PREFIXES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];

/// The attributes of an entry and overlayfs' own; empty where there are none. `None` where EROFS or Linux has no room.
pub(super) fn encode(entry: &Entry<'_>) -> Option<Vec<u8>> {
    let opaque = matches!(entry.kind, Kind::Directory { opaque: true });
    let opaque = opaque.then_some((&b"trusted.overlay.opaque"[..], &b"y"[..]));
    let own = entry.xattrs().filter(|(name, _)| !is_overlays_own(name));
    let mut out = Vec::new();
    for (name, value) in own.chain(opaque) {
        if name.len() > MAX_NAME {
            return None;
        }
        let (rest, prefix) =
            PREFIXES.iter().find_map(|(prefix, number)| Some((name.strip_prefix(*prefix)?, *number)))?;
        if rest.is_empty() {
            return None;
        }
        out.resize(out.len().max(HEADER), 0);
        out.extend_from_slice(&[rest.len() as u8, prefix]);
        out.extend_from_slice(&u16::try_from(value.len()).ok()?.to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    (out.len() <= HEADER + 4 * (usize::from(u16::MAX) - 1)).then_some(out)
}

/// How an inode says that so many bytes of attributes follow it.
pub(super) fn count(length: usize) -> u16 {
    if length == 0 { 0 } else { ((length - HEADER) / 4 + 1) as u16 }
}
