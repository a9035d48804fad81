//! The files of a log: the one that is written, and those before it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Those before the one that is written: 1 is the newest.
fn numbered(path: &Path, number: u32) -> PathBuf {
    path.with_extension(number.to_string())
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Begins a new file at `path`, so that there are at most `most`. At every moment there is one at `path`.
pub(super) fn rotate(path: &Path, most: u32) -> io::Result<File> {
    let next = path.with_extension("next");
    ignore_missing(fs::remove_file(&next))?;
    let file = File::options().create_new(true).append(true).open(&next)?;
    if most > 1 {
        // The first number that is free, or the last, which goes.
        let last = (1..most - 1).find(|&number| !numbered(path, number).exists()).unwrap_or(most - 1);
        for number in (1..last).rev() {
            fs::rename(numbered(path, number), numbered(path, number + 1))?;
        }
        ignore_missing(fs::remove_file(numbered(path, 1)))?;
        fs::hard_link(path, numbered(path, 1))?;
    }
    fs::rename(&next, path)?;
    Ok(file)
}

/// The files that were begun after the one that is `known`, oldest first; all of them if that is gone.
pub(super) fn newer_than(path: &Path, known: Option<Identity>) -> io::Result<Vec<File>> {
    let mut found: Vec<(Identity, File)> = Vec::new();
    let mut missing = 0;
    // The newest first: one that is rotated meanwhile is met a second time, and none is missed. While that goes on, one
    // number has no file.
    for number in 0.. {
        let file = match File::open(if number == 0 { path.to_owned() } else { numbered(path, number) }) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && missing == 0 => {
                missing += 1;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        missing = 0;
        let identity = Identity::of(&file)?;
        if Some(identity) == known {
            break;
        }
        if !found.iter().any(|(other, _)| *other == identity) {
            found.push((identity, file));
        }
    }
    Ok(found.into_iter().rev().map(|(_, file)| file).collect())
}

/// A file, whatever it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    #[cfg(unix)]
    pub(super) fn of(file: &File) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = file.metadata()?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }

    /// Logs have one file there.
    #[cfg(not(unix))]
    pub(super) fn of(_: &File) -> io::Result<Self> {
        Ok(Self(0, 0))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_rotation_in_progress_hides_no_file() {
        for (names, expected) in [
            (&["log", "log.2", "log.3"][..], "log.3 log.2 log"),
            (&["log", "log.1", "log.3"], "log.3 log.1 log"),
            (&["log", "log.1"], "log.1 log"),
            (&["log", "log.3"], "log"),
            (&[], ""),
        ] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            for name in names {
                fs::write(directory.path().join(name), name).expect("ours");
            }
            let texts =
                newer_than(&directory.path().join("log"), None).expect("readable").into_iter().map(|mut file| {
                    let mut text = String::new();
                    file.read_to_string(&mut text).expect("readable");
                    text
                });
            assert_eq!(texts.collect::<Vec<_>>().join(" "), expected);
        }
    }
}
