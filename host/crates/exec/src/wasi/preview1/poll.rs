//! `poll_oneoff`. Where the clock stands still, time passes only for those who wait for it: a sleep moves the process's
//! own monotonic clock and returns at once. A wait for another process is a real one.

use std::time::{Duration, Instant};

use super::Done;
use super::process::now;
use crate::Clock;
use crate::wasi::errno::Errno;
use crate::wasi::guest_memory::GuestMemory;
use crate::wasi::processes::{Failure, Guest, LOOK, Target};

const SUBSCRIPTION: u32 = 48;
const EVENT: usize = 32;
const SUBSCRIPTIONS: u32 = 4096;

const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;
const ABSOLUTE: u16 = 1;

struct Subscription {
    userdata: u64,
    event: u8,
    wants: Wants,
}

enum Wants {
    /// Nanoseconds from now.
    Time(u64),
    Descriptor(u32),
    /// The subscription itself is wrong.
    Error(Errno),
}

pub(super) fn poll_oneoff(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    subscriptions: u32,
    events: u32,
    count: u32,
    out: u32,
) -> Done {
    if count == 0 || count > SUBSCRIPTIONS {
        return Err(Errno::Invalid.into());
    }
    memory.bytes(events, count * EVENT as u32)?;
    memory.bytes(subscriptions, count * SUBSCRIPTION)?;
    let list: Vec<Subscription> = (0..count)
        .map(|index| subscription(guest, memory, subscriptions + index * SUBSCRIPTION))
        .collect::<Result<_, Errno>>()?;

    let ready = wait(guest, &list)?;
    for (index, event) in ready.iter().enumerate() {
        memory.write(events + (index * EVENT) as u32, event)?;
    }
    Ok(memory.write_u32(out, ready.len() as u32)?)
}

fn subscription(guest: &mut Guest, memory: &GuestMemory<'_>, at: u32) -> Result<Subscription, Errno> {
    let userdata = memory.read_u64(at)?;
    let event = memory.bytes(at + 8, 1)?[0];
    let wants = match event {
        CLOCK => {
            let (clock, time) = (memory.read_u32(at + 16)?, memory.read_u64(at + 24)?);
            let absolute = memory.read_u16(at + 40)? & ABSOLUTE != 0;
            match now(guest, clock) {
                Ok(now) if absolute => Wants::Time(time.saturating_sub(now)),
                Ok(_) => Wants::Time(time),
                Err(errno) => Wants::Error(errno),
            }
        }
        FD_READ | FD_WRITE => Wants::Descriptor(memory.read_u32(at + 16)?),
        _ => return Err(Errno::Invalid),
    };
    Ok(Subscription { userdata, event, wants })
}

fn wait(guest: &mut Guest, list: &[Subscription]) -> Result<Vec<[u8; EVENT]>, Failure> {
    let time = |subscription: &Subscription| match subscription.wants {
        Wants::Time(time) => Some(time),
        _ => None,
    };
    let shortest = list.iter().filter_map(time).min();
    let for_others = list.iter().any(|subscription| matches!(subscription.wants, Wants::Descriptor(_)));
    let waits = for_others || guest.step.clock == Clock::Host;
    let until = shortest.and_then(|time| Instant::now().checked_add(Duration::from_nanos(time)));
    loop {
        let ready: Vec<_> = list.iter().filter_map(|subscription| ready(guest, subscription)).collect();
        if !ready.is_empty() {
            return Ok(ready);
        }
        if let Some(shortest) = shortest
            && (!waits || until.is_some_and(|until| Instant::now() >= until))
        {
            guest.monotonic = guest.monotonic.saturating_add(shortest);
            let due = list.iter().filter(|subscription| time(subscription) == Some(shortest));
            return Ok(due.map(|subscription| event(subscription, None, 0)).collect());
        }
        guest.check()?;
        let left = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()));
        std::thread::sleep(left.min(LOOK / 10));
    }
}

/// The event of a descriptor that is ready; times are not looked at.
fn ready(guest: &Guest, subscription: &Subscription) -> Option<[u8; EVENT]> {
    let fd = match subscription.wants {
        Wants::Time(_) => return None,
        Wants::Error(errno) => return Some(event(subscription, Some(errno), 0)),
        Wants::Descriptor(fd) => fd,
    };
    let open = match guest.descriptors.open(fd) {
        Ok(open) => open,
        Err(errno) => return Some(event(subscription, Some(errno), 0)),
    };
    let bytes = match (&open.target, subscription.event) {
        (Target::Reader(reader) | Target::Terminal(reader), FD_READ) => reader.ready()?,
        (Target::Writer(writer), FD_WRITE) => writer.ready()?,
        (Target::File(handle), FD_READ) => {
            // Readers hold the position while they lock the tree: never the other way round.
            let offset = open.position().offset;
            guest.step.filesystem.lock().size(handle.node).saturating_sub(offset)
        }
        (Target::Directory(_), _) => return Some(event(subscription, Some(Errno::BadDescriptor), 0)),
        _ => 1,
    };
    Some(event(subscription, None, bytes))
}

fn event(subscription: &Subscription, error: Option<Errno>, bytes: u64) -> [u8; EVENT] {
    let mut event = [0; EVENT];
    event[..8].copy_from_slice(&subscription.userdata.to_le_bytes());
    event[8..10].copy_from_slice(&error.map_or(0, |errno| errno as u16).to_le_bytes());
    event[10] = subscription.event;
    event[16..24].copy_from_slice(&bytes.to_le_bytes());
    event
}
