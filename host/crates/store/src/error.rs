//! Everything that can go wrong with the store, with the remedy where there is one.

use std::io;
use std::path::{Path, PathBuf};

use kiln_types::{Digest, ParseReferenceError, Reference};

use crate::files;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{root} was written by a newer kiln (format {found}, this one knows {known}); use that kiln, or another folder with --root", root = root.display())]
    NewerFormat { root: PathBuf, found: String, known: u32 },

    #[error("{root} is not empty and not a store of kiln; choose another folder with --root", root = root.display())]
    NotAStore { root: PathBuf },

    #[error("no space left for the store {root}; free some space on its disk, or use another folder with --root", root = root.display())]
    Full { root: PathBuf, source: io::Error },

    #[error("the store {root} can only be read here: it is mounted read-only, or belongs to another user; work as its owner, or use another folder with --root", root = root.display())]
    ReadOnly { root: PathBuf },

    #[error("the store {root} belongs to another user, who keeps it private; work as its owner, or use another folder with --root", root = root.display())]
    Private { root: PathBuf, source: io::Error },

    #[error("cannot write in {parent} what has to be made of a store that can only be read: {source}; name another folder with TMPDIR", parent = parent.display())]
    Aside { parent: PathBuf, source: io::Error },

    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },

    #[error("blob {digest} is missing; pull, load or build the image again")]
    MissingBlob { digest: Digest },

    #[error("blob {digest} has more than the {limit} bytes that are allowed for it")]
    TooLarge { digest: Digest, limit: u64 },

    #[error("blob {digest} was damaged and has been removed; pull, load or build the image again")]
    DamagedBlob { digest: Digest },

    #[error("blob {digest} is damaged, and the store {root} can only be read here; who may write to it repairs it with `kiln system fsck --repair`", root = root.display())]
    DamagedForReaders { digest: Digest, root: PathBuf },

    #[error(
        "what arrived as blob {digest} has the digest {found}; try again, and distrust where it came from if that does not help"
    )]
    WrongContent { digest: Digest, found: Digest },

    #[error("blob {digest} is not complete: {received} of {size} bytes arrived; try again to go on")]
    Incomplete { digest: Digest, received: u64, size: u64 },

    #[error(
        "layer {layer} decompresses to {found}, but the configuration of its image says {diff_id}; distrust where it came from"
    )]
    WrongLayer { layer: Digest, diff_id: Digest, found: Digest },

    #[error("layer {layer} is no layer: {source}; distrust where it came from")]
    NoLayer { layer: Digest, source: kiln_image::Error },

    #[error("invalid image: {reason}")]
    InvalidImage { reason: String },

    #[error("No such image: {name}")]
    NoSuchImage { name: String },

    #[error("the image of {name} is damaged or lost; build or load it again, or remove the name", name = name.familiar())]
    LostImage { name: Reference },

    #[error("image id {prefix} is ambiguous: {count} images begin with it; give more digits")]
    AmbiguousId { prefix: String, count: usize },

    #[error(
        "`scratch` is a reserved name: the empty image can stand in FROM, but be neither run, inspected nor tagged"
    )]
    Scratch,

    #[error("names of {registry} are kiln's own; choose another one")]
    ReservedName { registry: &'static str },

    #[error("refusing to create an ambiguous tag using digest algorithm as name")]
    LooksLikeDigest,

    #[error(transparent)]
    Name(#[from] ParseReferenceError),

    #[error("conflict: unable to delete {id} (cannot be forced) - image has dependent child images", id = .id.short())]
    HasChildren { id: Digest },

    #[error("conflict: unable to delete {id} (must be forced) - image is referenced in multiple repositories", id = .id.short())]
    SeveralNames { id: Digest },

    #[error("conflict: unable to delete {id} (cannot be forced) - image is being used by running container {container}", id = .id.short())]
    InUse { id: Digest, container: String },

    #[error("conflict: unable to delete {id} (must be forced) - image is being used by stopped container {container}", id = .id.short())]
    NeededByStopped { id: Digest, container: String },

    #[error("conflict: unable to remove repository reference \"{name}\" (must force) - container {container} is using its referenced image {id}", id = .id.short())]
    NameInUse { name: String, id: Digest, container: String },

    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{by}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken { name: String, by: String },

    #[error("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidContainerName { name: String },

    #[error("No such container: {name}")]
    NoSuchContainer { name: String },

    #[error("container {name} is damaged: its record cannot be read; remove it with `kiln rm -f {id}`")]
    DamagedContainer { name: String, id: String },

    #[error("multiple IDs found with provided prefix: {prefix}")]
    AmbiguousContainer { prefix: String },

    #[error(
        "cannot remove container \"/{name}\": container is running: stop the container before removing or force remove"
    )]
    ContainerRuns { name: String },

    #[error("get {name}: no such volume")]
    NoSuchVolume { name: String },

    #[error("remove {name}: volume is in use - [{users}]", users = containers.join(", "))]
    VolumeInUse { name: String, containers: Vec<String> },

    #[error(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    InvalidVolumeName { name: String },

    #[error("create {name}: volume name is too short, names should be at least two alphanumeric characters")]
    ShortVolumeName { name: String },

    #[error("the system has no random numbers")]
    NoRandom,

    #[error(transparent)]
    Image(#[from] kiln_image::Error),
}

impl Error {
    pub(crate) fn io(root: &Path, action: &'static str, path: &Path, source: io::Error) -> Self {
        if files::is_full(&source) {
            return Self::Full { root: root.to_owned(), source };
        }
        if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
            return Self::ReadOnly { root: root.to_owned() };
        }
        Self::Io { action, path: path.to_owned(), source }
    }
}
