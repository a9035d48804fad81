//! A store in a temporary folder, for unit tests.

use std::ops::Deref;
use std::path::Path;

use kiln_image::{Change, Content, ImageConfig, Meta, Node};
use kiln_types::Digest;

use crate::{Store, files};

pub(crate) struct TestStore {
    store: Store,
    directory: tempfile::TempDir,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        Self { store: Store::open(&directory.path().join("store")).expect("store"), directory }
    }

    /// As another process would open it.
    pub(crate) fn another(&self) -> Store {
        Store::open(&self.directory.path().join("store")).expect("store")
    }

    /// The folder, with nobody in the store.
    pub(crate) fn closed(self) -> tempfile::TempDir {
        drop(self.store);
        self.directory
    }

    pub(crate) fn files_below(&self, name: &str) -> usize {
        count(&self.store.root().join(name))
    }

    /// An image with one layer for each text, each with one file of that content.
    pub(crate) fn make_image(&self, texts: &[&str], parent: Option<&Digest>, intermediate: bool) -> Digest {
        let mut config = ImageConfig::default();
        for (at, text) in texts.iter().enumerate() {
            let layer = self.store.add_layer(one_file(&format!("file{at}"), text)).expect("layer");
            config.rootfs.diff_ids.push(layer.diff_id);
        }
        self.store.add_image(&config, parent, intermediate).expect("image")
    }
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(crate) fn one_file(path: &str, text: &str) -> Vec<Change> {
    let meta = Meta { mode: 0o644, ..Meta::default() };
    vec![Change { path: path.into(), meta, node: Node::File(Content::bytes(text.as_bytes().to_vec())) }]
}

fn count(directory: &Path) -> usize {
    let one = |entry: std::fs::DirEntry| if entry.path().is_dir() { count(&entry.path()) } else { 1 };
    files::list(directory).expect("list").into_iter().map(one).sum()
}
