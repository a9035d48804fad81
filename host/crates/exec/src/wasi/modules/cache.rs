//! Compiled modules on disk.
//!
//! ```text
//! <directory>/            0700, this machine's and this user's own
//!     <key>               native code, digest of key and code, magic
//! ```
//!
//! What is not whole, not as it was written, or written for another module is compiled anew, and so is every file that
//! others could have written, or could have put where it lies: nothing else is ever loaded as code.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kiln_image::Content;
use kiln_types::{Digest, Hasher};
use wasmtime::{Engine, Module};

const MAGIC: &[u8; 8] = b"kilnmod2";
/// What one thread hashes.
const PIECE: u64 = 4 << 20;
/// What is read at once.
const BUFFER: u64 = 128 << 10;
const TRAILER: u64 = 32 + MAGIC.len() as u64;

pub(super) struct Cache {
    directory: PathBuf,
}

impl Cache {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Code that is exactly as [`Cache::keep`] wrote it for this key.
    pub(super) fn load(&self, engine: &Engine, key: &Digest) -> Option<Module> {
        if !is_ours_alone(&fs::metadata(&self.directory).ok()?) {
            return None;
        }
        let file = File::open(self.path(key)).ok()?;
        let metadata = file.metadata().ok()?;
        // The directory may not always have been private.
        if !is_ours_alone(&metadata) {
            return None;
        }
        let length = metadata.len().checked_sub(TRAILER)?;
        let file = Arc::new(file);
        let content = Content::range(file.clone(), 0, length + TRAILER);
        let mut trailer = [0; TRAILER as usize];
        read_exact_at(&content, &mut trailer, length).ok()?;
        let (digest, magic) = trailer.split_at(32);
        if magic != MAGIC || digest != digest_of(key, &content, length).ok()?.as_bytes() {
            return None;
        }
        drop(content);
        load_compiled(engine, Arc::into_inner(file)?).ok()
    }

    pub(super) fn keep(&self, module: &Module, key: &Digest) -> io::Result<()> {
        make_ours_alone(&self.directory)?;
        let code = module.serialize().map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&code)?;
        let length = code.len() as u64;
        file.write_all(digest_of(key, &Content::bytes(code), length)?.as_bytes())?;
        file.write_all(MAGIC)?;
        file.persist(self.path(key))?;
        Ok(())
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.directory.join(key.hex())
    }
}

/// The digest of the key and of the pieces' digests, so that all processors can work on a file of hundreds of megabytes.
fn digest_of(key: &Digest, content: &Content, length: u64) -> io::Result<Digest> {
    let pieces = length.div_ceil(PIECE);
    let next = AtomicU64::new(0);
    let work = || {
        let mut digests = Vec::new();
        let mut buffer = vec![0; length.min(BUFFER) as usize];
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return Ok(digests);
            }
            let (mut offset, end) = (piece * PIECE, length.min((piece + 1) * PIECE));
            let mut hasher = Hasher::new();
            while offset < end {
                let buffer = &mut buffer[..(end - offset).min(BUFFER) as usize];
                read_exact_at(content, buffer, offset)?;
                hasher.update(&*buffer);
                offset += buffer.len() as u64;
            }
            digests.push((piece, hasher.finish()));
        }
    };
    let helpers = std::thread::available_parallelism().map_or(1, usize::from).min(pieces as usize).saturating_sub(1);
    let mut digests = std::thread::scope(|scope| {
        // Without help it takes longer.
        let help = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let threads: Vec<_> = (0..helpers).filter_map(help).collect();
        let own: io::Result<Vec<_>> = work();
        threads.into_iter().map(|thread| thread.join().map_err(|_| io::Error::other("a thread died"))?).fold(
            own,
            |all, more| {
                let mut all = all?;
                all.extend(more?);
                Ok(all)
            },
        )
    })?;
    digests.sort_unstable();
    let mut hasher = Hasher::new();
    hasher.field(key.as_bytes());
    digests.iter().for_each(|(_, digest)| hasher.update(digest.as_bytes()));
    Ok(hasher.finish())
}

fn read_exact_at(content: &Content, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match content.read_at(buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                offset += length as u64;
                buffer = &mut buffer[length..];
            }
        }
    }
    Ok(())
}

/// The only unsafe code outside `kiln-sys`, which must not know of wasmtime.
#[allow(unsafe_code)]
fn load_compiled(engine: &Engine, file: File) -> wasmtime::Result<Module> {
    // SAFETY: the file's bytes are what `Module::serialize` gave for this key: their digest, written with them, has just
    // been checked through the same open file. It lies in a directory that only this user can write to, is never written
    // in place, and comes from nowhere else. wasmtime itself refuses code of another version, configuration or processor.
    unsafe { Module::deserialize_open_file(engine, file) }
}

/// Whether nobody but this user can write to a file, or put others into a directory.
#[cfg(unix)]
fn is_ours_alone(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

#[cfg(unix)]
fn make_ours_alone(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let make = || fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    make()?;
    if is_ours_alone(&fs::metadata(directory)?) {
        return Ok(());
    }
    // Taken away as a whole: nobody sees it private as long as something strange is in it.
    let away = tempfile::tempdir_in(directory.parent().unwrap_or(directory))?;
    fs::rename(directory, away.path().join("modules"))?;
    make()
}

/// The platform's directory for a user's data is private.
#[cfg(not(unix))]
fn is_ours_alone(_: &fs::Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn make_ours_alone(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}
