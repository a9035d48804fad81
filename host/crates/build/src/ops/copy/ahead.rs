//! Layers that are written before their key is known.
//!
//! A key needs digests of contents. Where nobody has read the files before, there will hardly be a record of that key: so
//! the layer is written at once, and its index tells the digests. The files are opened and read once instead of twice.
//! Should there be a record after all, the layer was written in vain: where there is a former layer (all files of a fresh
//! checkout are new, and hold what they held), the key comes first.

use std::io::{self, Read};

use kiln_image::{Change, Content, Index, Kind, Node, Source};
use kiln_store::{HashCache, UnkeptLayer};

use super::super::tree::Known;
use super::digest::{is_unread, link};
use super::{Inputs, Planned};
use crate::context::HostFile;

/// The layer of `files`, whose digests are known then; `None` where that would not pay. An error is none here: it shows
/// again where the files are read one by one.
pub(super) fn write(inputs: &Inputs<'_>, files: &mut [Planned]) -> Option<UnkeptLayer> {
    let write = inputs.write_ahead?;
    if !pays(files) || (!inputs.no_cache && inputs.former.is_some_and(|former| former.layer().is_some())) {
        return None;
    }
    link(files);
    let layer = write(files.iter().map(change).collect())?;
    for planned in files {
        learn(inputs.hashes, planned, layer.index());
    }
    Some(layer)
}

/// Has nobody read most of the files, and of the bytes? What ADD may unpack becomes something else.
fn pays(files: &[Planned]) -> bool {
    let (mut all, mut unread) = ((0, 0_u64), (0, 0_u64));
    for planned in files {
        let Node::File(content) = &planned.change.node else { continue };
        all = (all.0 + 1, all.1.saturating_add(content.size()));
        if is_unread(planned) {
            unread = (unread.0 + 1, unread.1.saturating_add(content.size()));
        }
    }
    let most = unread.0 > all.0 / 2 && unread.1 >= all.1 / 2;
    most && files.iter().all(|planned| planned.archive.is_none())
}

fn change(planned: &Planned) -> Change {
    let mut change = planned.change.clone();
    if let (Known::Host(file), Node::File(content)) = (&planned.known, &mut change.node) {
        *content = Content::new(content.size(), Plain(file.clone()));
    }
    change
}

/// A file of the host, provided that it has no attributes that belong into a layer: they stand before its content.
struct Plain(HostFile);

impl Source for Plain {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let (input, xattrs) = self.0.open_with_xattrs()?;
        if xattrs.is_empty() { Ok(input) } else { Err(io::Error::other("it has extended attributes")) }
    }
}

fn learn(hashes: &HashCache, planned: &mut Planned, index: &Index) {
    if !is_unread(planned) {
        return;
    }
    let Some(Kind::File { digest, .. }) = index.get(&planned.change.path).ok().flatten().map(|entry| entry.kind) else {
        return;
    };
    if let Known::Host(file) = &planned.known {
        hashes.insert(&file.stat(), digest);
    }
    planned.known = Known::Digest(digest);
}
