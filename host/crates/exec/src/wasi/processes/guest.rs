//! One running process as the host sees it: the data of its store.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kiln_types::{Digest, Hasher};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use wasmtime::{Memory, ResourceLimiter};

use super::descriptors::Descriptors;
use super::step::Step;
use crate::wasi::errno::Errno;
use crate::wasi::fs::Creator;
use crate::wasi::limits::{self, Reservation};

pub(crate) const SIGNAL_KILL: u32 = 9;

/// A process is over: carried through WebAssembly as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    #[error("exited with {0}")]
    Exit(u8),
    #[error("ended by signal {0}")]
    Signal(u32),
}

/// Why a host function does not return 0.
#[derive(Debug)]
pub(crate) enum Failure {
    Errno(Errno),
    End(End),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<End> for Failure {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

/// The signal that ends a process, once there is one.
#[derive(Default)]
pub(crate) struct Stop(AtomicU32);

impl Stop {
    pub(crate) fn set(&self, signal: u32) {
        // The first signal is the cause.
        let _ = self.0.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
    }

    pub(crate) fn check(&self) -> Result<(), End> {
        match self.0.load(Ordering::SeqCst) {
            0 => Ok(()),
            signal => Err(End::Signal(signal)),
        }
    }
}

pub(crate) struct Guest {
    pub(crate) step: Arc<Step>,
    pub(crate) pid: u32,
    pub(crate) stop: Arc<Stop>,
    pub(crate) argv: Vec<Vec<u8>>,
    /// `NAME=value` entries.
    pub(crate) env: Vec<Vec<u8>>,
    pub(crate) descriptors: Descriptors,
    pub(crate) creator: Creator,
    /// What the next read of the monotonic clock gives, in nanoseconds.
    pub(crate) monotonic: u64,
    /// The exported memory, once the module is instantiated.
    pub(crate) memory: Option<Memory>,
    seed: Digest,
    random: ChaCha20Rng,
    children: u64,
    memory_used: u64,
    /// Instructions that the store was last given, see [`super::fuel`].
    pub(super) fuel: u64,
    /// For the arguments.
    _memory: Option<Reservation>,
}

impl Guest {
    pub(crate) fn new(step: Arc<Step>, pid: u32, stop: Arc<Stop>, seed: Digest, start: Start) -> Self {
        let Start { argv, env, descriptors, creator, memory } = start;
        let random = ChaCha20Rng::from_seed(*seed.as_bytes());
        Self {
            step,
            pid,
            stop,
            argv,
            env,
            descriptors,
            creator,
            monotonic: 0,
            memory: None,
            seed,
            random,
            children: 0,
            memory_used: 0,
            fuel: 0,
            _memory: memory,
        }
    }

    /// Whether the process is to end.
    pub(crate) fn check(&self) -> Result<(), End> {
        self.stop.check()?;
        if self.step.fatal.is_set() { Err(End::Signal(SIGNAL_KILL)) } else { Ok(()) }
    }

    /// For as long as the process lives.
    fn take_memory(&mut self, bytes: u64) -> Result<(), End> {
        if self.step.memory.take(bytes) {
            self.memory_used += bytes;
            return Ok(());
        }
        self.step.fatal.exceeded(self.step.memory.limit);
        Err(End::Signal(SIGNAL_KILL))
    }

    pub(crate) fn fill_random(&mut self, buffer: &mut [u8]) {
        self.random.fill_bytes(buffer);
    }

    /// The seed of the next child: it depends on nothing that runs beside this process.
    pub(crate) fn child_seed(&mut self) -> Digest {
        self.children += 1;
        let mut hasher = Hasher::new();
        hasher.field(self.seed.as_bytes());
        hasher.field(self.children.to_le_bytes());
        hasher.finish()
    }
}

/// What a process starts with, besides its program.
pub(crate) struct Start {
    pub(crate) argv: Vec<Vec<u8>>,
    pub(crate) env: Vec<Vec<u8>>,
    pub(crate) descriptors: Descriptors,
    pub(crate) creator: Creator,
    /// What the arguments and the environment take.
    pub(crate) memory: Option<Reservation>,
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.take_memory(desired.saturating_sub(current) as u64)?;
        Ok(true)
    }

    /// Only for what was granted above: the program must not see that this host has too little.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.step.fatal.host("get memory for a program", io::Error::other(format!("{error:#}")));
        Err(End::Signal(SIGNAL_KILL).into())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > maximum.unwrap_or(usize::MAX).min(limits::TABLE_ELEMENTS) {
            return Ok(false);
        }
        self.take_memory((desired.saturating_sub(current) * size_of::<usize>()) as u64)?;
        Ok(true)
    }

    fn memories(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        64
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.step.memory.give_back(self.memory_used);
    }
}
