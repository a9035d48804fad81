//! A TUN device: an interface whose packets are read and written by this process.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

/// Makes the interface `name` in the calling thread's network namespace, with which it goes: taking it away when the
/// descriptor is closed would keep whoever closes it waiting for the kernel's other processors, for 10 ms and more.
///
/// Each packet is an IP packet behind a header of `struct virtio_net_hdr` (10 bytes). Checksums of TCP and UDP may be
/// left to the kernel in both directions. The descriptor does not block.
///
/// # Errors
/// Where there is no /dev/net/tun, where this user may not open it, or may not make interfaces in the namespace.
pub fn open(name: &str) -> io::Result<OwnedFd> {
    let device = rustix::fs::open("/dev/net/tun", OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?;
    // SAFETY: all-zero bytes are a valid `ifreq`: an empty name and a union of plain integers.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays zero.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        // It has a sign on some architectures only.
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `request` is, and keeps no pointer to it.
    let made = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: TUNSETOFFLOAD takes its flags as the argument itself.
    let offloaded = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETOFFLOAD as _, libc::TUN_F_CSUM) };
    if offloaded < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: TUNSETPERSIST takes a truth value as the argument itself.
    let kept = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETPERSIST as _, 1) };
    if kept < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(device)
}
