//! Arguments, environment, clocks, randomness, the end; and the sockets that do not exist.

use super::Done;
use crate::Clock;
use crate::wasi::errno::Errno;
use crate::wasi::guest_memory::GuestMemory;
use crate::wasi::processes::{End, Guest};

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
/// The clocks of used processor time, of a process and of a thread.
const PROCESSOR: std::ops::RangeInclusive<u32> = 2..=3;
/// How far each look at the monotonic clock moves it, in nanoseconds.
pub(super) const TICK: u64 = 1000;
/// Signals that do nothing where no handler is set: child, continue, urgent data, window change.
const IGNORED: [u32; 4] = [16, 17, 22, 27];
const LAST_SIGNAL: u32 = 30;

fn sizes(memory: &mut GuestMemory<'_>, strings: &[Vec<u8>], count: u32, size: u32) -> Done {
    memory.write_u32(count, strings.len() as u32)?;
    memory.write_u32(size, strings.iter().map(|string| string.len() as u32 + 1).sum())?;
    Ok(())
}

pub(super) fn args_get(guest: &mut Guest, memory: &mut GuestMemory<'_>, table: u32, buffer: u32) -> Done {
    Ok(memory.write_strings(table, buffer, &guest.argv)?)
}

pub(super) fn args_sizes_get(guest: &mut Guest, memory: &mut GuestMemory<'_>, count: u32, size: u32) -> Done {
    sizes(memory, &guest.argv, count, size)
}

pub(super) fn environ_get(guest: &mut Guest, memory: &mut GuestMemory<'_>, table: u32, buffer: u32) -> Done {
    Ok(memory.write_strings(table, buffer, &guest.env)?)
}

pub(super) fn environ_sizes_get(guest: &mut Guest, memory: &mut GuestMemory<'_>, count: u32, size: u32) -> Done {
    sizes(memory, &guest.env, count, size)
}

pub(super) fn clock_res_get(_: &mut Guest, memory: &mut GuestMemory<'_>, clock: u32, out: u32) -> Done {
    match clock {
        REALTIME..=3 => Ok(memory.write_u64(out, TICK)?),
        _ => Err(Errno::Invalid.into()),
    }
}

pub(super) fn clock_time_get(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    clock: u32,
    _precision: u64,
    out: u32,
) -> Done {
    let time = now(guest, clock)?;
    Ok(memory.write_u64(out, time)?)
}

/// What a clock shows, in nanoseconds.
pub(super) fn now(guest: &mut Guest, clock: u32) -> Result<u64, Errno> {
    if clock == REALTIME {
        return Ok(guest.step.clock.now());
    }
    if clock != MONOTONIC && !PROCESSOR.contains(&clock) {
        return Err(Errno::Invalid);
    }
    if guest.step.clock == Clock::Host {
        return Ok(guest.step.started.elapsed().as_nanos().try_into().unwrap_or(u64::MAX));
    }
    let time = guest.monotonic;
    guest.monotonic = time.saturating_add(TICK);
    Ok(time)
}

pub(super) fn random_get(guest: &mut Guest, memory: &mut GuestMemory<'_>, buffer: u32, length: u32) -> Done {
    guest.fill_random(memory.bytes_mut(buffer, length)?);
    Ok(())
}

pub(super) fn proc_exit(status: u32) -> wasmtime::Result<()> {
    Err(wasmtime::Error::new(End::Exit(status as u8)))
}

pub(super) fn proc_raise(_: &mut Guest, _: &mut GuestMemory<'_>, signal: u32) -> Done {
    match signal {
        0 => Ok(()),
        ignored if IGNORED.contains(&ignored) => Ok(()),
        1..=LAST_SIGNAL => Err(End::Signal(signal).into()),
        _ => Err(Errno::Invalid.into()),
    }
}

pub(super) fn sched_yield(_: &mut Guest, _: &mut GuestMemory<'_>) -> Done {
    std::thread::yield_now();
    Ok(())
}

/// No descriptor is a socket, and none can be made.
fn no_socket(guest: &Guest, fd: u32) -> Done {
    guest.descriptors.get(fd)?;
    Err(Errno::NotSupported.into())
}

pub(super) fn sock_accept(guest: &mut Guest, _: &mut GuestMemory<'_>, fd: u32, _flags: u32, _out: u32) -> Done {
    no_socket(guest, fd)
}

pub(super) fn sock_recv(
    guest: &mut Guest,
    _: &mut GuestMemory<'_>,
    fd: u32,
    _vectors: u32,
    _count: u32,
    _flags: u32,
    _out: u32,
    _out_flags: u32,
) -> Done {
    no_socket(guest, fd)
}

pub(super) fn sock_send(
    guest: &mut Guest,
    _: &mut GuestMemory<'_>,
    fd: u32,
    _vectors: u32,
    _count: u32,
    _flags: u32,
    _out: u32,
) -> Done {
    no_socket(guest, fd)
}

pub(super) fn sock_shutdown(guest: &mut Guest, _: &mut GuestMemory<'_>, fd: u32, _how: u32) -> Done {
    no_socket(guest, fd)
}
