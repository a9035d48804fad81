//! A file that is removed unless it gets its name.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

pub(super) struct Temporary {
    file: File,
    path: Option<PathBuf>,
}

impl Temporary {
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        let name = format!("tmp-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = directory.join(name);
        // What stands there was left by a process that died.
        Ok(Self { file: File::create(&path)?, path: Some(path) })
    }

    pub(super) fn rename(mut self, to: &Path) -> io::Result<()> {
        match self.path.take() {
            Some(from) => std::fs::rename(from, to),
            None => Ok(()),
        }
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = std::fs::remove_file(path);
        }
    }
}
