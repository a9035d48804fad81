//! System calls that neither std nor rustix has in a safe form, each as one small function.
//!
//! All are async-signal-safe: they may be called between fork and exec.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int, c_long, c_void};
use std::mem;
use std::ops::Range;
use std::ptr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

use super::landlock::{PathBeneath, Ruleset};
use super::prepare::Strings;
use crate::seccomp::Filter;

fn check(result: c_long) -> Result<c_long> {
    if result == -1 { Err(last_errno()) } else { Ok(result) }
}

fn last_errno() -> Errno {
    // SAFETY: the location is the calling thread's own errno.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// Forks into new namespaces. The parent gets the child's id and a descriptor of it, the child gets `None`.
///
/// # Safety
///
/// If this process has other threads, the child may only call async-signal-safe functions, and must end in `execve`
/// or [`exit`].
pub(super) unsafe fn fork_into(namespaces: c_int) -> Result<Option<(u32, OwnedFd)>> {
    let mut pidfd: c_int = -1;
    let flags = c_long::from(namespaces | libc::CLONE_PIDFD | libc::SIGCHLD);
    // SAFETY: no stack and no shared memory, so this is a fork; the kernel writes the descriptor to `pidfd`.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) })?;
    if pid == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel has just opened it for us.
    Ok(Some((pid as u32, unsafe { OwnedFd::from_raw_fd(pidfd) })))
}

/// Forks. The parent gets the child's process id, the child gets 0.
///
/// # Safety
///
/// As for [`fork_into`].
pub(super) unsafe fn fork() -> Result<c_int> {
    // SAFETY: no stack and no shared memory, so this is a fork. The C library's own fork is avoided because it takes
    // locks that other threads of the first parent may have held.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, c_long::from(libc::SIGCHLD), 0, 0, 0, 0) })?;
    Ok(pid as c_int)
}

/// The stack of a child that shares its parent's memory.
pub(super) struct Stack(Box<[UnsafeCell<u128>]>);

impl Stack {
    /// Far more than system calls take.
    const SIZE: usize = 64 << 10;

    pub(super) fn new() -> Self {
        Self((0..Self::SIZE / size_of::<u128>()).map(|_| UnsafeCell::new(0)).collect())
    }

    /// It grows down from here.
    fn top(&self) -> *mut c_void {
        let end = self.0.as_ptr_range().end;
        end.cast_mut().cast()
    }
}

/// Starts a child in this process's memory, where it runs `main`, and waits until it has executed a program or ended.
/// Answers its process id. A fork would copy the tables of all memory, for the child to drop them at once.
///
/// # Safety
///
/// `main` may only call async-signal-safe functions, must end in `execve` or [`exit`], and must not unwind. Nothing else
/// may use `stack` meanwhile.
pub(super) unsafe fn spawn<T>(stack: &Stack, main: extern "C" fn(&T) -> !, argument: &T) -> Result<c_int> {
    struct Start<'a, T> {
        main: extern "C" fn(&T) -> !,
        argument: &'a T,
    }
    extern "C" fn begin<T>(start: *mut c_void) -> c_int {
        // SAFETY: it is the one below, whose function waits.
        let start = unsafe { &*start.cast::<Start<'_, T>>() };
        (start.main)(start.argument)
    }
    let mut start = Start { main, argument };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is aligned and the child's alone; this thread goes on when the child has left this memory. The C
    // library's function makes the system call and takes no locks.
    let pid = unsafe { libc::clone(begin::<T>, stack.top(), flags, (&raw mut start).cast()) };
    check(pid.into()).map(|_| pid)
}

/// Ends this process at once, without exit handlers.
pub(super) fn exit(code: c_int) -> ! {
    // SAFETY: it does not return, and runs nothing of the parent's.
    unsafe { libc::_exit(code) }
}

/// Replaces this process. Returns only if that failed.
pub(super) fn execute(program: &CStr, arguments: &Strings, environment: &Strings) -> Errno {
    // SAFETY: both arrays end in a null pointer and their strings live as long as `Strings`.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    last_errno()
}

/// Closes all descriptors from `first` to `last`, both included.
///
/// # Safety
///
/// Nothing may own a descriptor in the range any more, or ever drop its owner.
pub(super) unsafe fn close_range(first: u32, last: u32) -> Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: the caller vouches for the descriptors; the call touches no memory.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Lets no program that is executed from here on have any descriptor from `first` on.
pub(crate) fn close_on_execute(first: u32) -> Result<()> {
    // SAFETY: nothing is closed now, and the call touches no memory.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Overwrites this process's command line, as others see it in `/proc`.
///
/// # Safety
///
/// `range` is where the kernel put the arguments of this process (see `proc_pid_stat(5)`), and nothing may read them
/// any more: the process must have been forked, and must not return to what the parent was doing.
pub(super) unsafe fn erase_command_line(range: Range<usize>) {
    let start = ptr::with_exposed_provenance_mut::<u8>(range.start);
    // SAFETY: the range is on this process's own copy of the initial stack, which is writable.
    unsafe { ptr::write_bytes(start, 0, range.len()) };
}

/// A set of signals, kept to be put back.
pub(super) struct Mask(libc::sigset_t);

/// Blocks every signal in the calling thread.
pub(super) fn block_signals() -> Mask {
    let mut all = all_signals();
    let mut before = all;
    // SAFETY: both sets are valid; with these arguments it cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    mem::swap(&mut all, &mut before);
    Mask(all)
}

/// Puts back what [`block_signals`] found.
pub(super) fn restore_signals(mask: &Mask) {
    // SAFETY: the set is valid.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask.0, ptr::null_mut()) };
}

/// Gives every signal its default action again. Where SIGCHLD is ignored, as whoever started kiln may have left it, the
/// kernel tells nobody how a child ended.
pub(super) fn default_signal_actions() {
    // The kernel's own structure: the default action, no flags, nothing masked. The C library's function would leave
    // out the two signals that it keeps for itself.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the structure is as large as the kernel's and is only read; SIGKILL and SIGSTOP are refused and never
        // have another action.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), 0, size_of::<u64>()) };
    }
}

/// No signal is blocked any more, as a program expects at its start.
pub(super) fn unblock_signals() {
    // SAFETY: an empty set is valid.
    unsafe {
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// A signal that arrived.
pub(super) struct Arrived {
    pub(super) signal: c_int,
    /// Sent by a process, not made by the kernel (as a terminal's Ctrl-C is).
    pub(super) by_process: bool,
}

/// Waits for any (blocked) signal. `None` if interrupted.
pub(super) fn wait_signal() -> Option<Arrived> {
    let all = all_signals();
    // SAFETY: zeroed is a valid `siginfo_t`; both pointers are valid for the call.
    unsafe {
        let mut info: libc::siginfo_t = mem::zeroed();
        let signal = libc::sigwaitinfo(&raw const all, &raw mut info);
        (signal > 0).then_some(Arrived { signal, by_process: info.si_code <= 0 })
    }
}

fn all_signals() -> libc::sigset_t {
    // SAFETY: sigfillset initialises the whole set.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}

/// Sends a signal by number: rustix's type has no name for every number that may have to be passed on.
pub(super) fn kill(pid: c_int, signal: c_int) {
    // SAFETY: touches no memory. It may fail when the process is gone already, which is as good.
    unsafe { libc::kill(pid, signal) };
}

/// Sends a signal by number to the process of a descriptor.
pub(super) fn signal(process: BorrowedFd<'_>, signal: c_int) -> Result<()> {
    // SAFETY: without a structure the kernel makes one, as kill does.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, ptr::null::<libc::siginfo_t>(), 0)
    };
    check(sent).map(drop)
}

/// Lets go of the session keyring that was inherited. Kernels without keys have none.
pub(super) fn new_session_keyring() -> Result<()> {
    const JOIN_SESSION_KEYRING: c_int = 1;
    // SAFETY: without a name it reads no memory.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, ptr::null::<libc::c_char>()) };
    match check(joined) {
        Err(errno) if errno != Errno::NOSYS => Err(errno),
        _ => Ok(()),
    }
}

/// Filters the system calls of this process and its descendants from now on.
pub(super) fn install_filter(filter: &Filter) -> Result<()> {
    let program = libc::sock_fprog { len: filter.program.len() as u16, filter: filter.program.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program and writes nothing.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, filter.flags, &raw const program) })
        .map(drop)
}

/// Sets attributes of a mount, and of those below it if `recursive`.
pub(crate) fn set_mount_attributes(mount: BorrowedFd<'_>, attributes: u64, recursive: bool) -> Result<()> {
    change_mount_attributes(mount, (attributes, 0), recursive)
}

/// Takes attributes from a mount, and none from those below it.
pub(super) fn clear_mount_attributes(mount: BorrowedFd<'_>, attributes: u64) -> Result<()> {
    change_mount_attributes(mount, (0, attributes), false)
}

fn change_mount_attributes(mount: BorrowedFd<'_>, (set, clear): (u64, u64), recursive: bool) -> Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: path and structure are valid for the call, and the size is the structure's.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of_val(&attributes),
        )
    })
    .map(drop)
}

/// Brings the interface `lo` up.
pub(super) fn loopback_up() -> Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: zeroed is a valid `ifreq`, and the name stays null-terminated; the kernel reads name and flags.
    unsafe {
        let mut request: libc::ifreq = mem::zeroed();
        request.ifr_name[0] = b'l' as _;
        request.ifr_name[1] = b'o' as _;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as _;
        check(libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request).into())?;
    }
    Ok(())
}

/// The version of Landlock that this kernel has; less than 1 where it has none.
pub(super) fn landlock_version() -> c_int {
    const VERSION: c_int = 1;
    // SAFETY: with this flag it takes no structure and makes nothing.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<Ruleset>(), 0, VERSION) as c_int }
}

pub(super) fn landlock_create(rules: &Ruleset) -> Result<OwnedFd> {
    // SAFETY: the kernel reads the structure, whose size it is told.
    let descriptor = check(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::from_ref(rules), size_of_val(rules), 0)
    })?;
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as c_int) })
}

pub(super) fn landlock_allow(rules: BorrowedFd<'_>, rule: &PathBeneath) -> Result<()> {
    const PATH_BENEATH: c_int = 1;
    // SAFETY: the kernel reads the structure, which is the one of this kind of rule.
    check(unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), PATH_BENEATH, ptr::from_ref(rule), 0)
    })
    .map(drop)
}

pub(super) fn landlock_restrict(rules: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: touches no memory.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) }).map(drop)
}
