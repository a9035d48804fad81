//! Layers as directories for overlayfs: an upper directory becomes a change set, a layer becomes a lower directory.

mod beneath;
mod scan;
mod unpack;
mod xattrs;

pub use scan::scan_upper;
pub use unpack::{UnpackOptions, unpack};
