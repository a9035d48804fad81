//! Following symbolic links beneath a root that is not the host's.

use std::collections::VecDeque;

use kiln_types::paths;

/// Linux gives up after as many (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What lies at a path, links not followed.
pub(crate) enum Seen {
    Directory,
    Symlink(Vec<u8>),
    Other,
}

/// A path without links in it.
pub(crate) struct Resolved {
    pub(crate) path: Vec<u8>,
    /// How many of its components exist.
    pub(crate) existing: usize,
}

#[derive(Debug)]
pub(crate) enum Failure<E> {
    TooManyLinks,
    /// This stands in the way: it is no directory.
    NotADirectory(Vec<u8>),
    Look(E),
}

/// Resolves `path` as a process would whose root directory this were: absolute links begin at the root again, and
/// nothing leads out of it. Components after the first missing one are taken as they stand.
pub(crate) fn resolve<E>(
    path: &[u8],
    mut look: impl FnMut(&[u8]) -> Result<Option<Seen>, E>,
) -> Result<Resolved, Failure<E>> {
    let mut left: VecDeque<Vec<u8>> = paths::components(path).map(<[u8]>::to_vec).collect();
    let mut real: Vec<Vec<u8>> = Vec::new();
    let mut existing = 0;
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        match part.as_slice() {
            b"." => continue,
            b".." => {
                real.pop();
                existing = existing.min(real.len());
                continue;
            }
            _ => real.push(part),
        }
        if existing + 1 < real.len() {
            continue;
        }
        let here = real.join(&b'/');
        match look(&here).map_err(Failure::Look)? {
            None => {}
            Some(Seen::Symlink(target)) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Failure::TooManyLinks);
                }
                real.pop();
                if target.starts_with(b"/") {
                    real.clear();
                    existing = 0;
                }
                for part in paths::components(&target).rev() {
                    left.push_front(part.to_vec());
                }
            }
            Some(Seen::Other) if !left.is_empty() => return Err(Failure::NotADirectory(here)),
            Some(Seen::Directory | Seen::Other) => existing = real.len(),
        }
    }
    Ok(Resolved { path: real.join(&b'/'), existing })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a/dir` is a directory, the rest links.
    fn look(path: &[u8]) -> Result<Option<Seen>, ()> {
        Ok(match path {
            b"a" | b"a/dir" => Some(Seen::Directory),
            b"file" => Some(Seen::Other),
            b"absolute" => Some(Seen::Symlink(b"/a/dir".to_vec())),
            b"a/up" => Some(Seen::Symlink(b"../../../a/./dir".to_vec())),
            b"loop" => Some(Seen::Symlink(b"loop".to_vec())),
            b"dangling" => Some(Seen::Symlink(b"a/nothing".to_vec())),
            _ => None,
        })
    }

    fn resolved(path: &str) -> Option<(String, usize)> {
        let resolved = resolve(path.as_bytes(), look).ok()?;
        Some((String::from_utf8(resolved.path).expect("ASCII"), resolved.existing))
    }

    #[test]
    fn links_stay_beneath_the_root() {
        for (path, real, existing) in [
            ("", "", 0),
            ("a/dir", "a/dir", 2),
            ("absolute", "a/dir", 2),
            ("a/up/x/y", "a/dir/x/y", 2),
            ("../../a", "a", 1),
            ("dangling", "a/nothing", 1),
            ("new/../a/dir", "a/dir", 2),
        ] {
            assert_eq!(resolved(path), Some((real.to_owned(), existing)), "{path}");
        }
    }

    #[test]
    fn loops_and_files_in_the_way_end_it() {
        assert!(matches!(resolve(b"loop/x", look), Err(Failure::TooManyLinks)));
        assert!(matches!(resolve(b"file/x", look), Err(Failure::NotADirectory(path)) if path == b"file"));
    }
}
