//! Paths inside an image: bytes, separated by `/`, without a leading slash; the root is empty.
//!
//! Image paths are neither `Path` nor `str`: they mean the same on every host, and a tar may hold any bytes.

/// Resolves `.`, `..` and repeated slashes by the text alone. A `..` at the root stays there.
///
/// Symbolic links are not looked at: use a view of the image where they matter.
pub fn clean(path: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out: Vec<&[u8]> = Vec::new();
    for part in components(path.as_ref()) {
        match part {
            b"." => {}
            b".." => {
                out.pop();
            }
            _ => out.push(part),
        }
    }
    out.join(&b'/')
}

/// The parts between slashes, empty ones left out.
pub fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty())
}

/// `base` and `path` as one clean path; an absolute `path` replaces `base`.
pub fn join(base: &[u8], path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return clean(path);
    }
    clean([base, path].join(&b'/'))
}

/// The directory that holds a clean `path`; the root's is the root, which `None` says.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(path.iter().rposition(|&byte| byte == b'/').map_or(&[][..], |slash| &path[..slash]))
}

/// The last part of a clean `path`.
pub fn name(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(path, |slash| &path[slash + 1..])
}

/// Every directory above a clean `path`, from the top down, without the root.
pub fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| &path[..at])
}

/// A path as people write it: with a leading slash, invalid UTF-8 replaced.
pub fn display(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_never_leaves_the_root() {
        for (from, to) in [("/", ""), ("/a//b/", "a/b"), ("a/../../b", "b"), ("../..", ""), ("./a/.", "a")] {
            assert_eq!(clean(from), to.as_bytes(), "{from}");
        }
    }

    #[test]
    fn join_takes_absolute_paths_as_they_are() {
        assert_eq!(join(b"a/b", b"c"), b"a/b/c");
        assert_eq!(join(b"a/b", b"/c"), b"c");
        assert_eq!(join(b"a/b", b"../../../c"), b"c");
    }

    #[test]
    fn parts_of_a_path() {
        assert_eq!(parent(b""), None);
        assert_eq!(parent(b"a"), Some(&b""[..]));
        assert_eq!(parent(b"a/b/c"), Some(&b"a/b"[..]));
        assert_eq!(name(b"a/b/c"), b"c");
        assert_eq!(ancestors(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b"]);
    }
}
