//! The values every floor shares: digests, platforms, image references and paths inside images.
//!
//! Nothing here does any I/O. What has behaviour of its own (layers, images, steps) lives above.

mod digest;
pub mod paths;
mod platform;
mod reference;

pub use digest::{Digest, Hasher, ParseDigestError};
pub use platform::{ParsePlatformError, Platform};
pub use reference::{ParseReferenceError, Reference};
