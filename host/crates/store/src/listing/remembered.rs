//! The list of images as it was read last: `image-list`, derived. It holds for as long as no folder changes that it was
//! made from; every change of a record, a name or an index is a rename, which the folder's time tells.
//!
//! ```text
//! {"format":2,"state":[…],"lost":[…]}
//! […]      images that every list shows
//! […]      the others
//! ```

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln_types::{Digest, Reference};
use serde::{Deserialize, Serialize};

use super::{ListedImage, Listing};
use crate::Store;
use crate::files::Durability;

/// What a list is made from.
const FOLDERS: [&str; 3] = ["images/by-id", "images/names", "layers"];
const FORMAT: u32 = 2;
/// Two changes within this time may leave the same time behind, whatever the file system.
const COARSEST_TIME: Duration = Duration::from_secs(2);
/// Fewer are read as fast as they are remembered.
const WORTH_IT: usize = 100;

/// When the folders were changed last, in nanoseconds since 1970; `None` where that cannot be told, or another change
/// could still leave the same times behind.
pub(super) type State = Option<Vec<u64>>;

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    state: Vec<u64>,
    lost: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(rename = "i")]
    id: Digest,
    #[serde(rename = "n", default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<(String, Option<Digest>)>,
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    unnamed: Vec<Digest>,
    #[serde(rename = "c")]
    created: Option<String>,
    #[serde(rename = "s")]
    size: u64,
    #[serde(rename = "m")]
    intermediate: bool,
}

impl Store {
    pub(super) fn listing_state(&self) -> State {
        // Before anything is read: however long that takes, what changes meanwhile is seen.
        let settled = SystemTime::now().checked_sub(COARSEST_TIME)?;
        let time = |folder: &str| {
            let changed = fs::metadata(self.root().join(folder)).ok()?.modified().ok()?;
            let changed = Some(changed).filter(|changed| *changed <= settled)?;
            u64::try_from(changed.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
        };
        FOLDERS.into_iter().map(time).collect()
    }

    pub(super) fn remembered_listing(&self, state: &State, all: bool) -> Option<Listing> {
        let bytes = fs::read(self.root().join("image-list")).ok()?;
        let mut parts = bytes.split(|&byte| byte == b'\n');
        let head: Head = serde_json::from_slice(parts.next()?).ok()?;
        if head.format != FORMAT || Some(&head.state) != state.as_ref() {
            return None;
        }
        let mut lines: Vec<Line> = serde_json::from_slice(parts.next()?).ok()?;
        if all {
            lines.extend(serde_json::from_slice::<Vec<Line>>(parts.next()?).ok()?);
        }
        let mut images = lines.into_iter().map(image).collect::<Option<Vec<_>>>()?;
        if all {
            super::sort(&mut images);
        }
        Some(Listing { images, lost: head.lost.iter().map(|name| name.parse().ok()).collect::<Option<_>>()? })
    }

    pub(super) fn remember_listing(&self, state: State, listing: &Listing) {
        let is_worth_it = listing.images.len() >= WORTH_IT && !self.is_read_only();
        let Some(state) = state.filter(|_| is_worth_it) else { return };
        let head = Head { format: FORMAT, state, lost: listing.lost.iter().map(Reference::to_string).collect() };
        let part = |hidden: bool| {
            listing.images.iter().filter(|image| image.is_hidden() == hidden).map(line).collect::<Vec<Line>>()
        };
        let Ok(parts) = [serde_json::to_vec(&head), serde_json::to_vec(&part(false)), serde_json::to_vec(&part(true))]
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
        else {
            return;
        };
        // Should that fail, all of it is read the next time.
        let _ = self.write_file(&self.root().join("image-list"), &parts.join(&b'\n'), Durability::WhenNeeded);
    }
}

fn line(image: &ListedImage) -> Line {
    Line {
        id: image.id,
        names: image.names.iter().map(|(name, digest)| (name.to_string(), *digest)).collect(),
        unnamed: image.unnamed.clone(),
        created: image.created.clone(),
        size: image.size,
        intermediate: image.intermediate,
    }
}

fn image(line: Line) -> Option<ListedImage> {
    let names = line.names.into_iter().map(|(name, digest)| Some((name.parse().ok()?, digest)));
    Some(ListedImage {
        id: line.id,
        names: names.collect::<Option<_>>()?,
        unnamed: line.unnamed,
        created: line.created,
        size: line.size,
        intermediate: line.intermediate,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::testing::TestStore;

    fn age(store: &Store) {
        let before = SystemTime::now() - Duration::from_secs(10);
        for folder in FOLDERS {
            let folder = File::open(store.root().join(folder)).expect("a folder");
            folder.set_modified(before).expect("a time");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_remembered_is_what_was_read() {
        let store = TestStore::new();
        let ids: Vec<Digest> = (0..WORTH_IT).map(|n| store.make_image(&[&n.to_string()], None, n % 2 == 1)).collect();
        store.tag(&ids[0], &"a:1".parse().expect("name")).expect("tag");
        store.tag(&ids[0], &"b".parse().expect("name")).expect("tag");
        let read = store.read_listing().expect("listing");
        let list = store.root().join("image-list");

        // What was changed just now may change again unseen.
        store.listing(true).expect("listing");
        assert!(!list.exists());
        age(&store);
        assert_eq!(store.listing(true).expect("listing"), read);
        assert!(list.exists());
        assert_eq!(store.remembered_listing(&store.listing_state(), true), Some(read));
        let shown = store.remembered_listing(&store.listing_state(), false).expect("remembered");
        assert_eq!(shown.images.len(), WORTH_IT / 2);
        assert_eq!(store.listing(false).expect("listing"), shown);

        store.tag(&ids[1], &"c".parse().expect("name")).expect("tag");
        assert_eq!(store.listing(false).expect("listing").images.len(), WORTH_IT / 2 + 1);
        age(&store);
        for garbage in ["", "{}", "{}\n[]\n[]", "\n\n"] {
            fs::write(&list, garbage).expect("write");
            assert_eq!(store.listing(true).expect("listing").images.len(), WORTH_IT, "{garbage}");
        }
    }
}
