//! Durability: a power loss must not leave a file that looks whole and is not, and no step may wait for the disk.
//!
//! Files are renamed into place at once and written out in the background. Until a file is known to be on the disk its
//! owner may write it (0600); afterwards nobody may (0400). So the file itself says whether it can be trusted after a
//! power loss, also to another process that wants to refer to it. `boot` names the boot in which such files were made
//! and is itself durable before the first of them. A store that is opened in another boot is recovered once: what is
//! still writable is checked against its digest, or removed if it is derived. After `kill -9` within one boot there is
//! nothing to do: the system has all that was written.
//!
//! Names are written only after all that they lead to is durable. Where the host does not tell one boot from another,
//! every blob is durable before it is renamed.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kiln_image::Index;
use kiln_types::{Digest, Hasher};
use rayon::prelude::*;

use crate::files::{self, Durability, TemporaryFile};
use crate::writeback::Writeback;
use crate::{Result, Store, locks, seal};

pub(crate) struct Durable {
    root: PathBuf,
    /// `None` where the host does not tell.
    boot: Option<String>,
    marked: Mutex<bool>,
    pub(crate) writeback: Arc<Writeback>,
}

/// Has the disk work at a file while that is written from some place to its end: syncing it waits less then.
#[derive(Default)]
pub(crate) struct Ahead {
    written: u64,
    begun: u64,
}

impl Ahead {
    pub(crate) fn from(offset: u64) -> Self {
        Self { written: offset, begun: offset }
    }

    /// So many bytes more were written.
    pub(crate) fn wrote(&mut self, file: &File, count: u64) {
        /// Enough for one long run of blocks.
        const PIECE: u64 = 4 << 20;
        self.written += count;
        if self.written - self.begun >= PIECE {
            #[cfg(target_os = "linux")]
            kiln_sys::writeback::begin(file, self.begun, self.written - self.begun);
            #[cfg(not(target_os = "linux"))]
            let _ = file;
            self.begun = self.written;
        }
    }
}

/// Writes a file from its beginning to its end so.
pub(crate) struct Early<'a> {
    file: &'a File,
    ahead: Ahead,
}

impl<'a> Early<'a> {
    pub(crate) fn new(file: &'a File) -> Self {
        Self { file, ahead: Ahead::default() }
    }
}

impl Write for Early<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.ahead.wrote(self.file, count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the file is known to be on the disk.
fn is_durable(metadata: &Metadata) -> bool {
    metadata.permissions().readonly()
}

pub(crate) fn make_durable(file: &File) -> io::Result<()> {
    file.sync_data()?;
    seal::set(file);
    // Elsewhere a read-only file could not be replaced or removed.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o400))?;
    Ok(())
}

/// An index has digests of all its parts.
fn is_whole_index(path: &Path) -> bool {
    let open = || File::open(path).ok();
    let index = open().and_then(|file| Index::read(file).ok());
    index.zip(open()).is_some_and(|(index, file)| index.check_image(file).is_ok())
}

fn current_boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

impl Durable {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), boot: current_boot(), marked: Mutex::new(false), writeback: Arc::default() }
    }

    /// The one that this is, where the host tells.
    pub(crate) fn boot(&self) -> Option<&str> {
        self.boot.as_deref()
    }

    fn marker(&self) -> PathBuf {
        self.root.join("boot")
    }

    /// Whether files of another boot may be in the store that were not on the disk at its end.
    pub(crate) fn needs_recovery(&self) -> io::Result<bool> {
        let marker = files::read_optional(&self.marker())?;
        Ok(marker.is_some_and(|found| self.boot.as_ref().is_none_or(|boot| boot.as_bytes() != found)))
    }

    /// Notes durably that this boot makes files that are not durable yet. Costs something once per boot.
    pub(crate) fn mark_boot(&self) -> io::Result<()> {
        let Some(boot) = &self.boot else { return Ok(()) };
        let mut marked = self.marked.lock().unwrap_or_else(PoisonError::into_inner);
        if !*marked && files::read_optional(&self.marker())?.as_deref() != Some(boot.as_bytes()) {
            // Or else a cleaner of `tmp` could take it for a leftover.
            let making = locks::open(&self.root.join("locks/tmp"))?;
            locks::shared(&making)?;
            let temporary = self.root.join(format!("tmp/boot-{}", std::process::id()));
            fs::write(&temporary, boot)?;
            File::open(&temporary)?.sync_all()?;
            fs::rename(&temporary, self.marker())?;
            files::sync_directory(&self.root)?;
        }
        *marked = true;
        Ok(())
    }

    pub(crate) fn before_rename(&self, file: &File, durability: Durability) -> io::Result<()> {
        match durability {
            Durability::Now => make_durable(file),
            Durability::Later if self.boot.is_none() => make_durable(file),
            Durability::Later | Durability::WhenNeeded => self.mark_boot(),
            Durability::Reached => Ok(()),
        }
    }
}

impl Store {
    /// Makes everything that this process wrote durable, except records of steps and intermediate images, which nothing
    /// that counts leads to. [`Store::tag`] does by itself what its image needs.
    pub fn sync(&self) -> Result<()> {
        self.sync_with(&[])
    }

    /// The same, with files that are not in their place yet.
    fn sync_with(&self, unplaced: &[TemporaryFile]) -> Result<()> {
        self.durable.writeback.finish(unplaced).map_err(|(path, source)| self.io("write", &path, source))
    }

    /// Makes these files durable, whoever wrote them, and those that are not in their place yet.
    pub(crate) fn settle(&self, paths: &[PathBuf], unplaced: &[TemporaryFile]) -> Result<()> {
        self.sync_with(unplaced)?;
        for path in paths {
            let failed = |source| self.io("write", path, source);
            if !is_durable(&fs::metadata(path).map_err(failed)?) {
                // Some hosts write out only what is open for writing.
                let file = File::options().read(true).write(!cfg!(unix)).open(path).map_err(failed)?;
                self.durable.writeback.queue(file, path.clone());
            }
        }
        self.sync()
    }

    /// After a change of boot: removes or confirms what was not known to be on the disk. Nobody else has the store open.
    pub(crate) fn recover(&self) -> Result<()> {
        let listed = |name: &str| {
            let directory = self.root().join(name);
            files::list(&directory).map_err(|source| self.io("list", &directory, source))
        };
        let doubtful = |entry: &fs::DirEntry| !entry.metadata().is_ok_and(|metadata| is_durable(&metadata));
        listed("blobs/sha256")?.into_par_iter().filter(doubtful).try_for_each(|entry| {
            let path = entry.path();
            let expected = entry.file_name().to_str().and_then(|hex| Digest::from_hex(hex).ok());
            let file = File::open(&path).map_err(|source| self.io("open", &path, source))?;
            let mut hasher = Hasher::new();
            let whole = io::copy(&mut &file, &mut hasher).is_ok() && Some(hasher.finish()) == expected;
            let result = if whole { make_durable(&file) } else { files::remove_tree(&path) };
            result.map_err(|source| self.io("recover", &path, source))
        })?;
        for entry in listed("images/by-id")?.into_iter().filter(doubtful) {
            // Reading removes what is damaged.
            let id = entry.file_name().to_str().and_then(|name| Digest::from_hex(name.strip_suffix(".json")?).ok());
            if let Some(id) = id {
                self.load_record(&id)?;
            }
        }
        // What arrived half may have any bytes now.
        let derived = [listed("incoming")?, listed("layers")?].into_iter().flatten();
        for entry in derived.filter(doubtful) {
            let path = entry.path();
            if is_whole_index(&path) {
                continue;
            }
            files::remove_tree(&path).map_err(|source| self.io("remove", &path, source))?;
        }
        self.ledger.forget().map_err(|source| self.io("remove", self.root(), source))?;
        self.restore_container_names()?;
        // Trees of many files are never written out one by one. As a leftover in `tmp` this one is removed later.
        let (unpacked, leftover) = (self.root().join("unpacked"), self.root().join("tmp/unpacked"));
        let removed = files::remove_tree(&leftover).and_then(|()| fs::rename(&unpacked, &leftover));
        removed
            .and_then(|()| files::make_private_directory(&unpacked, false))
            .map_err(|source| self.io("remove", &unpacked, source))?;
        let marker = self.durable.marker();
        let removed = fs::remove_file(&marker).and_then(|()| files::sync_directory(self.root()));
        removed.map_err(|source| self.io("remove", &marker, source))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing::{TestStore, one_file};

    fn loosen(path: &Path, content: Option<&[u8]>) {
        fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("chmod");
        if let Some(content) = content {
            fs::write(path, content).expect("write");
        }
    }

    #[test]
    fn after_a_power_loss_only_what_is_whole_is_left() {
        let test = TestStore::new();
        let root = test.root().to_owned();
        let named = test.make_image(&["named"], None, false);
        let step = test.make_image(&["step"], None, true);
        let lost = test.make_image(&["lost"], None, true);
        test.tag(&named, &"named".parse().expect("name")).expect("tag");
        test.sync().expect("sync");
        let [good, bad, durable] = ["good", "bad", "durable"].map(|text| test.put_blob(text.as_bytes()).expect("put"));
        test.sync().expect("sync");
        loosen(&test.blob_path(&good), None);
        loosen(&test.blob_path(&bad), Some(b"\0\0\0"));
        loosen(&test.record_path(&lost), Some(&[0; 100]));
        let layer = test.add_layer(one_file("a", "b")).expect("layer");
        test.sync().expect("sync");
        let index = root.join("layers").join(layer.diff_id.hex());
        loosen(&index, Some(b"garbage"));
        fs::create_dir_all(root.join("unpacked/root/x/fs")).expect("create");

        // Within one boot nothing is looked at: the system still has it all.
        drop(test.another());
        assert!(test.has_blob(&bad) && root.join("unpacked/root/x/fs").exists());
        let test = test.closed();
        fs::write(root.join("boot"), "another boot").expect("write");
        let store = Store::open(&root).expect("store");
        assert!(store.has_blob(&good) && store.has_blob(&durable) && !store.has_blob(&bad));
        assert!(is_durable(&fs::metadata(store.blob_path(&good)).expect("metadata")));
        assert_eq!(store.resolve("named").expect("named").id, named);
        assert!(store.image(&step).expect("image").is_some() && store.image(&lost).expect("image").is_none());
        assert!(!index.exists() && store.layer(&layer.diff_id).is_ok() && index.exists());
        assert!(!root.join("unpacked/root").exists() && root.join("unpacked").exists());
        drop((store, test));
    }

    #[test]
    fn a_note_that_counts_is_never_replaced_by_one_that_may_be_lost() {
        let store = TestStore::new();
        let [layer, first, second] = ["layer", "first", "second"].map(Digest::of);
        store.add_source(&layer, &first).expect("noted");
        store.sync().expect("sync");
        store.add_source(&layer, &second).expect("noted");
        assert!(is_durable(&fs::metadata(store.source_path(&layer)).expect("metadata")));
    }

    #[test]
    fn nothing_is_written_where_nothing_is_new() {
        let test = TestStore::new();
        let id = test.make_image(&["1"], None, false);
        let name = "app".parse().expect("name");
        test.tag(&id, &name).expect("tag");
        let test = test.closed();
        let root = test.path().join("store");
        let state = || {
            let mut state = Vec::new();
            let mut pending = vec![root.clone()];
            while let Some(path) = pending.pop() {
                let metadata = path.metadata().expect("metadata");
                if metadata.is_dir() {
                    pending.extend(files::list(&path).expect("list").iter().map(fs::DirEntry::path));
                }
                state.push((path, metadata.modified().expect("time")));
            }
            state.sort();
            state
        };
        let before = state();
        let store = Store::open(&root).expect("store");
        let image = store.resolve("app").expect("image");
        assert_eq!(store.add_image(&image.config, None, true).expect("image"), id);
        store.layer(&image.config.rootfs.diff_ids[0]).expect("layer");
        store.tag(&id, &name).and_then(|_| store.sync()).and_then(|()| store.context_hashes().save()).expect("nothing");
        drop(store);
        assert_eq!(state(), before);
    }
}
