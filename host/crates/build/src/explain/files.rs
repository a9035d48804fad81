//! The files of a COPY or ADD beside those that an earlier one put into its layer.

use std::cmp::Ordering;

use kiln_image::{Entry, Kind, compare_paths};
use kiln_store::Store;
use kiln_types::{Digest, paths};

use super::FileChanges;
use crate::record::Record;

/// Beyond this many they are only counted.
const LISTED: usize = 1000;

/// One file, as it will be in the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// What it is besides a content: `file`, `directory`, `symlink target`.
    pub(crate) what: Vec<u8>,
    pub(crate) digest: Option<Digest>,
    /// It is to be unpacked if it is one.
    pub(crate) may_be_archive: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// `+` added, `-` removed, `~` changed.
    pub sign: char,
    pub path: String,
    /// Of one that changed: `content`, `mode 644 → 755`, …
    pub how: String,
}

/// What differs between the files to be copied and those of the layer that `record` has.
pub(super) fn changes(files: Option<&[Listed]>, record: &Record, store: &Store) -> FileChanges {
    let layer = record.layer.filter(|layer| store.has_blob(&layer.diff_id));
    let layer = layer.and_then(|layer| store.layer(&layer.diff_id).ok());
    match (files, layer) {
        (Some(files), Some(layer)) => {
            let mut earlier: Vec<Listed> = Vec::new();
            for entry in layer.index.iter() {
                let Ok(entry) = entry else { return FileChanges::Unknown };
                if !entry.implied {
                    earlier.push(listed(&entry));
                }
            }
            // Of an archive the earlier layer has what was in it, and what is in this one nobody knows yet.
            let is_there = |file: &Listed| earlier.binary_search_by(|one| compare_paths(&one.path, &file.path)).is_ok();
            if files.iter().all(|file| !file.may_be_archive || is_there(file)) {
                return compare(&earlier, files);
            }
            FileChanges::Unknown
        }
        _ => FileChanges::Unknown,
    }
}

fn listed(entry: &Entry<'_>) -> Listed {
    let (what, digest) = match entry.kind {
        Kind::Directory { .. } => (b"directory".to_vec(), None),
        Kind::File { digest, .. } => (b"file".to_vec(), Some(digest)),
        Kind::Symlink(target) => ([b"symlink ", target].concat(), None),
        Kind::HardLink(target) => ([b"hardlink ", target].concat(), None),
        Kind::CharDevice { major, minor } => (format!("character device {major} {minor}").into_bytes(), None),
        Kind::BlockDevice { major, minor } => (format!("block device {major} {minor}").into_bytes(), None),
        Kind::Fifo => (b"fifo".to_vec(), None),
        Kind::Whiteout => (b"whiteout".to_vec(), None),
    };
    Listed {
        path: entry.path.to_vec(),
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        what,
        digest,
        may_be_archive: false,
    }
}

/// Both sorted as change sets are.
fn compare(was: &[Listed], is: &[Listed]) -> FileChanges {
    let (mut was, mut is) = (was.iter().peekable(), is.iter().peekable());
    let (mut changes, mut total) = (Vec::new(), 0);
    loop {
        let order = match (was.peek(), is.peek()) {
            (None, None) => return FileChanges::Listed { changes, total },
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(was), Some(is)) => compare_paths(&was.path, &is.path),
        };
        let before = if order.is_le() { was.next() } else { None };
        let now = if order.is_ge() { is.next() } else { None };
        let Some(change) = change(before, now) else { continue };
        total += 1;
        if changes.len() < LISTED {
            changes.push(change);
        }
    }
}

fn change(was: Option<&Listed>, is: Option<&Listed>) -> Option<FileChange> {
    let one = |sign, path: &[u8], how| Some(FileChange { sign, path: paths::display(path), how });
    match (was, is) {
        (None, None) => None,
        (Some(was), None) => one('-', &was.path, String::new()),
        (None, Some(is)) => one('+', &is.path, String::new()),
        (Some(was), Some(is)) => {
            let how = how(was, is);
            if how.is_empty() { None } else { one('~', &is.path, how.join(", ")) }
        }
    }
}

fn how(was: &Listed, is: &Listed) -> Vec<String> {
    let mut how = Vec::new();
    if was.what != is.what {
        let [was, is] = [was, is].map(|file| String::from_utf8_lossy(&file.what));
        how.push(format!("{was} → {is}"));
    } else if was.digest != is.digest {
        how.push("content".to_owned());
    }
    if was.mode != is.mode {
        how.push(format!("mode {:o} → {:o}", was.mode, is.mode));
    }
    if (was.uid, was.gid) != (is.uid, is.gid) {
        how.push(format!("owner {}:{} → {}:{}", was.uid, was.gid, is.uid, is.gid));
    }
    how
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> Listed {
        let digest = Some(Digest::of(content));
        Listed {
            path: path.as_bytes().to_vec(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            what: b"file".to_vec(),
            digest,
            may_be_archive: false,
        }
    }

    #[test]
    fn each_file_is_compared_with_the_one_of_its_name() {
        let was = [file("a", "1"), file("b", "1"), file("c", "1"), file("d", "1"), file("e", "1")];
        let link = Listed { what: b"symlink a".to_vec(), digest: None, ..file("d", "") };
        let is =
            [file("b", "1"), file("c", "2"), link, Listed { mode: 0o755, uid: 7, ..file("e", "1") }, file("f", "1")];
        let FileChanges::Listed { changes, total } = compare(&was, &is) else { panic!("both are known") };
        let lines: Vec<String> =
            changes.iter().map(|change| format!("{} {} {}", change.sign, change.path, change.how)).collect();
        let expected =
            ["- /a ", "~ /c content", "~ /d file → symlink a", "~ /e mode 644 → 755, owner 0:0 → 7:0", "+ /f "];
        assert_eq!((lines, total), (expected.map(str::to_owned).to_vec(), 5));
    }

    #[test]
    fn very_many_are_counted() {
        let many: Vec<Listed> = (0..LISTED + 5).map(|number| file(&format!("{number:05}"), "")).collect();
        let FileChanges::Listed { changes, total } = compare(&[], &many) else { panic!("both are known") };
        assert_eq!((changes.len(), total), (LISTED, LISTED + 5));
    }
}
