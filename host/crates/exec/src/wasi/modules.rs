//! Compiled modules: in memory by digest, and on disk for the next run.
//!
//! ```text
//! <directory>/            0700, this machine's and this user's own
//!     <key>               native code, digest of it, magic
//! ```
//!
//! The key covers the module and everything in the engine that its code depends on. A file that is not whole or not as
//! it was written is compiled anew; nothing else is ever loaded as code.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::Hash as _;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kiln_image::Content;
use kiln_types::{Digest, Hasher};
use wasmtime::{Engine, ExternType, InstancePre, Module};

use super::preview1::{Imports, KILN_MODULES};
use super::processes::{Guest, Program};
use crate::Error;

const MAGIC: &[u8; 8] = b"kilnmod1";
/// What is read and hashed at once.
const PIECE: u64 = 4 << 20;
const TRAILER: u64 = 32 + MAGIC.len() as u64;

/// How many modules are held: what a step makes and runs is without end.
const LOADED: usize = 256;

/// How many missing imports an error names.
const NAMED: usize = 5;

pub(crate) struct Modules {
    engine: Engine,
    imports: Imports,
    directory: PathBuf,
    loaded: Mutex<HashMap<Digest, Slot>>,
    /// Held by who compiles: one module takes all processors, and a lot of memory.
    compiler: Mutex<()>,
}

/// Held while its module is compiled, so that nobody compiles it twice.
type Slot = Arc<Mutex<Option<Loaded>>>;

/// A module that can be run at once.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) instance: InstancePre<Guest>,
    /// It imports something of kiln's own.
    pub(crate) made_for_kiln: bool,
}

impl Modules {
    pub(crate) fn new(engine: Engine, imports: Imports, directory: PathBuf) -> Self {
        Self { engine, imports, directory, loaded: Mutex::default(), compiler: Mutex::default() }
    }

    /// The module of a program; `compiling` is called before it takes long.
    pub(crate) fn load(&self, program: &Program, compiling: impl FnOnce()) -> Result<Loaded, Error> {
        let slot = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if loaded.len() >= LOADED && !loaded.contains_key(&program.digest) {
                loaded.clear();
            }
            loaded.entry(program.digest).or_default().clone()
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*slot {
            return Ok(loaded.clone());
        }
        let path = self.directory.join(self.key(&program.digest));
        let module = match load_verified(&self.engine, &path) {
            Some(module) => module,
            None => {
                compiling();
                let module = self.compile(program)?;
                // What a step makes may be there once only, without end. And without its file the next run compiles
                // again: slower, not wrong.
                if program.made_here.is_none() {
                    let _ = self.keep(&module, &path);
                }
                module
            }
        };
        let loaded = self.prepare(&module).map_err(|reason| not_executable(program, reason))?;
        *slot = Some(loaded.clone());
        Ok(loaded)
    }

    fn key(&self, module: &Digest) -> String {
        let mut hasher = Hasher::new();
        hasher.field(module.as_bytes());
        let mut compatibility = Compatibility(hasher);
        self.engine.precompile_compatibility_hash().hash(&mut compatibility);
        compatibility.0.finish().hex()
    }

    fn compile(&self, program: &Program) -> Result<Module, Error> {
        let unreadable = |source| Error::System { action: format!("read {}", program.path), source };
        let mut bytes = Vec::with_capacity(usize::try_from(program.content.size()).unwrap_or(0));
        program.content.open().and_then(|mut content| content.read_to_end(&mut bytes)).map_err(unreadable)?;
        // Code is kept under this digest: what an index says of the bytes is not enough.
        if Digest::of(&bytes) != program.digest {
            return Err(unreadable(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is not what its layer's index says",
            )));
        }
        let _compiler = self.compiler.lock().unwrap_or_else(PoisonError::into_inner);
        Module::new(&self.engine, &bytes).map_err(|error| not_executable(program, format!("{error:#}")))
    }

    fn prepare(&self, module: &Module) -> Result<Loaded, String> {
        let missing: Vec<String> = module
            .imports()
            .filter(|import| !self.imports.has(import.module(), import.name()))
            .map(|import| format!("{}.{}", import.module(), import.name()))
            .collect();
        if !missing.is_empty() {
            let (named, more) = missing.split_at(missing.len().min(NAMED));
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            return Err(format!("it imports {}{more}, which kiln does not provide", named.join(", ")));
        }
        match module.get_export("_start") {
            Some(ExternType::Func(function)) if function.params().len() + function.results().len() == 0 => {}
            _ => return Err("it is a library: it has no function _start".to_owned()),
        }
        let made_for_kiln = module.imports().any(|import| KILN_MODULES.contains(&import.module()));
        let instance = self.imports.linker.instantiate_pre(module).map_err(|error| format!("{error:#}"))?;
        Ok(Loaded { instance, made_for_kiln })
    }

    fn keep(&self, module: &Module, path: &Path) -> io::Result<()> {
        make_private(&self.directory)?;
        let code = module.serialize().map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&code)?;
        let length = code.len() as u64;
        file.write_all(digest_of(&Content::bytes(code), length)?.as_bytes())?;
        file.write_all(MAGIC)?;
        file.persist(path)?;
        Ok(())
    }
}

/// The engine's own idea of what code depends on.
struct Compatibility(Hasher);

impl std::hash::Hasher for Compatibility {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks: the digest is taken instead.
    fn finish(&self) -> u64 {
        0
    }
}

fn not_executable(program: &Program, reason: String) -> Error {
    Error::NotExecutable { program: program.path.clone(), reason }
}

/// Code from a file that is exactly as [`Modules::keep`] wrote it.
fn load_verified(engine: &Engine, path: &Path) -> Option<Module> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len().checked_sub(TRAILER)?;
    let file = Arc::new(file);
    let content = Content::range(file.clone(), 0, length + TRAILER);
    let mut trailer = [0; TRAILER as usize];
    read_exact_at(&content, &mut trailer, length).ok()?;
    let (digest, magic) = trailer.split_at(32);
    if magic != MAGIC || digest != digest_of(&content, length).ok()?.as_bytes() {
        return None;
    }
    drop(content);
    load_compiled(engine, Arc::into_inner(file)?).ok()
}

/// The digest of the pieces' digests, so that all processors can work on a file of hundreds of megabytes.
fn digest_of(content: &Content, length: u64) -> io::Result<Digest> {
    let pieces = length.div_ceil(PIECE);
    let next = AtomicU64::new(0);
    let work = || {
        let mut digests = Vec::new();
        let mut buffer = vec![0; length.min(PIECE) as usize];
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return Ok(digests);
            }
            let buffer = &mut buffer[..(length - piece * PIECE).min(PIECE) as usize];
            read_exact_at(content, buffer, piece * PIECE)?;
            digests.push((piece, Digest::of(buffer)));
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
    // SAFETY: the file's bytes are what `Module::serialize` gave: its digest, written with it, has just been checked
    // through the same open file. It lies in a directory that only this user can enter, is never written in place, and
    // comes from nowhere else. wasmtime itself refuses code of another version, configuration or processor.
    unsafe { Module::deserialize_open_file(engine, file) }
}

#[cfg(unix)]
fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}
