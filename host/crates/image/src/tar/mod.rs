//! Tar as layers use it: one writer of headers, one bounded reader, and the tree that the members of a tar make.

mod header;
mod numbers;
mod reader;
mod records;
mod tree;
mod writer;

pub(crate) use header::{END, Header, append_header, padding};
pub(crate) use reader::Reader;
pub use reader::{Member, MemberKind, Reader as TarReader};
pub(crate) use tree::{Found, Item, Tree, clean_name};
pub use writer::TarWriter;

pub(crate) const BLOCK: usize = 512;

/// Most paths that one layer may have, those implied counted.
pub(crate) const MAX_ENTRIES: usize = 2_000_000;

/// Longest path, as the kernel has it; what is deeper is an attack.
pub(crate) const MAX_PATH: usize = 4095;

/// Names that OCI layers use for removals; what follows is the name that is removed.
pub(crate) const WHITEOUT: &[u8] = b".wh.";
/// Markers of the storage drivers themselves.
pub(crate) const WHITEOUT_META: &[u8] = b".wh..wh.";
pub(crate) const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";
