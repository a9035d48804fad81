//! The socket in a container's folder. Its path may be longer than the address of a socket can be, so on Linux it is
//! reached through a descriptor of the folder.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

const NAME: &str = "socket";

pub(crate) fn connect(folder: &Path) -> io::Result<UnixStream> {
    let folder = Folder::open(folder)?;
    UnixStream::connect(folder.path())
}

/// In place of one that a killed supervisor left.
#[cfg(target_os = "linux")]
pub(crate) fn listen(folder: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    remove(folder)?;
    std::os::unix::net::UnixListener::bind(Folder::open(folder)?.path())
}

#[cfg(target_os = "linux")]
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(folder.join(NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(target_os = "linux")]
struct Folder(std::fs::File);

#[cfg(target_os = "linux")]
impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(std::fs::File::open(path)?))
    }

    fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd as _;
        format!("/proc/self/fd/{}/{NAME}", self.0.as_raw_fd()).into()
    }
}

#[cfg(not(target_os = "linux"))]
struct Folder(PathBuf);

#[cfg(not(target_os = "linux"))]
impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(path.to_owned()))
    }

    fn path(&self) -> PathBuf {
        self.0.join(NAME)
    }
}
