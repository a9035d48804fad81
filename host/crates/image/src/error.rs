//! Everything that can go wrong with layers and images, with the path or digest it is about.

use std::io;
use std::path::PathBuf;

use kiln_types::Digest;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action}: {source}")]
    Io { action: &'static str, source: io::Error },

    #[error("cannot {action} `{path}`: {source}")]
    At { action: &'static str, path: String, source: io::Error },

    #[error("cannot {action} {path}: {source}", path = path.display())]
    HostPath { action: &'static str, path: PathBuf, source: io::Error },

    #[error(
        "`{path}` changed while it was read: its size was {expected} bytes and is not any more; build again when nothing writes to it"
    )]
    SizeChanged { path: String, expected: u64 },

    #[error("`{path}` cannot be kept in a layer: {reason}")]
    Unrepresentable { path: String, reason: &'static str },

    #[error("the change set is not in order at `{path}`: {reason}")]
    Disorder { path: String, reason: &'static str },

    #[error("invalid tar at byte {offset}: {reason}")]
    Tar { offset: u64, reason: &'static str },

    #[error("invalid tar entry `{path}`: {reason}")]
    TarEntry { path: String, reason: &'static str },

    #[error("the layer's index is damaged: {reason}; `kiln system fsck --repair` makes it again from the layer")]
    DamagedIndex { reason: &'static str },

    #[error(
        "`{path}` belongs to {uid}:{gid}, which this user namespace does not have; give the user a range of at least 65536 ids in /etc/subuid and /etc/subgid"
    )]
    OwnerNotMapped { path: String, uid: u32, gid: u32 },

    #[error("`{path}`: no such file or directory in the image")]
    NotFound { path: String },

    #[error("`{path}` is not a directory in the image")]
    NotADirectory { path: String },

    #[error("`{path}`: too many levels of symbolic links")]
    SymlinkLoop { path: String },

    #[error("cannot overwrite the directory `{path}` with something else; remove it, or name another destination")]
    DirectoryInPlace { path: String },

    #[error("cannot overwrite `{path}`, which is no directory, with one; remove it, or name another destination")]
    FileInPlace { path: String },

    #[error("`{path}` is larger than the {limit} bytes that are read of it")]
    TooLarge { path: String, limit: u64 },

    #[error("{what} `{name}` does not exist: {file} of the image has no such entry; use a number or add it first")]
    UnknownAccount { what: &'static str, name: String, file: &'static str },

    #[error("invalid user `{spec}`: {reason}")]
    InvalidAccount { spec: String, reason: &'static str },

    #[error("invalid {what}: {reason}")]
    Json { what: &'static str, reason: String },

    #[error("invalid image archive: {reason}")]
    Archive { reason: String },

    #[error("the archive is damaged: {reason}; get it again")]
    DamagedArchive { reason: String },

    #[error("the archive lacks the {what} {digest}; get it again, whole")]
    IncompleteArchive { what: &'static str, digest: Digest },

    #[error("{path} is no OCI image layout: it has no file oci-layout", path = path.display())]
    NoLayout { path: PathBuf },

    #[error("{path} is not empty and no OCI image layout; name a new directory", path = path.display())]
    NotALayout { path: PathBuf },

    #[error("blob {digest} is damaged: its content has the digest {found}")]
    DamagedBlob { digest: Digest, found: Digest },

    /// Of the store that blobs come from or go to.
    #[error(transparent)]
    Store(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }

    pub(crate) fn at(action: &'static str, path: &[u8]) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::At { action, path: kiln_types::paths::display(path), source }
    }

    pub(crate) fn entry(path: &[u8], reason: &'static str) -> Self {
        Self::TarEntry { path: String::from_utf8_lossy(path).into_owned(), reason }
    }
}
