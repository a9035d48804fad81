//! The files in a directory. A new one appears when it is whole; in one that is there the index is replaced last.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use kiln_types::Digest;
use tempfile::TempDir;

use super::{Out, copy_blob};
use crate::config::MAX_DOCUMENT;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, ManifestList};

pub(super) struct Folder {
    /// Where the files are written.
    root: PathBuf,
    /// Where they are to be, and what holds them until then.
    move_to: Option<(PathBuf, TempDir)>,
}

impl Folder {
    /// With what the layout knows already, if it is one.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Descriptor>)> {
        let failed = |action| move |source| Error::HostPath { action, path: path.to_owned(), source };
        let is_new = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(failed("read")(error)),
        };
        if is_new {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::create_dir_all(parent).map_err(failed("make"))?;
            let holder = tempfile::Builder::new().prefix(".kiln-").tempdir_in(parent).map_err(failed("make"))?;
            let root = holder.path().join("layout");
            fs::create_dir(&root).map_err(failed("make"))?;
            return Ok((Self { root, move_to: Some((path.to_owned(), holder)) }, Vec::new()));
        }
        if !path.join("oci-layout").exists() {
            return Err(Error::NotALayout { path: path.to_owned() });
        }
        let mut index = Vec::new();
        let read =
            File::open(path.join("index.json")).and_then(|file| file.take(MAX_DOCUMENT + 1).read_to_end(&mut index));
        read.map_err(failed("read the index of"))?;
        Ok((Self { root: path.to_owned(), move_to: None }, ManifestList::parse(&index)?.manifests))
    }

    fn put(&self, name: &str, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let path = self.root.join(name);
        let failure = |source| Error::HostPath { action: "write", path: path.clone(), source };
        let folder = path.parent().unwrap_or(&self.root);
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.prefix(".kiln-").tempfile_in(folder).map_err(failure)?;
        write(file.as_file_mut())?;
        file.persist(&path).map_err(|error| failure(error.error))?;
        Ok(())
    }
}

impl Out for Folder {
    fn directory(&mut self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(|source| Error::HostPath { action: "make", path, source })
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put(name, |file| file.write_all(bytes).map_err(Error::io("write the layout")))
    }

    fn blob(&mut self, name: &str, expected: Option<&Digest>, content: &mut dyn Read, size: u64) -> Result<()> {
        self.put(name, |file| copy_blob(name, expected, content, size, file))
    }

    fn finish(self) -> Result<()> {
        let Some((path, _holder)) = self.move_to else { return Ok(()) };
        let failed = |source| Error::HostPath { action: "put the layout in place at", path: path.clone(), source };
        // Not every system replaces an empty directory.
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
            _ => fs::rename(&self.root, &path).map_err(failed),
        }
    }
}
