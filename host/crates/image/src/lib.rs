//! Layers and images: change sets in, tars with their indexes out, and the merged view of a stack of layers.
//!
//! Everything here works on bytes and paths inside images; where blobs are kept is the store's business.

mod accounts;
pub mod archive;
mod change;
mod compare;
pub mod compress;
pub mod config;
mod content;
mod digesting;
#[cfg(target_os = "linux")]
mod directory;
mod edit;
mod error;
mod extract;
mod ids;
mod index;
mod layer;
pub mod manifest;
mod merge;
mod meta;
mod nested;
mod rootfs;
mod tar;
mod view;
mod write;

pub use accounts::{User, resolve_group_in, resolve_owner, resolve_user, resolve_user_in};
pub use change::{Change, Node, compare_paths};
pub use compare::{Aspect, FileDifference, compare_files};
pub use compress::Compression;
pub use config::{Config, Healthcheck, History, ImageConfig, MAX_DOCUMENT, RootFs};
pub use content::{Content, Source};
pub use digesting::{CopyError, copy_digesting};
#[cfg(target_os = "linux")]
pub use directory::{Owners, Placing, UnpackOptions, Within, read_tree, scan_upper, unpack};
pub use edit::{Edit, EmptyStep};
pub use error::{Error, Result};
pub use extract::archive_changes;
pub use ids::GrowingId;
pub use index::{Entry, Header, Index, Kind, survey, survey_file};
pub use layer::Layer;
pub use manifest::{Descriptor, Manifest, ManifestList};
pub use merge::merge_changes;
pub use meta::{Meta, Xattrs};
pub use nested::{FlatIndex, IndexTree};
pub use rootfs::{write_directory, write_rootfs, write_rootfs_folders};
pub use tar::{Member, MemberKind, TarReader, TarWriter};
pub use view::{Found, View};
pub use write::{Written, write_layer};
