//! The two implementations of preview 1 behind one call: a function's name and its numbers.

use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use kiln_image::{Change, User, View};
use kiln_types::Digest;
use wasi_common::WasiCtx;
use wasi_common::snapshots::preview_1::wasi_snapshot_preview1 as theirs;
use wasi_common::sync::{Dir, WasiCtxBuilder, ambient_authority};

use crate::wasi::fs::Creator;
use crate::wasi::guest_memory::GuestMemory;
use crate::wasi::limits::Limits;
use crate::wasi::preview1::{Imports, descriptor, directory, path, transfer};
use crate::wasi::processes::{Descriptor, Descriptors, Directory, Failure, Guest, Open, Start, Step, Target};
use crate::wasi::{Modules, Runtime, engine};
use crate::{Network, Process, Root};

/// The directory that both use, opened beforehand.
pub(super) const PREOPEN: u32 = 3;
/// Where it is in the image.
pub(super) const HOME: &[u8] = b"/home";
/// What is no error number: the call did not return.
pub(super) const TRAP: u32 = u32::MAX;

pub(super) trait Host {
    /// The error number.
    fn call(&mut self, memory: &mut [u8], function: &str, arguments: &[u64]) -> u32;
}

macro_rules! functions {
    ($($name:ident $ours:path [$($argument:ident)*];)*) => {
        impl Host for Ours {
            fn call(&mut self, memory: &mut [u8], function: &str, arguments: &[u64]) -> u32 {
                let done = match (function, arguments) {
                    $((stringify!($name), &[$($argument),*]) => {
                        $ours(&mut self.guest, &mut GuestMemory(memory), $($argument as _),*)
                    })*
                    _ => panic!("{function} with {} arguments", arguments.len()),
                };
                match done {
                    Ok(()) => 0,
                    Err(Failure::Errno(errno)) => errno as u32,
                    Err(Failure::End(_)) => TRAP,
                }
            }
        }

        impl Host for Theirs {
            fn call(&mut self, memory: &mut [u8], function: &str, arguments: &[u64]) -> u32 {
                let memory = &mut wiggle::GuestMemory::Unshared(memory);
                let done = match (function, arguments) {
                    $((stringify!($name), &[$($argument),*]) => {
                        at_once(theirs::$name(&mut self.0, memory, $($argument as _),*))
                    })*
                    _ => panic!("{function} with {} arguments", arguments.len()),
                };
                done.map_or(TRAP, |errno| errno as u32)
            }
        }
    };
}

functions! {
    fd_advise descriptor::advise [fd offset length advice];
    fd_close descriptor::close [fd];
    fd_fdstat_get descriptor::fdstat_get [fd out];
    fd_fdstat_set_flags descriptor::fdstat_set_flags [fd flags];
    fd_filestat_get descriptor::filestat_get [fd out];
    fd_filestat_set_size descriptor::filestat_set_size [fd size];
    fd_filestat_set_times descriptor::filestat_set_times [fd accessed modified flags];
    fd_pread transfer::pread [fd vectors count offset out];
    fd_pwrite transfer::pwrite [fd vectors count offset out];
    fd_read transfer::read [fd vectors count out];
    fd_readdir directory::readdir [fd buffer length cookie out];
    fd_renumber descriptor::renumber [from to];
    fd_seek descriptor::seek [fd offset whence out];
    fd_sync descriptor::sync [fd];
    fd_tell descriptor::tell [fd out];
    fd_write transfer::write [fd vectors count out];
    path_create_directory path::create_directory [fd path length];
    path_filestat_get path::filestat_get [fd flags path length out];
    path_filestat_set_times path::filestat_set_times [fd flags path length accessed modified times];
    path_link path::link [old_fd flags old old_length new_fd new new_length];
    path_open path::open [fd flags path length how base inheriting fdflags out];
    path_readlink path::readlink [fd path length buffer room out];
    path_remove_directory path::remove_directory [fd path length];
    path_rename path::rename [old_fd old old_length new_fd new new_length];
    path_symlink path::symlink [target target_length fd path length];
    path_unlink_file path::unlink_file [fd path length];
}

/// kiln's own, over layers.
pub(super) struct Ours {
    guest: Guest,
}

impl Ours {
    pub(super) fn new(view: View, scratch: &Path) -> Self {
        let root = Root { view, mounts: &[], directories: &|_| Err("none here".into()), scratch, shared: scratch };
        let process = Process {
            argv: Vec::new(),
            env: Vec::new(),
            cwd: "/".to_owned(),
            user: User { uid: 0, gid: 0, groups: Vec::new(), home: None, name: None },
            hostname: String::new(),
            network: Network::None,
            hosts: Vec::new(),
            insecure: false,
            seed: Digest::of("seed"),
            clock: crate::Clock::Still(0),
            guest_tools: false,
        };
        let (step, _) = Step::new(runtime(), &Limits::BUILD, &root, &process).expect("a step");
        let home = Directory::open(&step.filesystem, HOME).expect("the lowest layer has it");
        let mut descriptors = Descriptors::default();
        let open = Arc::new(Open::new(Target::Directory(home.handle), true, false, 0));
        descriptors.set(PREOPEN, Descriptor { open, preopen: Some(HOME.into()) }).expect("a low number");
        let creator = Creator { uid: 0, gid: 0, umask: 0o022 };
        let start = Start { argv: Vec::new(), env: Vec::new(), descriptors, creator, memory: None };
        Self { guest: Guest::new(Arc::new(step), 1, Arc::default(), process.seed, start) }
    }

    /// What has been changed. Nothing is open any more.
    pub(super) fn into_changes(self) -> Vec<Change> {
        let filesystem = self.guest.step.filesystem.clone();
        drop(self.guest);
        filesystem.changes().expect("changes")
    }
}

fn runtime() -> Arc<Runtime> {
    static RUNTIME: OnceLock<Arc<Runtime>> = OnceLock::new();
    let start = || {
        let engine = engine::new(false).expect("an engine");
        let imports = Imports::new(&engine).expect("imports");
        Arc::new(Runtime { modules: Modules::new(engine.clone(), imports, "never used".into()), engine })
    };
    RUNTIME.get_or_init(start).clone()
}

/// wasi-common, over a directory of this machine.
pub(super) struct Theirs(WasiCtx);

impl Theirs {
    pub(super) fn new(home: &Path) -> Self {
        let directory = Dir::open_ambient_dir(home, ambient_authority()).expect("just made");
        let mut builder = WasiCtxBuilder::new();
        builder.preopened_dir(directory, "/home").expect("room for a descriptor");
        Self(builder.build())
    }
}

/// Its files are read and written at once: nothing is ever waited for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a call that waits"),
    }
}
