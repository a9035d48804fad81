//! Directories that layers imply: those on the way to what they list, which they do not list themselves.
//!
//! Their looks are those of the layers below. Overlayfs shows what the uppermost layer's directory form has, which cannot
//! know what lies below it. Kiln's own layers imply none; those of some other builders do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_image::{Layer, Meta, View};
use kiln_types::Digest;

use crate::Error;

/// What was found in layers so far: looking through an index takes as long as a step.
#[derive(Debug, Default)]
pub(super) struct Implied(Mutex<HashMap<Digest, Arc<[Vec<u8>]>>>);

impl Implied {
    /// Those that overlayfs would show otherwise than they are.
    pub(super) fn find(&self, view: &View) -> Result<Vec<Vec<u8>>, Error> {
        let mut found = Vec::new();
        // There is nothing below the lowest.
        for layer in view.layers().iter().skip(1).filter(|layer| !layer.index.header().is_complete) {
            for path in self.of(layer)?.iter() {
                let seen = view.lookup(path)?.filter(|seen| seen.node.is_directory());
                if seen.is_some_and(|seen| seen.meta != Meta::implied_directory()) {
                    found.push(path.clone());
                }
            }
        }
        Ok(found)
    }

    fn of(&self, layer: &Layer) -> kiln_image::Result<Arc<[Vec<u8>]>> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(paths) = known().get(&layer.diff_id) {
            return Ok(Arc::clone(paths));
        }
        let mut paths = Vec::new();
        for entry in layer.index.iter() {
            let entry = entry?;
            if entry.implied && !entry.path.is_empty() {
                paths.push(entry.path.to_vec());
            }
        }
        let paths: Arc<[Vec<u8>]> = paths.into();
        known().insert(layer.diff_id, Arc::clone(&paths));
        Ok(paths)
    }
}
