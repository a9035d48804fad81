//! Layers that are written before their key is known.
//!
//! A key needs digests of contents, and reading large files is what their COPY costs. Where nobody has read them before,
//! there will hardly be a record of that key: so the layer is written at once, and its index tells the digests. The files
//! are read once instead of twice. Should there be a record after all, the layer was written in vain.

use kiln_image::{Index, Kind, Node};
use kiln_store::{HashCache, UnkeptLayer};

use super::super::tree::Known;
use super::digest::{is_unread, link};
use super::{Inputs, Planned};

/// Of the files that nobody has read, on average. Small ones cost as much to open.
const LARGE: u64 = 64 << 10;

/// The layer of `files`, whose digests are known then; `None` where that would not pay. An error is none here: it shows
/// again where the files are read one by one.
pub(super) fn write(inputs: &Inputs<'_>, files: &mut [Planned]) -> Option<UnkeptLayer> {
    let write = inputs.write_ahead?;
    if !pays(inputs.hashes, files) {
        return None;
    }
    for planned in files.iter_mut().filter(|planned| is_unread(inputs.hashes, planned)) {
        if let Known::Host(file) = &planned.known {
            planned.change.meta.xattrs = file.open_with_xattrs().ok()?.1;
        }
    }
    link(files);
    let layer = write(files.iter().map(|planned| planned.change.clone()).collect())?;
    for planned in files {
        learn(inputs.hashes, planned, layer.index());
    }
    Some(layer)
}

/// Are most of the bytes in large files that nobody has read? What ADD may unpack becomes something else.
fn pays(hashes: &HashCache, files: &[Planned]) -> bool {
    let (mut all, mut unread, mut count) = (0_u64, 0_u64, 0);
    for planned in files {
        let Node::File(content) = &planned.change.node else { continue };
        all = all.saturating_add(content.size());
        if is_unread(hashes, planned) {
            unread = unread.saturating_add(content.size());
            count += 1;
        }
    }
    let is_large = count > 0 && unread / count >= LARGE && unread >= all / 2;
    is_large && files.iter().all(|planned| planned.archive.is_none())
}

fn learn(hashes: &HashCache, planned: &mut Planned, index: &Index) {
    let Planned { change, known, .. } = planned;
    let Some(Kind::File { digest, .. }) = index.get(&change.path).map(|entry| entry.kind) else { return };
    if let Known::Host(file) = known
        && change.meta.xattrs.is_empty()
    {
        hashes.insert(&file.stat(), digest);
    }
    if matches!(known, Known::Host(_) | Known::Unread) {
        *known = Known::Digest(digest);
    }
}
