//! Compiled modules: in memory by digest, and on disk for the next run.

mod cache;

use std::collections::HashMap;
use std::hash::Hash as _;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use kiln_types::{Digest, Hasher};
use wasmparser::{Parser, Payload, SectionLimited};
use wasmtime::{Engine, ExternType, InstancePre, Module};

use self::cache::Cache;
use super::preview1::{Imports, KILN_MODULES};
use super::processes::{Guest, Program};
use crate::Error;

/// How many modules are held, and how many bytes of code: what a step makes and runs is without end.
const LOADED: usize = 256;
const LOADED_BYTES: usize = 1 << 30;

/// How many missing imports an error names.
const NAMED: usize = 5;

/// Up to this many bytes a module is compiled at once, whatever else is compiled: that takes seconds at most and little
/// memory. Bigger ones, which may take minutes and gigabytes, wait for one another.
const SMALL: usize = 8 << 20;

/// Threads for small modules. On those that all compilations share they would wait for a big one: there what has begun is
/// finished first.
static BESIDE: LazyLock<Option<rayon::ThreadPool>> = LazyLock::new(|| rayon::ThreadPoolBuilder::new().build().ok());

pub(crate) struct Modules {
    engine: Engine,
    imports: Imports,
    cache: Cache,
    loaded: Mutex<Held>,
    /// Held by who compiles a big module.
    compiler: Mutex<()>,
}

/// The modules in memory. Processes keep the code that they run, whatever is held here.
#[derive(Default)]
struct Held {
    slots: HashMap<Digest, Slot>,
    bytes: usize,
}

/// Locked while its module is compiled, so that nobody compiles it twice.
type Slot = Arc<Mutex<Option<Loaded>>>;

impl Held {
    fn slot(&mut self, module: &Digest) -> Slot {
        if self.slots.len() >= LOADED && !self.slots.contains_key(module) {
            *self = Self::default();
        }
        self.slots.entry(*module).or_default().clone()
    }

    /// Notes how much code a module is, and lets go of the others where it is too much.
    fn count(&mut self, module: &Digest, size: usize) {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > LOADED_BYTES {
            self.slots.retain(|other, _| other == module);
            self.bytes = size;
        }
    }
}

/// A module that can be run at once.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) instance: InstancePre<Guest>,
    /// It imports something of kiln's own.
    pub(crate) made_for_kiln: bool,
}

impl Modules {
    pub(crate) fn new(engine: Engine, imports: Imports, directory: PathBuf) -> Self {
        Self { engine, imports, cache: Cache::new(directory), loaded: Mutex::default(), compiler: Mutex::default() }
    }

    /// The module of a program; `compiling` is called before it takes long.
    pub(crate) fn load(&self, program: &Program, compiling: impl FnOnce()) -> Result<Loaded, Error> {
        let slot = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).slot(&program.digest);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*slot {
            return Ok(loaded.clone());
        }
        let key = self.key(&program.digest);
        let module = match self.cache.load(&self.engine, &key) {
            Some(module) => module,
            None => {
                compiling();
                let module = self.compile(program)?;
                // What a step makes may be there once only, without end. And without its file the next run compiles
                // again: slower, not wrong.
                if program.made_here.is_none() {
                    let _ = self.cache.keep(&module, &key);
                }
                module
            }
        };
        let loaded = self.prepare(&module).map_err(|reason| not_executable(program, reason))?;
        *slot = Some(loaded.clone());
        let code = module.image_range();
        let size = code.end as usize - code.start as usize;
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).count(&program.digest, size);
        Ok(loaded)
    }

    /// Covers everything that the code depends on: the module, and the engine with its version and settings.
    fn key(&self, module: &Digest) -> Digest {
        let mut hasher = Hasher::new();
        hasher.field(module.as_bytes());
        let mut compatibility = Compatibility(hasher);
        self.engine.precompile_compatibility_hash().hash(&mut compatibility);
        compatibility.0.finish()
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
        self.check_imports(&bytes).map_err(|reason| not_executable(program, reason))?;
        let compile = || Module::new(&self.engine, &bytes);
        let module = match &*BESIDE {
            Some(threads) if bytes.len() <= SMALL => threads.install(compile),
            _ => {
                let _compiler = self.compiler.lock().unwrap_or_else(PoisonError::into_inner);
                compile()
            }
        };
        module.map_err(|error| not_executable(program, format!("{error:#}")))
    }

    /// Before it is compiled, which may take minutes. Whatever else is wrong with the module the compiler says.
    fn check_imports(&self, bytes: &[u8]) -> Result<(), String> {
        let imports = Parser::new(0).parse_all(bytes).find_map(|part| match part {
            Ok(Payload::ImportSection(imports)) => Some(imports),
            _ => None,
        });
        let missing: Vec<String> = imports
            .into_iter()
            .flat_map(SectionLimited::into_imports)
            .map_while(Result::ok)
            .filter(|import| !self.imports.has(import.module, import.name))
            .map(|import| format!("{}.{}", shown(import.module), shown(import.name)))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (named, more) = missing.split_at(missing.len().min(NAMED));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        Err(format!("it imports {}{more}, which kiln does not provide", named.join(", ")))
    }

    fn prepare(&self, module: &Module) -> Result<Loaded, String> {
        match module.get_export("_start") {
            Some(ExternType::Func(function)) if function.params().len() + function.results().len() == 0 => {}
            _ => return Err("it is a library: it has no function _start".to_owned()),
        }
        let made_for_kiln = module.imports().any(|import| KILN_MODULES.contains(&import.module()));
        let instance = self.imports.linker.instantiate_pre(module).map_err(|error| format!("{error:#}"))?;
        Ok(Loaded { instance, made_for_kiln })
    }
}

/// The beginning of a name that may be of any length and hold anything.
fn shown(name: &str) -> String {
    name.chars().take(60).flat_map(char::escape_debug).collect()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kiln_image::Content;

    use super::*;
    use crate::wasi::engine;

    fn program(bytes: Vec<u8>) -> Program {
        Program { path: "p".to_owned(), digest: Digest::of(&bytes), content: Content::bytes(bytes), made_here: None }
    }

    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let mut held = Held::default();
        let digest = |number: usize| Digest::of(number.to_string());
        for number in 0..4 {
            held.slot(&digest(number));
            held.count(&digest(number), LOADED_BYTES / 4);
        }
        assert_eq!(held.slots.len(), 4);
        held.slot(&digest(4));
        held.count(&digest(4), 1);
        assert!(held.slots.len() == 1 && held.slots.contains_key(&digest(4)));
        for number in 4..LOADED + 4 {
            held.slot(&digest(number));
        }
        assert_eq!(held.slots.len(), LOADED);
        held.slot(&digest(0));
        assert_eq!((held.slots.len(), held.bytes), (1, 0));
    }

    #[test]
    fn only_big_modules_wait_for_one_another() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = engine::new(false).expect("an engine");
        let imports = Imports::new(&engine).expect("imports");
        let modules = Modules::new(engine, imports, directory.path().join("modules"));
        let small = wat::parse_str("(module (func (export \"_start\")))").expect("a module");
        // With a section that is only there to be long: its length in five bytes, the length of its name, and zeros.
        let length = [0, 0x80 | 1, 0x80, 0x80, 0x80 | 4, 0];
        let big = [&small[..], &length, &vec![0; (4 << 21) + 1]].concat();
        let working = modules.compiler.lock().expect("nobody panics");
        assert!(modules.load(&program(small), || {}).is_ok());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| modules.load(&program(big), || {}).is_ok());
            std::thread::sleep(Duration::from_millis(100));
            assert!(!waiting.is_finished());
            drop(working);
            assert!(waiting.join().expect("no panic"));
        });
    }
}
