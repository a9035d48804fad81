//! Directories of this host: an upper directory becomes a change set, a layer a lower directory, any tree the members of
//! a tar and back.

mod beneath;
mod members;
mod placing;
mod scan;
mod unpack;
mod xattrs;

pub use members::read_tree;
pub use placing::{Owners, Placing, Within};
pub use scan::scan_upper;
pub use unpack::{UnpackOptions, unpack};
