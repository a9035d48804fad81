//! The layer that a COPY made the last time. What has not changed since is taken out of its tar, where contents lie side by
//! side, instead of opening each file: see [`kiln_image::Content::copied`].

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use kiln_image::{Kind, Layer, Node, compare_paths};
use kiln_store::Store;
use kiln_types::{Digest, Hasher};
use rayon::prelude::*;

use super::super::tree::Known;
use super::Planned;
use crate::Context;
use crate::plan::{Copy, CopySource};
use crate::record::LayerResult;

/// Of fewer files, opening them takes less than finding and loading a layer.
const WORTH: usize = 256;

/// Found when it is first asked for.
pub(crate) struct Former<'a> {
    store: &'a Store,
    name: Digest,
    layer: OnceLock<Option<Arc<Layer>>>,
}

impl<'a> Former<'a> {
    /// That of the same words about the same context, whatever was below.
    pub(crate) fn new(store: &'a Store, copy: &Copy, context: &Context) -> Self {
        let mut hasher = Hasher::new();
        hasher.field("the last layer of a copy, version 1");
        hasher.field(context.place());
        hasher.field(copy.keyword);
        hasher.field(&copy.target);
        for source in &copy.sources {
            if let CopySource::Path { pattern, .. } = source {
                hasher.field(pattern);
            }
        }
        Self { store, name: hasher.finish(), layer: OnceLock::new() }
    }

    /// `None` where it is gone, or there never was one.
    pub(super) fn layer(&self) -> Option<&Arc<Layer>> {
        let find = || {
            let LayerResult { diff_id, .. } = self.store.record(&self.name).ok()??;
            // Decompressing one would take longer than reading the files.
            if self.store.has_blob(&diff_id) { self.store.layer(&diff_id).ok() } else { None }
        };
        self.layer.get_or_init(find).as_ref()
    }

    /// Remembers that the last one is this.
    pub(crate) fn note(&self, layer: LayerResult) -> Result<(), kiln_store::Error> {
        self.store.put_record(&self.name, &[layer.diff_id], &layer)
    }

    /// Lets the files that it holds be read out of its tar.
    pub(super) fn lend(&self, files: &mut [Planned]) {
        let Some(layer) = self.layer() else { return };
        files.par_chunks_mut(8192).for_each(|files| Self::lend_some(layer, files));
    }

    /// Files and index are sorted by path.
    fn lend_some(layer: &Layer, files: &mut [Planned]) {
        let Some(first) = files.first() else { return };
        // What cannot be read is not lent.
        let Ok(entries) = layer.index.iter_from(&first.change.path) else { return };
        let mut entries = entries.map_while(Result::ok).peekable();
        for Planned { change, known, archive, .. } in files {
            let (Known::Digest(expected), Node::File(content), None) = (known, &mut change.node, archive) else {
                continue;
            };
            while entries.next_if(|entry| compare_paths(entry.path, &change.path) == Ordering::Less).is_some() {}
            if let Some(entry) = entries.next_if(|entry| entry.path == change.path)
                && matches!(entry.kind, Kind::File { digest, .. } if digest == *expected)
            {
                *content = content.clone().copied(&layer.content(&entry), *expected);
            }
        }
    }
}

/// Are there so many files that the layer will be worth remembering?
pub(super) fn is_worth(files: &[Planned]) -> bool {
    files.iter().filter(|planned| matches!(planned.change.node, Node::File(_))).count() >= WORTH
}
