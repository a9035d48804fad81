//! What is measured on: change sets, layers, bytes that compress about as programs do.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_image::{Change, Content, Layer, Meta, Node, Source, Written, write_layer};

struct HostFile(PathBuf);

impl Source for HostFile {
    fn open(&self) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(Box::new(File::open(&self.0)?))
    }
}

/// Files of 0 to 8 KiB below `root`, a hundred in each directory, as COPY would take them.
pub(crate) fn small_files(root: &Path, count: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    let text = noise(8 << 10);
    for number in 0..count {
        let directory = format!("d{:04}", number / 100);
        if number % 100 == 0 {
            fs::create_dir(root.join(&directory)).unwrap();
            changes.push(change(&directory, Node::Directory { opaque: false }));
        }
        let path = format!("{directory}/f{:02}", number % 100);
        let size = number * 163 % text.len();
        fs::write(root.join(&path), &text[..size]).unwrap();
        changes.push(from_host(root, &path, size));
    }
    changes
}

pub(crate) fn big_file(root: &Path, size: usize) -> Vec<Change> {
    fs::write(root.join("big"), noise(size)).unwrap();
    vec![from_host(root, "big", size)]
}

fn from_host(root: &Path, path: &str, size: usize) -> Change {
    change(path, Node::File(Content::new(size as u64, HostFile(root.join(path)))))
}

pub(crate) fn change(path: &str, node: Node) -> Change {
    Change { path: path.into(), meta: Meta { mode: 0o755, ..Meta::default() }, node }
}

pub(crate) fn file(path: &str, bytes: impl Into<Vec<u8>>) -> Change {
    change(path, Node::File(Content::bytes(bytes.into())))
}

pub(crate) fn layer(changes: Vec<Change>) -> Arc<Layer> {
    let tar = tempfile::tempfile().unwrap();
    let Written { diff_id, size, index } = write_layer(changes, &tar).unwrap();
    Arc::new(Layer { diff_id, size, tar: Arc::new(tar), index })
}

/// Bytes that compress about as well as programs do.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        [(state >> 60) as u8, (state >> 56) as u8 & 0x3f, b'a', 0]
    });
    words.flatten().take(length).collect()
}
