//! Temporary files and how they reach their place; removing what may resist.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::open::Store;
use crate::scratch::Session;
use crate::{Error, Result};

/// When a file has to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Before it takes its name.
    Now,
    /// From now on in the background; [`Store::sync`] waits for it.
    Later,
    /// Not before something that counts needs it: who reads it sees whether it is whole.
    WhenNeeded,
    /// It is there already ([`Store::settle`]).
    Reached,
}

/// A file under `tmp/` that goes away unless it is put in place.
pub(crate) struct TemporaryFile {
    pub(crate) file: File,
    place: ClosedFile,
}

/// The same while it is not open: of thousands that wait, each open one would count.
pub(crate) struct ClosedFile {
    path: PathBuf,
    placed: bool,
    /// Holds the directory it is in.
    _session: Arc<Session>,
}

impl TemporaryFile {
    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn move_to(mut self, path: &Path) -> io::Result<()> {
        fs::rename(self.path(), path)?;
        self.place.placed = true;
        Ok(())
    }

    pub(crate) fn close(self) -> ClosedFile {
        self.place
    }
}

impl ClosedFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open(self) -> io::Result<TemporaryFile> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        Ok(TemporaryFile { file, place: self })
    }
}

impl Drop for ClosedFile {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing more can be done; a later process removes what stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Store {
    pub(crate) fn temporary_file(&self) -> Result<TemporaryFile> {
        let session = self.session()?;
        let path = session.unused_path();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|source| self.io("create", &path, source))?;
        Ok(TemporaryFile { file, place: ClosedFile { path, placed: false, _session: session } })
    }

    /// Moves a finished file to its place, over what is there.
    pub(crate) fn place(&self, mut temporary: TemporaryFile, to: &Path, durability: Durability) -> Result<()> {
        if let Some(aside) = &self.aside {
            return self.place_aside(aside, temporary, to);
        }
        self.durable.before_rename(&temporary.file, durability).map_err(|source| self.io("write", to, source))?;
        self.note_added(&temporary.file, to)?;
        fs::rename(temporary.path(), to).map_err(|source| self.io("put in place", to, source))?;
        temporary.place.placed = true;
        if durability == Durability::Later {
            self.write_out(&temporary.file, to)?;
        }
        Ok(())
    }

    /// Counts a file that is about to be put in place.
    pub(crate) fn note_added(&self, file: &File, to: &Path) -> Result<()> {
        let metadata = file.metadata().map_err(|source| self.io("read", to, source))?;
        self.ledger.add_file(to, metadata.len());
        Ok(())
    }

    /// Begins to write out what is at `path`.
    pub(crate) fn write_out(&self, file: &File, path: &Path) -> Result<()> {
        let file = file.try_clone().map_err(|source| self.io("keep open", path, source))?;
        self.durable.writeback.queue(file, path.to_owned());
        Ok(())
    }

    /// Writes a small file whole.
    pub(crate) fn write_file(&self, to: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
        let mut temporary = self.temporary_file()?;
        temporary.file.write_all(bytes).map_err(|source| self.io("write", to, source))?;
        self.place(temporary, to, durability)
    }

    /// A small file that has no place yet.
    pub(crate) fn temporary_json<T: Serialize>(&self, value: &T) -> Result<TemporaryFile> {
        let mut temporary = self.temporary_file()?;
        let written = temporary.file.write_all(&self.to_json(value)?);
        written.map_err(|source| self.io("write", temporary.path(), source))?;
        Ok(temporary)
    }

    /// Writes a small file that several names lead to, in place of what they led to before. For one moment such a name
    /// may lead nowhere: nothing that counts may need it.
    pub(crate) fn write_linked(&self, names: &[PathBuf], bytes: &[u8]) -> Result<()> {
        let Some(first) = names.first() else { return Ok(()) };
        let mut temporary = self.temporary_file()?;
        temporary.file.write_all(bytes).map_err(|source| self.io("write", first, source))?;
        let durability = Durability::WhenNeeded;
        self.durable.before_rename(&temporary.file, durability).map_err(|source| self.io("write", first, source))?;
        self.note_added(&temporary.file, first)?;
        for name in names {
            match link(temporary.path(), name) {
                Ok(()) => {}
                // Where files have one name each, or another was faster.
                Err(_) => self.write_file(name, bytes, durability)?,
            }
        }
        Ok(())
    }

    pub(crate) fn write_json<T: Serialize>(&self, to: &Path, value: &T, durability: Durability) -> Result<()> {
        self.write_file(to, &self.to_json(value)?, durability)
    }

    pub(crate) fn to_json<T: Serialize>(&self, value: &T) -> Result<Vec<u8>> {
        serde_json::to_vec(value)
            .map_err(|error| self.io("write", self.root(), io::Error::new(io::ErrorKind::InvalidInput, error)))
    }

    /// What is directly in one of the store's folders.
    pub(crate) fn entries(&self, name: &str) -> Result<Vec<fs::DirEntry>> {
        let directory = self.root().join(name);
        list(&directory).map_err(|source| self.io("list", &directory, source))
    }

    /// An error of the operating system, a full disk told apart.
    pub(crate) fn io(&self, action: &'static str, path: &Path, source: io::Error) -> Error {
        match &self.aside {
            Some(aside) => aside.error(self.root(), action, path, source),
            None => Error::io(self.root(), action, path, source),
        }
    }

    /// An error of the image library, which may wrap a full disk.
    pub(crate) fn image_error(&self, error: kiln_image::Error) -> Error {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(current) = cause {
            if let Some(source) = current.downcast_ref::<io::Error>()
                && is_full(source)
            {
                return match &self.aside {
                    Some(aside) => aside.failure(source.kind().into()),
                    None => Error::Full { root: self.root().to_owned(), source: source.kind().into() },
                };
            }
            cause = current.source();
        }
        Error::Image(error)
    }
}

/// One more name for a file, whose directory is made if it has to be. Replacing by a rename would have some filesystems
/// write the file out at once.
fn link(file: &Path, name: &Path) -> io::Result<()> {
    fs::hard_link(file, name).or_else(|error| {
        match (error.kind(), name.parent()) {
            (io::ErrorKind::AlreadyExists, _) => fs::remove_file(name)?,
            (io::ErrorKind::NotFound, Some(directory)) => make_private_directory(directory, false)?,
            _ => return Err(error),
        }
        fs::hard_link(file, name)
    })
}

/// Notes that something was used, if it is there. Only now and then: what matters is what was not used for long.
pub(crate) fn touch(path: &Path) -> Option<Metadata> {
    const OFTEN: Duration = Duration::from_secs(60);
    let now = SystemTime::now();
    let metadata = fs::metadata(path).ok()?;
    if metadata.modified().is_ok_and(|at| at.checked_add(OFTEN).is_none_or(|at| at < now)) {
        // Where it cannot be noted, it counts as unused since it was made.
        let _ = File::open(path).and_then(|file| file.set_modified(now));
    }
    Some(metadata)
}

/// What tells a file by whatever name it is found; `None` where it has only one, or nobody can tell.
pub(crate) fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The content of a file, `None` where there is none.
pub(crate) fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The content of a small file; `None` where there is none, or it is something else, or longer than it could be.
pub(crate) fn read_small(path: &Path, limit: u64) -> Option<Vec<u8>> {
    // Opening what is no file may wait for ever.
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    read_limited(File::open(path).ok()?, limit).ok().flatten()
}

/// The same for what is called damaged where it cannot be read: what another attempt could read is an error.
pub(crate) fn read_small_surely(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let read = || match fs::symlink_metadata(path)?.is_file() {
        true => read_limited(File::open(path)?, limit),
        false => Ok(None),
    };
    match read() {
        Err(error) if is_of_the_file(&error) => Ok(None),
        read => read,
    }
}

/// Whether an error says something of the file that was to be read, rather than of the disk, or of this process.
fn is_of_the_file(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory | Kind::PermissionDenied | Kind::InvalidData
    )
}

/// The whole content, `None` where it is longer than `limit`.
pub(crate) fn read_limited(file: File, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// What is directly in a directory; nothing where there is none.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Makes the names in a directory durable, on hosts where directories can be opened.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Makes a directory that only its owner may enter; fine if it exists.
pub(crate) fn make_private_directory(path: &Path, recursive: bool) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.recursive(recursive).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// Removes a file or tree whatever it is, also one whose directories may not be written, as images hold them.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return gone(fs::remove_file(path)),
        Err(error) => return gone(Err(error)),
    }
    if gone(fs::remove_dir_all(path)).is_ok() {
        return Ok(());
    }
    open_directories(path)?;
    gone(fs::remove_dir_all(path))
}

/// Gives the owner all rights on a directory and those below it; symbolic links are not followed.
fn open_directories(root: &Path) -> io::Result<()> {
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        #[cfg(unix)]
        fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        for entry in list(&directory)? {
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(())
}
