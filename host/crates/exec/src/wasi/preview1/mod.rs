//! The imports that programs get: `wasi_snapshot_preview1` and kiln's own two modules, over kiln's filesystem and
//! processes. Numbers and layouts are those of `wasi_snapshot_preview1.witx`.

#![allow(clippy::too_many_arguments, reason = "a function has as many as the interface gives it")]

mod descriptor;
#[cfg(all(test, target_os = "linux"))]
mod differential;
mod directory;
mod kiln_files;
mod kiln_processes;
mod path;
mod poll;
mod process;
mod transfer;

use std::collections::BTreeSet;

use wasmtime::{Caller, Engine, Linker};

use super::guest_memory::GuestMemory;
use super::processes::{Failure, Guest, settle};

type Done = Result<(), Failure>;

/// The modules that only programs made for kiln import.
pub(crate) const KILN_MODULES: [&str; 2] = ["kiln_proc_v1", "kiln_fs_v1"];

/// Every host function checks whether its process is to end, before and after.
fn call(
    caller: &mut Caller<'_, Guest>,
    function: impl FnOnce(&mut Guest, &mut GuestMemory<'_>) -> Done,
) -> wasmtime::Result<i32> {
    settle(&mut *caller)?;
    caller.data().check()?;
    // A start section may call before the instance is known.
    let memory = caller.data().memory.or_else(|| caller.get_export("memory").and_then(wasmtime::Extern::into_memory));
    let done = match memory {
        Some(memory) => {
            let (bytes, guest) = memory.data_and_store_mut(&mut *caller);
            function(guest, &mut GuestMemory(bytes))
        }
        None => function(caller.data_mut(), &mut GuestMemory(&mut [])),
    };
    caller.data().check()?;
    match done {
        Ok(()) => Ok(0),
        Err(Failure::Errno(errno)) => Ok(errno.into()),
        Err(Failure::End(end)) => Err(wasmtime::Error::new(end)),
    }
}

macro_rules! import {
    ($linker:ident $module:literal: $($name:literal $function:path [$($argument:ident: $type:ty),*];)*) => {
        $($linker.names.insert(($module, $name));
        $linker.linker.func_wrap($module, $name, |mut caller: Caller<'_, Guest>, $($argument: $type),*| {
            call(&mut caller, |guest, memory| $function(guest, memory, $($argument),*))
        })?;)*
    };
}

/// All imports, to be used for any number of instances.
pub(crate) struct Imports {
    pub(crate) linker: Linker<Guest>,
    names: BTreeSet<(&'static str, &'static str)>,
}

impl Imports {
    pub(crate) fn has(&self, module: &str, name: &str) -> bool {
        self.names.contains(&(module, name))
    }

    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut imports = Self { linker: Linker::new(engine), names: BTreeSet::new() };
        imports.add_preview1()?;
        imports.add_kiln()?;
        imports.add_without_errno()?;
        Ok(imports)
    }

    fn add_preview1(&mut self) -> wasmtime::Result<()> {
        import! { self "wasi_snapshot_preview1":
            "args_get" process::args_get [table: u32, buffer: u32];
            "args_sizes_get" process::args_sizes_get [count: u32, size: u32];
            "environ_get" process::environ_get [table: u32, buffer: u32];
            "environ_sizes_get" process::environ_sizes_get [count: u32, size: u32];
            "clock_res_get" process::clock_res_get [clock: u32, out: u32];
            "clock_time_get" process::clock_time_get [clock: u32, precision: u64, out: u32];
            "fd_advise" descriptor::advise [fd: u32, offset: u64, length: u64, advice: u32];
            "fd_allocate" descriptor::allocate [fd: u32, offset: u64, length: u64];
            "fd_close" descriptor::close [fd: u32];
            "fd_datasync" descriptor::sync [fd: u32];
            "fd_fdstat_get" descriptor::fdstat_get [fd: u32, out: u32];
            "fd_fdstat_set_flags" descriptor::fdstat_set_flags [fd: u32, flags: u32];
            "fd_fdstat_set_rights" descriptor::fdstat_set_rights [fd: u32, base: u64, inheriting: u64];
            "fd_filestat_get" descriptor::filestat_get [fd: u32, out: u32];
            "fd_filestat_set_size" descriptor::filestat_set_size [fd: u32, size: u64];
            "fd_filestat_set_times" descriptor::filestat_set_times [fd: u32, accessed: u64, modified: u64, flags: u32];
            "fd_pread" transfer::pread [fd: u32, vectors: u32, count: u32, offset: u64, out: u32];
            "fd_prestat_get" directory::prestat_get [fd: u32, out: u32];
            "fd_prestat_dir_name" directory::prestat_dir_name [fd: u32, path: u32, length: u32];
            "fd_pwrite" transfer::pwrite [fd: u32, vectors: u32, count: u32, offset: u64, out: u32];
            "fd_read" transfer::read [fd: u32, vectors: u32, count: u32, out: u32];
            "fd_readdir" directory::readdir [fd: u32, buffer: u32, length: u32, cookie: u64, out: u32];
            "fd_renumber" descriptor::renumber [from: u32, to: u32];
            "fd_seek" descriptor::seek [fd: u32, offset: i64, whence: u32, out: u32];
            "fd_sync" descriptor::sync [fd: u32];
            "fd_tell" descriptor::tell [fd: u32, out: u32];
            "fd_write" transfer::write [fd: u32, vectors: u32, count: u32, out: u32];
            "path_create_directory" path::create_directory [fd: u32, path: u32, length: u32];
            "path_filestat_get" path::filestat_get [fd: u32, flags: u32, path: u32, length: u32, out: u32];
            "path_filestat_set_times" path::filestat_set_times
                [fd: u32, flags: u32, path: u32, length: u32, accessed: u64, modified: u64, times: u32];
            "path_link" path::link
                [old_fd: u32, flags: u32, old: u32, old_length: u32, new_fd: u32, new: u32, new_length: u32];
            "path_open" path::open
                [fd: u32, flags: u32, path: u32, length: u32, how: u32, base: u64, inheriting: u64, fdflags: u32, out: u32];
            "path_readlink" path::readlink [fd: u32, path: u32, length: u32, buffer: u32, room: u32, out: u32];
            "path_remove_directory" path::remove_directory [fd: u32, path: u32, length: u32];
            "path_rename" path::rename [old_fd: u32, old: u32, old_length: u32, new_fd: u32, new: u32, new_length: u32];
            "path_symlink" path::symlink [target: u32, target_length: u32, fd: u32, path: u32, length: u32];
            "path_unlink_file" path::unlink_file [fd: u32, path: u32, length: u32];
            "poll_oneoff" poll::poll_oneoff [subscriptions: u32, events: u32, count: u32, out: u32];
            "proc_raise" process::proc_raise [signal: u32];
            "random_get" process::random_get [buffer: u32, length: u32];
            "sched_yield" process::sched_yield [];
            "sock_accept" process::sock_accept [fd: u32, flags: u32, out: u32];
            "sock_recv" process::sock_recv [fd: u32, vectors: u32, count: u32, flags: u32, out: u32, out_flags: u32];
            "sock_send" process::sock_send [fd: u32, vectors: u32, count: u32, flags: u32, out: u32];
            "sock_shutdown" process::sock_shutdown [fd: u32, how: u32];
        }
        Ok(())
    }

    fn add_kiln(&mut self) -> wasmtime::Result<()> {
        import! { self "kiln_proc_v1":
            "spawn" kiln_processes::spawn
                [argv: u32, argv_len: u32, env: u32, env_len: u32, cwd: u32, cwd_len: u32, fds: u32, count: u32, out: u32];
            "wait" kiln_processes::wait [pid: i32, flags: u32, pid_out: u32, status_out: u32];
            "pipe" kiln_processes::pipe [read_out: u32, write_out: u32];
            "kill" kiln_processes::kill [pid: i32, signal: u32];
        }
        import! { self "kiln_fs_v1":
            "chmod" kiln_files::chmod [fd: u32, path: u32, length: u32, flags: u32, mode: u32];
            "chown" kiln_files::chown [fd: u32, path: u32, length: u32, flags: u32, uid: u32, gid: u32];
            "stat" kiln_files::stat [fd: u32, path: u32, length: u32, flags: u32, out: u32];
        }
        Ok(())
    }

    fn add_without_errno(&mut self) -> wasmtime::Result<()> {
        let exit = ("wasi_snapshot_preview1", "proc_exit");
        let own_number = ("kiln_proc_v1", "self");
        let umask = ("kiln_fs_v1", "umask");
        self.names.extend([exit, own_number, umask]);
        self.linker.func_wrap(exit.0, exit.1, process::proc_exit)?;
        self.linker.func_wrap(own_number.0, own_number.1, |caller: Caller<'_, Guest>| caller.data().pid)?;
        self.linker.func_wrap(umask.0, umask.1, |mut caller: Caller<'_, Guest>, mask: u32| {
            std::mem::replace(&mut caller.data_mut().creator.umask, mask & 0o777)
        })?;
        Ok(())
    }
}
