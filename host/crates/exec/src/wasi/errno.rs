//! The error numbers of preview 1 that kiln answers with.

/// As in `typenames.witx`; success is 0 and stands for no `Errno`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u16)]
pub(crate) enum Errno {
    #[error("argument list too long")]
    TooBig = 1,
    #[error("permission denied")]
    Access = 2,
    #[error("resource temporarily unavailable")]
    Again = 6,
    #[error("bad file descriptor")]
    BadDescriptor = 8,
    #[error("resource busy")]
    Busy = 10,
    #[error("no child process")]
    Child = 12,
    #[error("file exists")]
    Exists = 20,
    #[error("bad address")]
    Fault = 21,
    #[error("file too large")]
    FileTooBig = 22,
    #[error("invalid argument")]
    Invalid = 28,
    #[error("input/output error")]
    Io = 29,
    #[error("is a directory")]
    IsDirectory = 31,
    #[error("too many levels of symbolic links")]
    Loop = 32,
    #[error("too many open files")]
    TooManyDescriptors = 33,
    #[error("file name too long")]
    NameTooLong = 37,
    #[error("no such file or directory")]
    NotFound = 44,
    #[error("exec format error")]
    NotExecutable = 45,
    #[error("no space left")]
    NoSpace = 51,
    #[error("not a directory")]
    NotDirectory = 54,
    #[error("directory not empty")]
    NotEmpty = 55,
    #[error("not supported")]
    NotSupported = 58,
    #[error("no such device")]
    NoDevice = 60,
    #[error("value too large")]
    Overflow = 61,
    #[error("operation not permitted")]
    NotPermitted = 63,
    #[error("broken pipe")]
    BrokenPipe = 64,
    #[error("read-only file system")]
    ReadOnly = 69,
    #[error("illegal seek")]
    NoSeek = 70,
    #[error("no such process")]
    NoProcess = 71,
    #[error("invalid cross-device link")]
    CrossDevice = 75,
}

impl From<Errno> for i32 {
    fn from(errno: Errno) -> Self {
        errno as Self
    }
}
