//! A store that can only be read: mounted so, or another user's. Images are looked at, saved and pushed out of it; what has
//! to be derived for that (a configuration's blob, a layer decompressed, compressed or indexed) lies in a folder elsewhere
//! for as long as this process has the store open, and has the same place there. Nothing else is ever written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use crate::files::{self, TemporaryFile};
use crate::{Error, Result, Store};

/// What may be derived, and what that takes.
const FOLDERS: [&str; 4] = ["blobs/sha256", "layers", "locks", "tmp"];

pub(crate) struct Aside {
    parent: PathBuf,
    /// Made when it is first needed.
    folder: Mutex<Option<TempDir>>,
}

impl Aside {
    pub(crate) fn new(parent: &Path) -> Self {
        Self { parent: parent.to_owned(), folder: Mutex::default() }
    }

    fn existing(&self) -> Option<PathBuf> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        folder.as_ref().map(|folder| folder.path().to_owned())
    }

    fn made(&self) -> Result<PathBuf> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = &*folder {
            return Ok(folder.path().to_owned());
        }
        let failed = |source| self.failure(source);
        let made = tempfile::Builder::new().prefix("kiln-").tempdir_in(&self.parent).map_err(failed)?;
        for name in FOLDERS {
            files::make_private_directory(&made.path().join(name), true).map_err(failed)?;
        }
        Ok(folder.insert(made).path().to_owned())
    }

    /// An error of the operating system: about the store, or about this folder.
    pub(crate) fn error(&self, root: &Path, action: &'static str, path: &Path, source: io::Error) -> Error {
        let is_here = self.existing().is_some_and(|folder| path.starts_with(folder));
        if is_here || files::is_full(&source) { self.failure(source) } else { Error::io(root, action, path, source) }
    }

    /// It cannot be written to.
    pub(crate) fn failure(&self, source: io::Error) -> Error {
        Error::Aside { parent: self.parent.clone(), source }
    }
}

impl Store {
    /// Whether nothing can be kept here.
    pub fn is_read_only(&self) -> bool {
        self.aside.is_some()
    }

    /// Where this process writes what it has not finished.
    pub(crate) fn workplace(&self) -> Result<PathBuf> {
        match &self.aside {
            Some(aside) => aside.made(),
            None => Ok(self.root().to_owned()),
        }
    }

    /// A file that can be derived, by its path in the store: where it is, or would be.
    pub(crate) fn derived(&self, path: impl AsRef<Path>) -> PathBuf {
        let elsewhere = self.aside.as_ref().and_then(Aside::existing).map(|aside| aside.join(&path));
        elsewhere.filter(|path| path.exists()).unwrap_or_else(|| self.root().join(path))
    }

    /// Moves a finished file to what is the place `to` of the store.
    pub(crate) fn place_aside(&self, aside: &Aside, temporary: TemporaryFile, to: &Path) -> Result<()> {
        let folder = aside.made()?;
        // Another thread may have put it there already.
        let path = to.strip_prefix(&folder).or_else(|_| to.strip_prefix(self.root())).ok();
        let path = path.filter(|path| FOLDERS.iter().any(|name| path.starts_with(name)));
        let path = folder.join(path.ok_or_else(|| self.read_only())?);
        temporary.move_to(&path).map_err(|source| aside.failure(source))
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.is_read_only() { Err(self.read_only()) } else { Ok(()) }
    }

    fn read_only(&self) -> Error {
        Error::ReadOnly { root: self.root().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use kiln_image::{Compression, Descriptor, Manifest};
    use kiln_types::Digest;

    use super::*;
    use crate::files::Durability;
    use crate::testing::{TestStore, one_file};

    /// Every file with its content.
    fn content(folder: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in files::list(folder).expect("list") {
            match entry.path() {
                path if path.is_dir() => content(&path, all),
                path => drop(all.insert(path.clone(), fs::read(path).expect("read"))),
            }
        }
    }

    fn all_of(store: &Store) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        content(store.root(), &mut all);
        all
    }

    #[test]
    fn what_is_derived_lies_elsewhere_and_goes() {
        let store = TestStore::new();
        let made = store.make_image(&["made"], None, false);
        let diff_id = store.image(&made).expect("image").expect("there").config.rootfs.diff_ids[0];
        // One that came compressed, of which only that is here.
        let layer = store.add_layer(one_file("file", "received")).expect("layer");
        let form = store.layer_form(&layer.diff_id, Compression::Gzip, &|_, _| Ok(()), None).expect("form");
        let mut config = store.image(&made).expect("image").expect("there").config;
        config.rootfs.diff_ids = vec![layer.diff_id];
        let config = config.to_json();
        let descriptor = Descriptor::new("config", store.put_blob(&config).expect("put"), config.len() as u64);
        let received = store.add_received(&Manifest::new(descriptor, vec![form.clone()]).to_json()).expect("received");
        store.sync().expect("sync");
        let derived = [store.blob_path(&layer.diff_id), store.index_path(&layer.diff_id)];
        derived.iter().for_each(|path| files::remove_tree(path).expect("remove"));

        let elsewhere = tempfile::tempdir().expect("temporary directory");
        let mut reader = store.another();
        reader.aside = Some(Aside::new(elsewhere.path()));
        let before = all_of(&store);
        assert_eq!(reader.resolve(&made.to_string()).expect("image").id, made);
        assert_eq!(files::list(elsewhere.path()).expect("list").len(), 0, "nothing had to be derived");

        let (manifest, bytes) = reader.manifest(&made).expect("manifest");
        assert_eq!(reader.read_blob(&made, 1 << 20).map(|config| Digest::of(&config)).expect("config"), made);
        assert_eq!(Digest::of(&bytes), manifest.digest);
        let compressed = reader.compressed(bytes, Compression::Gzip, &|_, _| Ok(())).expect("compressed");
        let compressed = Manifest::parse(&compressed).expect("manifest").layers[0].digest;
        assert!(compressed != diff_id && reader.has_blob(&compressed) && !store.has_blob(&compressed));
        let (_, bytes) = reader.manifest(&received).expect("manifest");
        assert_eq!(Manifest::parse(&bytes).expect("manifest").layers[0].digest, form.digest);
        reader.write_file(&reader.blob_path(&made), b"again", Durability::Later).expect("written");
        assert!(reader.layer(&layer.diff_id).expect("layer").index.get(b"file").expect("read").is_some());
        assert_eq!(reader.layer(&diff_id).expect("layer").diff_id, diff_id);
        assert_eq!(all_of(&store), before);

        drop(reader);
        assert_eq!(files::list(elsewhere.path()).expect("list").len(), 0);
    }

    #[test]
    fn what_would_be_kept_is_refused() {
        let store = TestStore::new();
        let id = store.make_image(&["1"], None, false);
        let name = "app".parse().expect("name");
        store.tag(&id, &name).expect("tag");
        let elsewhere = tempfile::tempdir().expect("temporary directory");
        let mut reader = store.another();
        reader.aside = Some(Aside::new(elsewhere.path()));
        let before = all_of(&store);
        let refused = |result: Result<()>| assert!(matches!(result, Err(Error::ReadOnly { .. })), "{result:?}");
        refused(reader.tag(&id, &"other".parse().expect("name")).map(drop));
        refused(reader.remove_image("app", crate::RemoveOptions::default()).map(drop));
        refused(reader.write_file(&reader.name_path(&name), b"", Durability::Now));
        assert_eq!(all_of(&store), before);
    }

    #[test]
    fn damage_is_told_and_stays() {
        let store = TestStore::new();
        let digest = store.put_blob(b"content").expect("put");
        store.sync().expect("sync");
        files::remove_tree(&store.blob_path(&digest)).expect("remove");
        fs::write(store.blob_path(&digest), "CONTENT").expect("write");
        let mut reader = store.another();
        reader.aside = Some(Aside::new(Path::new("nowhere")));
        assert!(matches!(reader.read_blob(&digest, 100), Err(Error::DamagedForReaders { .. })));
        assert!(store.has_blob(&digest));
        // Where nothing can be written, that is told with the remedy.
        let message = reader.put_blob(b"other").expect_err("there is no such folder").to_string();
        assert!(message.starts_with("cannot write in nowhere ") && message.ends_with("TMPDIR"), "{message}");
    }
}
