//! `kiln_proc_v1`: processes and pipes.

use std::sync::Arc;

use super::Done;
use crate::wasi::errno::Errno;
use crate::wasi::guest_memory::GuestMemory;
use crate::wasi::limits;
use crate::wasi::processes::{
    Child, Descriptor, Descriptors, Directory, Failure, Guest, Open, Refused, Start, Target, find_program,
    start_process,
};

/// What it takes to keep a string, besides its bytes.
const KEPT_STRING: usize = size_of::<Vec<u8>>();
const NO_HANG: u32 = 1;
const LAST_SIGNAL: u32 = 64;
/// 3 and 4 are every process's own preopens.
const PREOPENS: std::ops::RangeInclusive<u32> = 3..=4;

pub(super) fn spawn(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    argv: u32,
    argv_len: u32,
    env: u32,
    env_len: u32,
    cwd: u32,
    cwd_len: u32,
    fds: u32,
    count: u32,
    out: u32,
) -> Done {
    memory.write_u32(out, 0)?;
    let argv = strings(memory, argv, argv_len)?;
    let env = strings(memory, env, env_len)?;
    if argv.is_empty() {
        return Err(Errno::Invalid.into());
    }
    let descriptors = inherited(guest, memory, fds, count)?;
    let cwd = memory.path(cwd, cwd_len)?;
    if !cwd.starts_with(b"/") {
        return Err(Errno::Invalid.into());
    }
    let cwd = Directory::open(&guest.step.filesystem, &cwd)?;
    let kept = argv.iter().chain(&env).map(|string| KEPT_STRING + string.len()).sum();
    let held = guest.step.reserve(kept)?;
    let program = find_program(&guest.step, argv, &env, cwd.handle.node);
    let (program, argv) = program.map_err(|refused| match refused {
        Refused::NotFound => Errno::NotFound,
        Refused::Denied(_) => Errno::Access,
        Refused::NotExecutable(_) => Errno::NotExecutable,
        Refused::Failed(errno) => errno,
    })?;
    let start = Start { argv, env, descriptors, creator: guest.creator, memory: Some(held) };
    let seed = guest.child_seed();
    let pid = start_process(&guest.step, guest.pid, &guest.stop, program, start, cwd, seed)?;
    Ok(memory.write_u32(out, pid)?)
}

/// Strings that each end in NUL.
fn strings(memory: &GuestMemory<'_>, address: u32, length: u32) -> Result<Vec<Vec<u8>>, Errno> {
    let bytes = memory.bytes(address, length.min(limits::ARGUMENTS as u32))?;
    let count = bytes.iter().filter(|&&byte| byte == 0).count();
    if length as usize + count * KEPT_STRING > limits::ARGUMENTS {
        return Err(Errno::TooBig);
    }
    match bytes.split_last() {
        None => Ok(Vec::new()),
        Some((0, strings)) => Ok(strings.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect()),
        Some(_) => Err(Errno::Invalid),
    }
}

/// The descriptors that the child gets.
fn inherited(guest: &Guest, memory: &GuestMemory<'_>, fds: u32, count: u32) -> Result<Descriptors, Errno> {
    if count as usize > limits::DESCRIPTORS {
        return Err(Errno::Invalid);
    }
    let mut descriptors = Descriptors::default();
    for index in 0..count {
        let at = fds.checked_add(index * 8).ok_or(Errno::Fault)?;
        let own = memory.read_u32(at)?;
        let childs = memory.read_u32(at.checked_add(4).ok_or(Errno::Fault)?)?;
        if PREOPENS.contains(&childs) {
            return Err(Errno::Invalid);
        }
        descriptors.set(childs, Descriptor { open: guest.descriptors.open(own)?, preopen: None })?;
    }
    if descriptors.get(0).is_err() {
        descriptors.set(0, Descriptor { open: Arc::new(Open::new(Target::Empty, true, false, 0)), preopen: None })?;
    }
    Ok(descriptors)
}

pub(super) fn wait(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    pid: i32,
    flags: u32,
    pid_out: u32,
    status_out: u32,
) -> Done {
    let child = match pid {
        -1 => Child::Any,
        1.. => Child::Pid(pid.unsigned_abs()),
        _ => return Err(Errno::Invalid.into()),
    };
    memory.write_u32(pid_out, 0)?;
    memory.write_u32(status_out, 0)?;
    if let Some((pid, status)) = guest.step.table.wait(guest.pid, child, flags & NO_HANG == 0, &guest.stop)? {
        memory.write_u32(pid_out, pid)?;
        memory.write_u32(status_out, status.into())?;
    }
    Ok(())
}

pub(super) fn pipe(guest: &mut Guest, memory: &mut GuestMemory<'_>, read_out: u32, write_out: u32) -> Done {
    let (reader, writer) = guest.step.pipe()?;
    let read = guest.descriptors.add(Arc::new(Open::new(Target::Reader(reader), true, false, 0)))?;
    let write = guest.descriptors.add(Arc::new(Open::new(Target::Writer(writer), false, true, 0)));
    let done = write.and_then(|write| {
        memory.write_u32(read_out, read)?;
        memory.write_u32(write_out, write).inspect_err(|_| drop(guest.descriptors.close(write)))
    });
    done.map_err(|errno| {
        drop(guest.descriptors.close(read));
        Failure::from(errno)
    })
}

pub(super) fn kill(guest: &mut Guest, _: &mut GuestMemory<'_>, pid: i32, signal: u32) -> Done {
    let pid = u32::try_from(pid).map_err(|_| Errno::NoProcess)?;
    if signal > LAST_SIGNAL {
        return Err(Errno::Invalid.into());
    }
    guest.step.table.kill(pid, signal)?;
    // A process that computes looks at its stop when the epoch moves.
    guest.step.runtime.engine.increment_epoch();
    Ok(())
}
