//! Seals: a large blob that is on the disk as it was digested need not be digested again to be copied out of the store.
//!
//! A seal is an extended attribute of the blob's file that names its inode, its length and when it was last written to.
//! Whoever writes to the file, cuts it off or puts another one in its place breaks it; then, and where there are no such
//! attributes, the blob is digested as it goes out. What a seal does not tell of is bytes that the disk itself gives back
//! wrongly and without an error: `kiln system fsck` reads everything, and so does whoever loads an archive.

use std::fs::File;

use crate::Store;

/// Of smaller files it takes as long to ask for a seal as to digest them.
#[cfg(target_os = "linux")]
const LARGE: u64 = 1 << 20;
#[cfg(target_os = "linux")]
const NAME: &str = "user.kiln.seal";

impl Store {
    /// Whether nobody has written to this blob of `size` bytes since it was digested.
    pub fn is_sealed(&self, blob: &File, size: u64) -> bool {
        holds(blob, size)
    }
}

/// Seals a file that is on the disk, with the content that it is named by.
#[cfg(target_os = "linux")]
pub(crate) fn set(file: &File) {
    if let Some((seal, size)) = seal_of(file)
        && size >= LARGE
    {
        // Without one it is digested.
        let _ = rustix::fs::fsetxattr(file, NAME, seal.as_bytes(), rustix::fs::XattrFlags::empty());
    }
}

#[cfg(target_os = "linux")]
fn holds(file: &File, size: u64) -> bool {
    let mut found = [0; 128];
    seal_of(file).is_some_and(|(seal, length)| {
        length == size
            && rustix::fs::fgetxattr(file, NAME, &mut found).is_ok_and(|length| found[..length] == *seal.as_bytes())
    })
}

/// Which file it is and when it was last written to; and its length.
#[cfg(target_os = "linux")]
pub(crate) fn seal_of(file: &File) -> Option<(String, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let at = file.metadata().ok()?;
    Some((format!("{} {} {}.{:09}", at.ino(), at.len(), at.mtime(), at.mtime_nsec()), at.len()))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn set(_: &File) {}

#[cfg(not(target_os = "linux"))]
fn holds(_: &File, _: u64) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;
    use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
    use std::time::{Duration, SystemTime};

    use crate::testing::TestStore;

    #[test]
    fn whoever_writes_breaks_it() {
        let store = TestStore::new();
        let bytes = vec![7; 2 << 20];
        let size = bytes.len() as u64;
        let digest = store.put_blob(&bytes).expect("put");
        let path = store.blob_path(&digest);
        let is_sealed = || store.is_sealed(&store.open_blob(&digest).expect("open"), size);
        store.sync().expect("sync");
        if !is_sealed() {
            // The file system has no attributes: everything is digested.
            return;
        }
        assert!(!store.is_sealed(&store.open_blob(&digest).expect("open"), size - 1));
        // A copy is another file.
        let copy = path.with_extension("copy");
        fs::copy(&path, &copy).expect("copy");
        fs::rename(&copy, &path).expect("rename");
        assert!(!is_sealed());
        for write in [
            |file: &fs::File, _: u64| file.write_all_at(b"x", 100).expect("write"),
            |file: &fs::File, size: u64| file.set_len(size - 1).expect("cut off"),
            |mut file: &fs::File, _: u64| file.write_all(b"x").expect("write"),
        ] {
            fs::remove_file(&path).expect("remove");
            store.put_blob(&bytes).expect("put");
            store.sync().expect("sync");
            assert!(is_sealed());
            // Timestamps of the kernel are some milliseconds apart.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
            std::thread::sleep(Duration::from_millis(20));
            assert!(is_sealed());
            let file = OpenOptions::new().write(true).open(&path).expect("open");
            write(&file, size);
            assert!(!is_sealed());
        }
        let file = store.open_blob(&digest).expect("open");
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("time");
        assert!(!is_sealed());
    }
}
