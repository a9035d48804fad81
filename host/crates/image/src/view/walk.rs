//! Walks a view depth first.

use super::{Found, View};
use crate::error::Result;

impl View {
    /// What is at a clean path and everything below it: parents first, bytewise by name.
    /// Nothing where the path does not exist. After an error the directory's content is left out.
    pub fn walk(&self, path: &[u8]) -> impl Iterator<Item = Result<Found>> + use<'_> {
        let mut stack: Vec<Result<Found>> = self.lookup(path).transpose().into_iter().collect();
        std::iter::from_fn(move || {
            let found = match stack.pop()? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            if found.is_directory() {
                match self.read_dir(&found.path) {
                    Ok(children) => stack.extend(children.into_iter().rev().map(Ok)),
                    Err(error) => stack.push(Err(error)),
                }
            }
            Some(Ok(found))
        })
    }
}
