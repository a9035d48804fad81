//! A whole root filesystem, the merged view without layers and whiteouts: as one tar, or as files of this host.
//!
//! The same view always gives the same bytes, whatever layers it is made of. The root directory itself is left out, so
//! that extracting the tar does not change the directory that it is extracted into.

mod folder;

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write};

use crate::change::{Change, Node};
use crate::content::{Content, read_full};
use crate::error::{Error, Result};
use crate::index::Kind;
use crate::meta::Meta;
use crate::tar::{END, padding};
use crate::view::{Found, View};
use crate::write::append_change;

pub use folder::write_directory;

const BLOCK: usize = 256 << 10;

/// Writes everything that is in a view as a tar.
pub fn write_rootfs(view: &View, mut out: impl Write) -> Result<()> {
    write_entries(view, b"", &mut out)?;
    end(out)
}

/// Writes several views as one tar, each in a directory of that name.
pub fn write_rootfs_folders(views: &[(String, View)], mut out: impl Write) -> Result<()> {
    for (folder, view) in views {
        write_entries(view, folder.as_bytes(), &mut out)?;
    }
    end(out)
}

fn end(mut out: impl Write) -> Result<()> {
    out.write_all(&END).and_then(|()| out.flush()).map_err(Error::io("write the root filesystem"))
}

fn write_entries(view: &View, folder: &[u8], out: &mut impl Write) -> Result<()> {
    let mut links = HardLinks::of(view)?;
    let mut buffer = Vec::new();
    for found in view.walk(b"") {
        let mut change = links.change(found?);
        change.path = below(folder, &change.path);
        if change.path.is_empty() {
            continue;
        }
        if let Node::HardLink(target) = &mut change.node {
            *target = below(folder, target);
        }
        buffer.clear();
        append_change(&mut buffer, &change, &change.meta)?;
        out.write_all(&buffer).map_err(Error::io("write the root filesystem"))?;
        if let Node::File(content) = &change.node {
            copy(content, &change.path, &mut buffer, out)?;
        }
    }
    Ok(())
}

fn below(folder: &[u8], path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = [folder, path].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(&b'/')
}

fn copy(content: &Content, path: &[u8], buffer: &mut Vec<u8>, out: &mut impl Write) -> Result<()> {
    let mut input = content.open().map_err(Error::at("read", path))?.take(content.size());
    let mut left = content.size();
    while left > 0 {
        buffer.resize(usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK), 0);
        let read = read_full(&mut input, buffer).map_err(Error::at("read", path))?;
        if read < buffer.len() {
            return Err(Error::at("read", path)(std::io::ErrorKind::UnexpectedEof.into()));
        }
        out.write_all(buffer).map_err(Error::io("write the root filesystem"))?;
        left -= read as u64;
    }
    out.write_all(&END[..padding(content.size())]).map_err(Error::io("write the root filesystem"))
}

/// Files with several names: the first one that a view shows has the content.
struct HardLinks {
    /// Layer and number of the entries that hard links lead to.
    linked: HashSet<(usize, usize)>,
    first: HashMap<(usize, usize), (Vec<u8>, Meta)>,
}

impl HardLinks {
    fn of(view: &View) -> Result<Self> {
        let mut linked = HashSet::new();
        for (number, layer) in view.layers().iter().enumerate() {
            for entry in layer.index.iter() {
                let entry = entry?;
                if let (Kind::HardLink(_), Some(holder)) = (entry.kind, entry.holder) {
                    linked.insert((number, holder.number));
                }
            }
        }
        Ok(Self { linked, first: HashMap::new() })
    }

    fn change(&mut self, found: Found) -> Change {
        let Found { path, mut meta, mut node, inode, .. } = found;
        if matches!(node, Node::File(_)) && self.linked.contains(&inode) {
            if let Some((first, its)) = self.first.get(&inode) {
                (node, meta) = (Node::HardLink(first.clone()), its.clone());
            } else {
                self.first.insert(inode, (path.clone(), meta.clone()));
            }
        }
        Change { path, meta, node }
    }
}
