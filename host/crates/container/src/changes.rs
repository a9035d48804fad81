//! What a container has changed of its image's files: in the directory that overlayfs writes to, or, where no kernel
//! wrote (WebAssembly programs), in one layer that is replaced when a program ends.
//!
//! ```text
//! containers/<id>/upper     of Linux programs
//! containers/<id>/changes   of WebAssembly programs: the tar of the layer
//! ```

use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::path::PathBuf;
use std::sync::Arc;

use kiln_image::{Change, Index, Layer, merge_changes, write_layer};

use crate::Container;
use crate::error::{Error, Result};

/// Where the next layer is written before it takes the place of the last one.
const NEXT: &str = "changes.next";

impl Container {
    /// All changes so far. A container that runs may go on changing files meanwhile.
    pub fn changes(&self) -> Result<Vec<Change>> {
        if let Some(layer) = self.kept_layer()? {
            return Ok(layer.changes().collect::<kiln_image::Result<_>>()?);
        }
        self.changes_on_disk()
    }

    /// The layer of what WebAssembly programs have changed.
    pub fn kept_layer(&self) -> Result<Option<Arc<Layer>>> {
        let path = self.kept();
        let mut tar = match File::open(&path) {
            Ok(tar) => tar,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let (index, diff_id, size) = Index::from_tar(&tar)?;
        tar.rewind().map_err(Error::io("read", path))?;
        Ok(Some(Arc::new(Layer { diff_id, size, tar: Arc::new(tar), index })))
    }

    /// Adds what a WebAssembly program has changed. Only for who holds the container's lock.
    pub fn keep_changes(&self, changes: Vec<Change>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let earlier = match self.kept_layer()? {
            Some(layer) => layer.changes().collect::<kiln_image::Result<_>>()?,
            None => Vec::new(),
        };
        let next = self.folder.path().join(NEXT);
        let file = File::create(&next).map_err(Error::io("write", &next))?;
        write_layer(merge_changes(earlier, changes), &file)?;
        fs::rename(&next, self.kept()).map_err(Error::io("replace", self.kept()))
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("changes")
    }

    #[cfg(target_os = "linux")]
    fn changes_on_disk(&self) -> Result<Vec<Change>> {
        let (upper, _) = self.layer();
        let in_user_namespace = kiln_sys::userns::current().is_some_and(kiln_sys::userns::Ids::in_user_namespace);
        match fs::exists(&upper).map_err(Error::io("look at", &upper))? {
            true => Ok(kiln_image::scan_upper(&upper, in_user_namespace)?),
            false => Ok(Vec::new()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn changes_on_disk(&self) -> Result<Vec<Change>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use kiln_image::{Content, Meta, Node};
    use kiln_store::Store;

    use super::*;

    fn change(path: &str, node: Node) -> Change {
        Change { path: path.as_bytes().to_vec(), meta: Meta { mode: 0o644, ..Meta::default() }, node }
    }

    #[test]
    fn what_several_starts_changed_is_one_change_set() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(directory.path()).expect("a store");
        let container = Container::create(&store, "box", crate::testing::image(&store), crate::testing::spec());
        let container = container.expect("created");
        assert!(container.changes().expect("none").is_empty());

        let file = |text: &str| Node::File(Content::bytes(text.as_bytes().to_vec()));
        container.keep_changes(vec![change("a", file("first")), change("b", file("b"))]).expect("kept");
        container.keep_changes(vec![change("a", file("second time")), change("b", Node::Whiteout)]).expect("kept");
        container.keep_changes(Vec::new()).expect("kept");
        let changes = container.changes().expect("readable");
        let sizes: Vec<Option<u64>> = changes
            .iter()
            .map(|change| if let Node::File(content) = &change.node { Some(content.size()) } else { None })
            .collect();
        assert_eq!(sizes, [Some(11), None]);
        assert!(matches!(changes[1].node, Node::Whiteout));
    }
}
