//! What was found out about a file, noted at the file itself and believed until somebody writes to it, or the next boot.
//! Where files have no attributes it is found out anew each time.

use std::fs::File;

use crate::Store;
#[cfg(target_os = "linux")]
use crate::seal;

/// What can be noted.
#[derive(Clone, Copy)]
pub(crate) enum Noted {
    /// The records of an index are as they were written.
    Records,
    /// The image in an index is as it was written.
    Image,
    /// Layers can be mounted here: noted at a folder of the store.
    #[cfg(target_os = "linux")]
    Mounting,
}

#[cfg(target_os = "linux")]
impl Noted {
    fn attribute(self) -> &'static str {
        match self {
            Self::Records => "user.kiln.records",
            Self::Image => "user.kiln.image",
            Self::Mounting => "user.kiln.mounted",
        }
    }
}

#[cfg(target_os = "linux")]
impl Store {
    pub(crate) fn is_noted(&self, file: &File, what: Noted) -> bool {
        let mut noted = [0; 192];
        let length = rustix::fs::fgetxattr(file, what.attribute(), &mut noted).unwrap_or_default();
        self.note_of(file, what).is_some_and(|note| noted.get(..length) == Some(note.as_bytes()))
    }

    pub(crate) fn note(&self, file: &File, what: Noted) {
        if let Some(note) = self.note_of(file, what) {
            let _ = rustix::fs::fsetxattr(file, what.attribute(), note.as_bytes(), rustix::fs::XattrFlags::empty());
        }
    }

    fn note_of(&self, file: &File, what: Noted) -> Option<String> {
        let boot = self.durable.boot()?;
        match what {
            Noted::Records | Noted::Image => Some(format!("{boot} {}", seal::seal_of(file)?.0)),
            // The folder changes with each file in it.
            Noted::Mounting => Some(boot.to_owned()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Store {
    pub(crate) fn is_noted(&self, _: &File, _: Noted) -> bool {
        false
    }

    pub(crate) fn note(&self, _: &File, _: Noted) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::FileExt as _;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::testing::{TestStore, one_file};

    #[test]
    fn using_a_big_index_keeps_what_is_noted_and_writing_to_it_does_not() {
        let store = TestStore::new();
        let files = (0..2000).flat_map(|number| one_file(&format!("{number:04}"), "x")).collect();
        let layer = store.add_layer(files).expect("layer");
        let path = store.index_path(&layer.diff_id);
        let is_noted = || store.is_noted(&File::open(&path).expect("open"), Noted::Records);
        let is_whole =
            || store.another().layer(&layer.diff_id).expect("layer").index.get(b"1999").expect("readable").is_some();
        if !is_noted() {
            // The file system has no attributes: indexes are always checked.
            return;
        }
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        File::open(&path).expect("open").set_modified(long_ago).expect("time");
        assert!(!is_noted() && is_whole());
        assert!(is_noted());
        let used = || fs::metadata(&path).expect("metadata").modified().expect("time");
        assert!(used() > long_ago, "when it was last used");
        // Timestamps of the kernel are some milliseconds apart.
        std::thread::sleep(Duration::from_millis(20));
        let file = OpenOptions::new().write(true).open(&path).expect("open");
        let middle = file.metadata().expect("metadata").len() / 2;
        file.write_all_at(&[0xaa; 64], middle).expect("write");
        assert!(!is_noted() && is_whole(), "made anew from the tar");
    }
}
