//! What signals do. Until a command asks for something else they end the process as usual; the store recovers from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kiln_exec::Cancel;
#[cfg(unix)]
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
#[cfg(unix)]
use signal_hook::flag;

/// What shells add to the number of the signal that ended a program.
const BY_SIGNAL: usize = 128;

/// The user's wish that a command ends early.
#[derive(Default)]
pub(crate) struct Interrupts {
    wished: Arc<AtomicBool>,
    /// The signal's number; 0 before one came.
    signal: Arc<AtomicUsize>,
}

impl Interrupts {
    /// The wish itself. Nobody can have it before [`Interrupts::catch`] was called.
    pub(crate) fn cancel(&self) -> Cancel {
        Cancel::from_flag(Arc::clone(&self.wished))
    }

    /// From now on the first SIGINT, SIGTERM or SIGHUP cancels, and the second one ends the process at once. To be
    /// called once.
    pub(crate) fn catch(&self) -> anyhow::Result<Cancel> {
        #[cfg(unix)]
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_meant_to_be_ignored(signal)) {
            // Handlers run in the order of registration: the first signal finds the flag still false.
            flag::register_conditional_shutdown(signal, BY_SIGNAL as i32 + signal, Arc::clone(&self.wished))?;
            flag::register_usize(signal, Arc::clone(&self.signal), signal.unsigned_abs() as usize)?;
            flag::register(signal, Arc::clone(&self.wished))?;
        }
        Ok(Cancel::from_flag(Arc::clone(&self.wished)))
    }

    /// The exit code that says which signal came, if one did.
    pub(crate) fn code(&self) -> Option<u8> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => u8::try_from(BY_SIGNAL + signal).ok(),
        }
    }
}

/// Signals that are meant for the command that `run` runs.
pub(crate) struct PassedOn(Vec<(i32, Arc<AtomicBool>)>);

impl PassedOn {
    /// From now on signals are kept for [`PassedOn::next`]. A second SIGINT ends the process, and the command with it.
    /// To be called once.
    #[cfg(unix)]
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        flag::register_conditional_shutdown(SIGINT, BY_SIGNAL as i32 + SIGINT, Arc::clone(&interrupted))?;
        flag::register(SIGINT, interrupted)?;
        let mut kept = Vec::new();
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH] {
            if !is_meant_to_be_ignored(signal) {
                let came = Arc::new(AtomicBool::new(false));
                flag::register(signal, Arc::clone(&came))?;
                kept.push((signal, came));
            }
        }
        Ok(Self(kept))
    }

    #[cfg(not(unix))]
    pub(crate) fn catch() -> anyhow::Result<Self> {
        Ok(Self(Vec::new()))
    }

    /// One that came and was not asked for yet.
    pub(crate) fn next(&self) -> Option<i32> {
        self.0.iter().find(|(_, came)| came.swap(false, Ordering::SeqCst)).map(|(signal, _)| *signal)
    }
}

/// Signals that are kept until they are asked for, and wake who waits for them.
#[cfg(unix)]
pub(crate) struct Caught {
    kept: Vec<(i32, Arc<AtomicBool>)>,
    wake: std::os::unix::net::UnixStream,
}

#[cfg(unix)]
impl Caught {
    /// To be called once.
    pub(crate) fn signals() -> anyhow::Result<Self> {
        let (wake, waker) = std::os::unix::net::UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut kept = Vec::new();
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH] {
            if !is_meant_to_be_ignored(signal) {
                let came = Arc::new(AtomicBool::new(false));
                // In this order: who is woken finds the flag.
                flag::register(signal, Arc::clone(&came))?;
                signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
                kept.push((signal, came));
            }
        }
        Ok(Self { kept, wake })
    }

    /// One that came and was not asked for yet.
    pub(crate) fn next(&self) -> Option<i32> {
        use std::io::Read as _;

        while (&self.wake).read(&mut [0; 64]).is_ok_and(|length| length > 0) {}
        self.kept.iter().find(|(_, came)| came.swap(false, Ordering::SeqCst)).map(|(signal, _)| *signal)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Caught {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Under `nohup` the end of the terminal is to be ignored. (Shells ignore SIGINT for every command with `&`: that means
/// nothing.)
#[cfg(unix)]
fn is_meant_to_be_ignored(signal: i32) -> bool {
    let ignored = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    signal == SIGHUP && ignored().is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}
