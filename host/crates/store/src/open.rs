//! Opening a store: its folders, its version, and recovery where a power loss may have spoilt something.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use kiln_image::Layer;
use kiln_types::Digest;

use crate::aside::Aside;
use crate::durable::Durable;
use crate::files::{self, make_private_directory};
use crate::hash_cache::HashCache;
use crate::mounts::Mounts;
use crate::scratch::Session;
use crate::space::Ledger;
use crate::{Error, Result, locks};

const FORMAT: u32 = 2;
/// Its images are read as they are; the records of its steps are none any more, and are made again.
const FORMER: u32 = 1;

/// In the order in which they are made.
const DIRECTORIES: &[&str] = &[
    "blobs",
    "blobs/sha256",
    "cache-mounts",
    "containers",
    "containers/names",
    "downloads",
    "failures",
    "images",
    "images/by-id",
    "images/names",
    "images/removed",
    "incoming",
    "layers",
    "locks",
    "modules",
    "steps",
    "tmp",
    "unpacked",
    "volumes",
];

/// One process' hold on a store. While it lives, no other process collects anything. Shared between threads.
pub struct Store {
    root: PathBuf,
    /// Locked shared by all who have the store open, exclusively by who collects or recovers.
    pub(crate) in_use: File,
    pub(crate) durable: Durable,
    /// Before the session, which tells of it if this process is killed.
    pub(crate) ledger: Ledger,
    pub(crate) session: Mutex<Option<Arc<Session>>>,
    pub(crate) layers: Mutex<HashMap<Digest, Arc<Layer>>>,
    /// Layers whose directory form is known to be there.
    pub(crate) directories: Mutex<HashSet<Digest>>,
    pub(crate) mounts: Mounts,
    pub(crate) context_hashes: HashCache,
    /// Where the store can only be read.
    pub(crate) aside: Option<Aside>,
}

impl Store {
    /// Opens the store in that folder and makes it where there is none.
    ///
    /// # Errors
    /// `ReadOnly` where it can only be read.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_with(root, None)
    }

    /// The same for those who want to keep nothing. Of a store that can only be read, what has to be derived lies in a
    /// folder in `aside` until it is closed.
    pub fn open_to_read(root: &Path, aside: &Path) -> Result<Self> {
        Self::open_with(root, Some(Aside::new(aside)))
    }

    fn open_with(root: &Path, aside: Option<Aside>) -> Result<Self> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::io(root, "create", &path, source)
        };
        make_private_directory(root, true).map_err(failed(root))?;
        // Locks and container mounts must not depend on the current directory.
        let root = &fs::canonicalize(root).map_err(failed(root))?;
        check_format(root, aside.is_some())?;
        // One look instead of a try for each: every command opens the store.
        let there: HashSet<_> = files::list(root).map_err(failed(root))?.iter().map(DirEntry::file_name).collect();
        let is_there = |name: &str| there.contains(OsStr::new(name));
        let all_were_made = DIRECTORIES.last().is_some_and(|last| is_there(last));
        for name in DIRECTORIES {
            if !(all_were_made && is_there(name.split('/').next().unwrap_or(name))) {
                let path = root.join(name);
                match make_private_directory(&path, false) {
                    // What an older kiln did not have has nothing to be read.
                    Err(error) if aside.is_some() && locks::is_refusal(&error) => {}
                    made => made.map_err(failed(&path))?,
                }
            }
        }
        let lock = root.join("locks/use");
        let (in_use, writable) = locks::open_readable(&lock).map_err(failed(&lock))?;
        if !writable && aside.is_none() {
            return Err(Error::ReadOnly { root: root.to_owned() });
        }
        let store = Self {
            in_use,
            durable: Durable::new(root),
            ledger: Ledger::new(root),
            session: Mutex::default(),
            layers: Mutex::default(),
            directories: Mutex::default(),
            mounts: Mounts::default(),
            context_hashes: HashCache::new(root),
            aside: aside.filter(|_| !writable),
            root: root.to_owned(),
        };
        store.take(writable)?;
        Ok(store)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where what came from URLs and repositories is kept.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// Where the WASI executor keeps compiled modules.
    pub fn modules(&self) -> PathBuf {
        self.root.join("modules")
    }

    pub(crate) fn lock_path(&self, kind: &str, digest: &Digest) -> Result<PathBuf> {
        Ok(self.workplace()?.join(format!("locks/{kind}-{}", digest.hex())))
    }

    /// Locks the store as in use, after recovering it if it has to be. One that can only be read is looked at as it is.
    fn take(&self, writable: bool) -> Result<()> {
        let failed = |source| self.io("lock", &self.root, source);
        while writable && self.durable.needs_recovery().map_err(failed)? {
            locks::exclusive(&self.in_use).map_err(failed)?;
            // Another may have recovered it while this one waited.
            if self.durable.needs_recovery().map_err(failed)? {
                self.recover()?;
            }
            self.in_use.unlock().map_err(failed)?;
        }
        locks::shared(&self.in_use).map_err(failed)
    }
}

/// Reads `version`, or writes it where the folder is new.
fn check_format(root: &Path, to_read: bool) -> Result<()> {
    let path = root.join("version");
    let found = files::read_optional(&path).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => Error::Private { root: root.to_owned(), source },
        _ => Error::io(root, "read", &path, source),
    })?;
    let found = found.as_deref().map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    match found.as_deref() {
        Some(text) if text.parse() == Ok(FORMAT) => Ok(()),
        // Empty if a process died, or is, between creating and writing it.
        Some("") => write_format(root, &path),
        Some(text) if text.parse() == Ok(FORMER) => match write_format(root, &path) {
            Err(Error::ReadOnly { .. }) if to_read => Ok(()),
            written => written,
        },
        Some(text) if text.parse::<u32>().is_ok() => {
            Err(Error::NewerFormat { root: root.to_owned(), found: text.to_owned(), known: FORMAT })
        }
        Some(_) => Err(Error::NotAStore { root: root.to_owned() }),
        None => {
            let content = files::list(root).map_err(|source| Error::io(root, "list", root, source))?;
            // Another process may be making it at this moment.
            if content.iter().any(|entry| entry.file_name() != "version") {
                return Err(Error::NotAStore { root: root.to_owned() });
            }
            // The folder may have been made by somebody else, for all to enter.
            #[cfg(unix)]
            fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o700))
                .map_err(|source| Error::io(root, "set the permissions of", root, source))?;
            write_format(root, &path)
        }
    }
}

fn write_format(root: &Path, path: &Path) -> Result<()> {
    fs::write(path, format!("{FORMAT}\n")).map_err(|source| match locks::is_refusal(&source) {
        true => Error::ReadOnly { root: root.to_owned() },
        false => Error::io(root, "write", path, source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_becomes_a_store_once() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let root = directory.path().join("a/b");
        for _ in 0..2 {
            Store::open(&root).expect("store");
            assert_eq!(fs::read_to_string(root.join("version")).expect("version"), "2\n");
            fs::write(root.join("version"), "1\n").expect("write");
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&root).expect("metadata").permissions().mode() & 0o777, 0o700);
        }
        // What is derived may be removed, and a process may die right after creating `version`.
        fs::remove_dir_all(root.join("unpacked")).expect("remove");
        fs::write(root.join("version"), "").expect("write");
        Store::open(&root).expect("store");
        assert!(root.join("unpacked").exists());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let root = directory.path();
        let message = || Store::open(root).err().expect("refused").to_string();
        fs::write(root.join("letter.txt"), "dear all").expect("write");
        assert!(message().contains("is not empty and not a store of kiln"), "{}", message());
        fs::write(root.join("version"), "7\n").expect("write");
        let expected =
            "was written by a newer kiln (format 7, this one knows 2); use that kiln, or another folder with --root";
        assert!(message().ends_with(expected), "{}", message());
        fs::write(root.join("version"), b"\xff\0 1").expect("write");
        assert!(message().contains("not a store"), "{}", message());
    }
}
