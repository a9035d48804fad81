//! Images that processes are running. Who runs one holds no more of the store than that image, however long it takes:
//! `tmp/<process>/hold` says which, and is believed as long as the process lives.

use std::time::SystemTime;

use kiln_types::Digest;
use serde::{Deserialize, Serialize};

use crate::files::{self, Durability};
use crate::space::measure;
use crate::{Result, Store, locks, scratch};

/// One image in use by one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub image: Digest,
    /// The process' number.
    pub process: u32,
    /// What it runs, for people.
    pub command: String,
    /// Seconds since 1970.
    pub started: i64,
    /// What it has written so far, when it was looked at.
    #[serde(skip)]
    pub bytes: u64,
}

impl Store {
    /// Holds an image, and nothing else from now on: other processes may remove whatever it does not need. To be called
    /// before the image is used, and after all that this process had to write for it.
    pub fn hold_only(&self, image: &Digest, command: &str) -> Result<()> {
        let session = self.session()?;
        {
            let _lock = self.lock_images()?;
            self.existing_record(image)?;
            let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            let command = command.to_owned();
            let hold =
                Hold { image: *image, process: std::process::id(), command, started: started.cast_signed(), bytes: 0 };
            self.write_json(&session.path().join("hold"), &hold, Durability::WhenNeeded)?;
        }
        files::touch(&self.record_path(image));
        self.in_use.unlock().map_err(|source| self.io("unlock", self.root(), source))
    }

    /// What the living hold.
    pub fn holds(&self) -> Result<Vec<Hold>> {
        let mut holds = Vec::new();
        for entry in self.entries("tmp")? {
            let path = entry.path();
            let bytes = files::read_optional(&path.join("hold")).ok().flatten();
            let Some(Ok(hold)) = bytes.map(|bytes| serde_json::from_slice::<Hold>(&bytes)) else { continue };
            let lock = std::fs::File::options().read(true).write(true).open(path.join(scratch::LOCK));
            let dead = lock.is_ok_and(|lock| locks::try_exclusive(&lock).unwrap_or(false));
            if !dead {
                holds.push(Hold { bytes: measure(&path).bytes, ..hold });
            }
        }
        Ok(holds)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::TestStore;
    use crate::{Error, RemoveOptions};

    #[test]
    fn what_is_held_stays_and_all_else_can_be_collected() {
        let store = TestStore::new();
        let id = store.make_image(&["held"], None, false);
        store.tag(&id, &"app".parse().expect("name")).expect("tag");
        let runner = store.another();
        assert!(store.collect().expect("collect").skipped);
        runner.hold_only(&id, "sh").expect("hold");
        store.put_blob(b"nobody needs this").expect("put");
        let collected = store.collect().expect("collect");
        assert_eq!((collected.skipped, collected.files), (false, 1));
        let holds = store.holds().expect("holds");
        assert_eq!((holds.len(), holds[0].image, holds[0].command.as_str()), (1, id, "sh"));

        for (text, forced) in [("app", false), (&*id.short(), false), (&id.short(), true)] {
            let options = RemoveOptions { force: forced, ..RemoveOptions::default() };
            let refused = store.remove_image(text, options);
            assert!(matches!(refused, Err(Error::InUse { .. } | Error::NameInUse { .. })), "{text}: {refused:?}");
        }
        // By force its name goes, and it stays.
        store.remove_image("app", RemoveOptions { force: true, ..RemoveOptions::default() }).expect("untagged");
        assert!(store.image(&id).expect("image").is_some());
        store.collect().expect("collect");
        runner.layer(&store.image(&id).expect("image").expect("there").config.rootfs.diff_ids[0]).expect("layer");
        drop(runner);
        assert!(store.holds().expect("holds").is_empty());
        store.remove_image(&id.short(), RemoveOptions::default()).expect("removed");
        assert!(matches!(store.another().hold_only(&id, "sh"), Err(Error::NoSuchImage { .. })));
    }
}
