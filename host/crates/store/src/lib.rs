//! The store: everything kiln keeps between runs. Plain files, made whole by rename and guarded by file locks; there is
//! no database and no daemon, and any number of kiln processes may use one store at once.
//!
//! ```text
//! version                      the format's number
//! boot                         the boot in which files were last written that may not be on the disk yet (durable.rs)
//! blobs/sha256/<hex>           configs, manifests, layers as received, uncompressed layer tars; never changed
//! incoming/<hex>               what has arrived so far of a blob that is being pulled (receive.rs)
//! layers/<hex>                 index of the layer tar with that diff id, which the kernel can mount (derived)
//! layers/<hex>.source          the received blobs that decompress to it
//! layers/<hex>.gzip, .zstd     the blob with its compressed form, once a registry or archive wanted that (derived)
//! unpacked/<owners>/<hex>/fs   what a native step wrote, and layers that cannot be mounted, as directories for
//!                              overlayfs (derived; trusted only within one boot)
//! images/by-id/<hex>.json      image records; those of steps without layers are several names of one file (series.rs)
//! images/removed/<hex>.json     records of images that were removed by force while containers had them (users.rs)
//! images/names/<encoded>.json  names → image, its manifest, the index of all its platforms; also of indexes that have no
//!                              name (unnamed.rs)
//! steps/<ab>/<hex>.json        step records, by key; the same
//! failures/<hex>.json          steps that failed, to be looked into (failures.rs)
//! cache-mounts/                what steps keep in caches (caches.rs); collection leaves it alone
//! containers/<id>/             a container: its record, its lock, and what the container library keeps (containers/)
//! containers/names/<encoded>   its id
//! volumes/<name>/              a volume: its record, and its files in _data (volumes/)
//! image-list                   what `images` shows, for as long as nothing changes (derived)
//! context-hashes               digests of context files, by what stat says of them (derived)
//! downloads/                   files and repositories from elsewhere (derived; kept by the build)
//! modules/                     compiled WebAssembly modules (derived; kept by the executor)
//! size                         what all this occupies at most, once a limit was wanted (space/ledger.rs)
//! locks/                       use, images, size, tmp, hashes; <kind>-<hex> while one thing is being made
//! tmp/<process>/               what one process has not finished, held by its lock file
//! ```
//!
//! What is derived may be deleted at any time; it is made again. Nothing here knows Dockerfiles or step keys: the build
//! decides what a record says and when an image is made.

mod all_images;
mod aside;
mod blobs;
mod caches;
mod check;
mod compressed;
mod containers;
mod directories;
mod durable;
mod error;
mod failures;
mod files;
mod following;
mod growing;
mod hash_cache;
mod hash_records;
mod images;
mod intake;
mod layers;
mod listing;
mod locks;
mod mounts;
mod names;
mod noted;
mod open;
mod platforms;
mod receive;
mod remove;
mod repositories;
mod resolve;
mod scratch;
mod seal;
mod series;
mod space;
mod steps;
#[cfg(test)]
mod testing;
mod unnamed;
mod users;
mod verify;
mod volumes;
mod writeback;

pub use caches::{CACHE_ROOT, Cache, CacheSharing};
pub use check::{CheckOptions, Checked, Damage};
pub use containers::{ContainerFolder, ContainerLock, ContainerRecord, DamagedContainer};
pub use error::{Error, Result};
pub use failures::Failed;
pub use growing::{Growing, GrowingReader};
pub use hash_cache::{Finder, HashCache, Stat};
pub use images::Image;
pub use intake::Intake;
pub use layers::UnkeptLayer;
pub use listing::{ListedImage, Listing};
pub use names::Named;
pub use open::Store;
pub use receive::{Receive, Receiver};
pub use remove::{RemoveOptions, Removed};
pub use scratch::Scratch;
pub use space::{
    CacheUsage, CacheWish, Collected, ContainerUsage, DiskUsage, ImageUsage, ImageWish, Limited, Part, Pruned,
    PrunedVolumes, Usage, VolumeUsage, VolumeWish,
};
pub use steps::KeyLock;
pub use volumes::Volume;
