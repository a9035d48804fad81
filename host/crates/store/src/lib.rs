//! The store: everything kiln keeps between runs. Plain files, made whole by rename and guarded by file locks; there is
//! no database and no daemon, and any number of kiln processes may use one store at once.
//!
//! ```text
//! version                      the format's number
//! boot                         the boot in which files were last written that may not be on the disk yet (durable.rs)
//! blobs/sha256/<hex>           configs, manifests, layers as received, uncompressed layer tars; never changed
//! incoming/<hex>               what has arrived so far of a blob that is being pulled (receive.rs)
//! layers/<hex>                 index of the layer tar with that diff id (derived)
//! layers/<hex>.source          the received blobs that decompress to it
//! layers/<hex>.gzip            the blob with its gzip form, once an archive wanted that (derived)
//! unpacked/<owners>/<hex>/fs   directory form for overlayfs (derived; trusted only within one boot)
//! images/by-id/<hex>.json      image records
//! images/names/<encoded>.json  names → image, its manifest, the index of all its platforms
//! steps/<ab>/<hex>.json        step records, by key
//! cache-mounts/                what steps keep in caches (caches.rs); collection leaves it alone
//! context-hashes               digests of context files, by what stat says of them (derived)
//! downloads/                   files and repositories from elsewhere (derived; kept by the build)
//! modules/                     compiled WebAssembly modules (derived; kept by the executor)
//! locks/                       use, images, tmp, hashes; <kind>-<hex> while one thing is being made
//! tmp/<process>/               what one process has not finished, held by its lock file
//! ```
//!
//! What is derived may be deleted at any time; it is made again. Nothing here knows Dockerfiles or step keys: the build
//! decides what a record says and when an image is made.

mod blobs;
mod caches;
mod collect;
mod compressed;
mod directories;
mod durable;
mod error;
mod files;
mod hash_cache;
mod hash_records;
mod images;
mod intake;
mod layers;
mod listing;
mod locks;
mod names;
mod open;
mod platforms;
mod receive;
mod remove;
mod resolve;
mod scratch;
mod steps;
#[cfg(test)]
mod testing;
mod usage;

pub use caches::{CACHE_ROOT, Cache, CacheSharing};
pub use collect::Collected;
pub use error::{Error, Result};
pub use hash_cache::{HashCache, Stat};
pub use images::Image;
pub use intake::Intake;
pub use listing::ListedImage;
pub use names::Named;
pub use open::Store;
pub use receive::{Receive, Receiver};
pub use remove::{RemoveOptions, Removed};
pub use scratch::Scratch;
pub use steps::KeyLock;
pub use usage::{Part, Usage};
