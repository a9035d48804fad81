//! Caches: what `RUN --mount=type=cache` keeps from one build to the next.
//!
//! ```text
//! cache-mounts/<identity>/<n>/lock           held by who uses the n-th copy: exclusively, or shared
//! cache-mounts/<identity>/<n>/<owners>/files directory form, used as it is by steps that run Linux programs
//! cache-mounts/<identity>/<n>/archive        names the layer that WASI steps see; beside it are its tar and index
//! ```
//! The two forms know nothing of each other. All of it may be deleted while nobody uses the store; what a killed process
//! left in a directory stays there, and an archive is replaced as a whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use kiln_image::{Change, Index, Layer, Node, View, Written};
use kiln_types::Digest;

use crate::directories::{owners, unpack};
use crate::files::{self, Durability, make_private_directory};
use crate::locks::{self, LockFile};
use crate::space::cache_is_taken;
use crate::{Error, Result, Store};

/// Where its files are in the layers of a cache.
pub const CACHE_ROOT: &[u8] = b"files";

/// Who else may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheSharing {
    /// Everybody who shares it too.
    Shared,
    /// Nobody; others get a copy of their own.
    Private,
    /// Nobody; others wait.
    Locked,
}

/// A cache in use. A process that dies lets go of it.
pub struct Cache {
    directory: PathBuf,
    /// Guards making and replacing its contents.
    making: PathBuf,
    _lock: File,
}

impl Store {
    /// Takes the cache of that identity; `None` where it has to be waited for.
    pub fn try_cache(&self, identity: &Digest, sharing: CacheSharing) -> Result<Option<Cache>> {
        let caches = self.root().join("cache-mounts").join(identity.hex());
        for number in 0_u32.. {
            let directory = caches.join(number.to_string());
            let failed = |source| self.io("lock", &directory, source);
            make_private_directory(&directory, true).map_err(failed)?;
            let lock = locks::open(&directory.join("lock")).map_err(failed)?;
            let free = match sharing {
                CacheSharing::Shared => locks::try_shared(&lock),
                CacheSharing::Private | CacheSharing::Locked => locks::try_exclusive(&lock),
            };
            if free.map_err(failed)? {
                files::touch(&directory.join("lock"));
                cache_is_taken(&directory);
                let making = self.lock_path("cache", &Digest::of(directory.as_os_str().as_encoded_bytes()))?;
                return Ok(Some(Cache { directory, making, _lock: lock }));
            }
            if sharing == CacheSharing::Locked {
                return Ok(None);
            }
        }
        unreachable!("there are more numbers than locks")
    }

    /// The directory form of a cache; a new one begins with what `initial` has at [`CACHE_ROOT`].
    pub fn cache_directory<E: From<Error>>(
        &self,
        cache: &Cache,
        initial: impl FnOnce() -> Result<Arc<Layer>, E>,
    ) -> Result<PathBuf, E> {
        let kept = cache.directory.join(owners());
        let path = kept.join("files");
        let _making = self.making(cache)?;
        if !path.exists() {
            let scratch = self.scratch()?;
            let fresh = scratch.path().join("fresh");
            fs::create_dir(&fresh).map_err(|source| self.io("create", &fresh, source))?;
            unpack(&*initial()?, &fresh).map_err(|error| self.image_error(error))?;
            files::remove_tree(&kept).map_err(|source| self.io("remove", &kept, source))?;
            fs::rename(&fresh, &kept).map_err(|source| self.io("put in place", &kept, source))?;
        }
        Ok(path)
    }

    /// What WASI steps see of a cache, at [`CACHE_ROOT`]; `None` where none has changed it yet.
    pub fn cache_layer(&self, cache: &Cache) -> Result<Option<Arc<Layer>>> {
        let _making = self.making(cache)?;
        self.archived(cache)
    }

    /// Applies what a WASI step has changed to the cache as it is now, which may not be as the step saw it.
    pub fn change_cache(&self, cache: &Cache, initial: Arc<Layer>, changes: Vec<Change>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let _making = self.making(cache)?;
        let below = self.archived(cache)?.unwrap_or(initial);
        let temporary = self.temporary_file()?;
        let written = kiln_image::write_layer(changes, &temporary.file).map_err(|error| self.image_error(error))?;
        let Written { diff_id, size, index } = written;
        let tar = temporary.file.try_clone().map_err(|source| self.io("read", temporary.path(), source))?;
        let changed = Layer { diff_id, size, tar: Arc::new(tar), index };
        let whole = flat(&View::new(vec![below, Arc::new(changed)])).map_err(|error| self.image_error(error))?;
        self.archive(cache, whole)
    }

    /// When a cache (`cache-mounts/<identity>`) was last taken.
    pub(crate) fn cache_used(&self, path: &Path) -> Option<SystemTime> {
        let copies = files::list(path).ok()?;
        let used = |copy: fs::DirEntry| copy.path().join("lock").metadata().ok()?.modified().ok();
        copies.into_iter().filter_map(used).max()
    }

    fn making(&self, cache: &Cache) -> Result<LockFile> {
        LockFile::acquire(cache.making.clone()).map_err(|source| self.io("lock", &cache.making, source))
    }

    /// What is damaged counts for nothing: a cache can always begin anew.
    fn archived(&self, cache: &Cache) -> Result<Option<Arc<Layer>>> {
        let name = cache.directory.join("archive");
        let name = files::read_optional(&name).map_err(|source| self.io("read", &name, source))?;
        let name = name.and_then(|name| String::from_utf8(name).ok());
        let Some(diff_id) = name.and_then(|name| Digest::from_hex(&name).ok()) else { return Ok(None) };
        let (tar, index) = archive_paths(&cache.directory, &diff_id);
        let (Ok(tar), Ok(index)) = (File::open(tar), File::open(index)) else { return Ok(None) };
        let Ok(index) = Index::read(index) else { return Ok(None) };
        let size = tar.metadata().map_or(0, |metadata| metadata.len());
        let fits = index.diff_id() == diff_id && index.tar_size() == size;
        Ok(fits.then(|| Arc::new(Layer { diff_id, size, tar: Arc::new(tar), index })))
    }

    fn archive(&self, cache: &Cache, changes: Vec<Change>) -> Result<()> {
        let temporary = self.temporary_file()?;
        let written = kiln_image::write_layer(changes, &temporary.file).map_err(|error| self.image_error(error))?;
        let (tar, index) = archive_paths(&cache.directory, &written.diff_id);
        self.place(temporary, &tar, Durability::Now)?;
        let bytes = written.index.to_bytes().map_err(|error| self.image_error(error))?;
        self.write_file(&index, &bytes, Durability::Now)?;
        let name = cache.directory.join("archive");
        self.write_file(&name, written.diff_id.hex().as_bytes(), Durability::Now)?;
        for entry in files::list(&cache.directory).map_err(|source| self.io("list", &cache.directory, source))? {
            let path = entry.path();
            let is_form = path.extension().is_some_and(|extension| extension == "tar" || extension == "index");
            if is_form && path != tar && path != index {
                // Where files in use cannot be removed, the next change does it.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }
}

fn archive_paths(directory: &Path, diff_id: &Digest) -> (PathBuf, PathBuf) {
    let form = |extension: &str| directory.join(format!("{}.{extension}", diff_id.hex()));
    (form("tar"), form("index"))
}

/// The files of a cache as one change set.
fn flat(view: &View) -> kiln_image::Result<Vec<Change>> {
    let mut first_names = std::collections::HashMap::new();
    view.walk(CACHE_ROOT)
        .map(|found| {
            let found = found?;
            let node = match found.node {
                Node::File(content) => match first_names.get(&found.inode) {
                    Some(first) => Node::HardLink(Vec::clone(first)),
                    None => {
                        first_names.insert(found.inode, found.path.clone());
                        Node::File(content)
                    }
                },
                node => node,
            };
            Ok(Change { path: found.path, meta: found.meta, node })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use kiln_image::{Content, Meta};

    use super::*;
    use crate::testing::TestStore;

    fn change(path: &str, node: Node) -> Change {
        Change { path: path.as_bytes().to_vec(), meta: Meta { mode: 0o755, ..Meta::default() }, node }
    }

    fn file(path: &str, text: &str) -> Change {
        change(path, Node::File(Content::bytes(text.as_bytes().to_vec())))
    }

    fn empty(store: &Store) -> Arc<Layer> {
        store.add_layer(vec![change("files", Node::Directory { opaque: false })]).expect("layer")
    }

    fn names(layer: &Layer) -> Vec<String> {
        layer.index.iter().map(|entry| String::from_utf8_lossy(entry.expect("whole").path).into_owned()).collect()
    }

    #[test]
    fn who_may_use_it_at_the_same_time() {
        use CacheSharing::{Locked, Private, Shared};
        let store = TestStore::new();
        let take = |sharing| store.another().try_cache(&Digest::of("c"), sharing).expect("cache");
        let number = |cache: &Option<Cache>| {
            cache.as_ref().map(|cache| cache.directory.file_name().expect("a name").to_string_lossy().into_owned())
        };
        let (first, second) = (take(Shared), take(Shared));
        assert_eq!([number(&first), number(&second)], [Some("0".to_owned()), Some("0".to_owned())]);
        assert!(take(Locked).is_none());
        assert_eq!(number(&take(Private)), Some("1".to_owned()));
        drop((first, second));
        let locked = take(Locked);
        assert!(locked.is_some() && take(Locked).is_none());
        assert_eq!(number(&take(Shared)), Some("1".to_owned()));
        drop(locked);
        assert_eq!(number(&take(Private)), Some("0".to_owned()));
    }

    #[test]
    fn changes_of_two_steps_are_put_together() {
        let store = TestStore::new();
        let initial = empty(&store);
        let cache = store.try_cache(&Digest::of("c"), CacheSharing::Shared).expect("cache").expect("free");
        assert!(store.cache_layer(&cache).expect("layer").is_none());
        let change_it = |changes| store.change_cache(&cache, Arc::clone(&initial), changes).expect("changed");
        change_it(vec![file("files/a", "one"), change("files/b", Node::HardLink(b"files/a".to_vec()))]);
        change_it(vec![file("files/c", "two")]);
        change_it(vec![change("files/a", Node::Whiteout)]);
        change_it(Vec::new());
        let layer = store.cache_layer(&cache).expect("layer").expect("there");
        assert_eq!(names(&layer), ["", "files", "files/b", "files/c"]);
        let mut text = String::new();
        let content = layer.content(&layer.index.get(b"files/b").expect("whole").expect("entry"));
        content.open().and_then(|mut input| input.read_to_string(&mut text)).expect("read");
        assert_eq!(text, "one");
        // Only the present form is kept; a damaged one is none.
        let count = || fs::read_dir(&cache.directory).expect("list").count();
        assert_eq!(count(), 4);
        let (_, index) = archive_paths(&cache.directory, &layer.diff_id);
        fs::remove_file(&index).expect("removed");
        assert!(store.cache_layer(&cache).expect("layer").is_none());
        change_it(vec![file("files/d", "three")]);
        assert_eq!(names(&store.cache_layer(&cache).expect("layer").expect("there")), ["", "files", "files/d"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_directory_stays_as_it_was_left() {
        let store = TestStore::new();
        let initial = empty(&store);
        let cache = store.try_cache(&Digest::of("c"), CacheSharing::Shared).expect("cache").expect("free");
        let Ok(directory) = store.cache_directory::<Error>(&cache, || Ok(initial)) else { return };
        fs::write(directory.join("kept"), "x").expect("write");
        drop(cache);
        store.collect().expect("collect");
        let cache = store.try_cache(&Digest::of("c"), CacheSharing::Locked).expect("cache").expect("free");
        assert!(
            store.cache_directory::<Error>(&cache, || panic!("it is there")).expect("directory").join("kept").exists()
        );
        assert!(store.usage().expect("usage").caches.files >= 2);
    }
}
