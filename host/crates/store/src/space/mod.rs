//! What takes space, what may go, and how it goes.
//!
//! ```text
//! facts    all that is in the store at one moment
//! claims   what needs what of it; things are taken away from it one by one, and it says what that frees
//! choose   which things go: garbage, what a prune names, the least recently used beyond a size
//! sweep    removes them, while nobody else is at work
//! ledger   how large the store can be at most, without looking at it
//! report   what `system df` shows
//! ```
//! and beside these, `containers`: containers and volumes, which are no cache.
//!
//! Images are records with the blobs that they need. Everything else is cache: images and records of build steps, what
//! is derived from images, what steps and downloads keep. A size is what files occupy: whole blocks of 4 KiB.

mod choose;
mod claims;
mod containers;
mod facts;
mod ledger;
mod limit;
mod part;
mod prune;
mod report;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use claims::decrease;
pub(crate) use ledger::{Ledger, cache_is_taken};
pub(crate) use part::{measure, occupied};

pub use containers::{ContainerUsage, PrunedVolumes, VolumeUsage, VolumeWish};
pub use limit::Limited;
pub use part::{Part, Usage};
pub use prune::{CacheWish, ImageWish, Pruned};
pub use report::{CacheUsage, DiskUsage, ImageUsage};
pub use sweep::Collected;

/// Whether labels are as they should be.
type LabelTest<'a> = &'a dyn Fn(&BTreeMap<String, String>) -> bool;

/// So long a result without a name is left to whoever made it: no build takes longer to give it one, and who only has
/// its id uses it soon.
const FRESH: Duration = Duration::from_secs(3600);
