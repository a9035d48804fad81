//! Whose modes the files of a context have: the host's, or those that git would give them everywhere.

use std::collections::BTreeMap;

use cap_std::fs::Dir;

use super::{Entry, EntryKind, stat};

/// How the modes of a context's files are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContextMode {
    /// As the host or the archive has them.
    #[default]
    Posix,
    /// As git has them: 0755 for directories and what is executable, 0644 for other files, whatever the umask and the host.
    /// The index of git says what is executable; where it does not know a file, the file itself does.
    Git,
}

const DIRECTORY: u32 = 0o755;
const EXECUTABLE: u32 = 0o755;
const FILE: u32 = 0o644;

/// Gives all entries the modes of git. `tracked` are the files that git knows; `root` is where the others lie, if they lie
/// on the host.
pub(super) fn normalise(entries: &mut [Entry], tracked: &BTreeMap<Vec<u8>, bool>, root: Option<&Dir>) {
    for entry in entries {
        entry.mode = match entry.kind {
            EntryKind::Directory => DIRECTORY,
            EntryKind::Symlink(_) => continue,
            EntryKind::File { .. } => {
                let known = tracked.get(&*entry.path).copied();
                let executable = known.unwrap_or_else(|| stat::is_executable(root, &entry.path, entry.mode));
                if executable { EXECUTABLE } else { FILE }
            }
            EntryKind::Member(_) => match entry.mode & 0o100 {
                0 => FILE,
                _ => EXECUTABLE,
            },
            EntryKind::Fifo | EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } | EntryKind::Socket => FILE,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_may_execute_counts() {
        let stat = kiln_store::Stat { device: 0, inode: 0, size: 0, mtime: (0, 0), ctime: (0, 0) };
        let file = || EntryKind::File { stat, linked: false };
        let entry = |path: &str, mode, kind| Entry { path: path.as_bytes().into(), mode, mtime: 0, kind };
        let mut entries = [
            entry("dir", 0o2700, EntryKind::Directory),
            entry("link", 0o777, EntryKind::Symlink(b"x".to_vec())),
            entry("known", 0o777, file()),
            entry("known-program", 0o600, file()),
            entry("fifo", 0o666, EntryKind::Fifo),
        ];
        let tracked = [("known", false), ("known-program", true)].map(|(path, executable)| (path.into(), executable));
        normalise(&mut entries, &tracked.into(), None);
        assert_eq!(entries.map(|entry| entry.mode), [0o755, 0o777, 0o644, 0o755, 0o644]);
        #[cfg(unix)]
        {
            let mut others = [entry("a", 0o4711, file()), entry("b", 0o677, file())];
            normalise(&mut others, &BTreeMap::new(), None);
            assert_eq!(others.map(|entry| entry.mode), [0o755, 0o644]);
        }
    }
}
