//! Which files of a directory are taken: patterns of `--parents` and `--exclude`, as moby's patternmatcher sees them.

use std::sync::Arc;

use kiln_dockerfile::{IgnoreFile, Matched};
use kiln_types::paths;

use super::super::tree::{Item, Tree};

/// What to take of a directory; without patterns everything.
#[derive(Default)]
pub(super) struct Selection {
    /// `--parents`: what the source names below its pivot point, clean.
    pub(super) include: Option<Include>,
    pub(super) exclude: Option<IgnoreFile>,
}

pub(super) struct Include {
    pub(super) pattern: Vec<u8>,
    pub(super) matcher: IgnoreFile,
}

impl Selection {
    /// Whether a file that is named itself is taken.
    pub(super) fn takes(&self, name: &[u8]) -> bool {
        self.exclude.as_ref().is_none_or(|exclude| !exclude.check(name, &Matched::default()).0)
    }

    /// What is taken of the directory `root`, parents first. A directory that no pattern names comes along only as the
    /// parent of something that is taken.
    pub(super) fn of(&self, tree: &Tree<'_>, root: &[u8]) -> Result<Vec<Item>, kiln_image::Error> {
        if self.include.is_none() && self.exclude.is_none() {
            return tree.below(root);
        }
        let mut taken = Vec::new();
        let mut above: Vec<Above> = Vec::new();
        for item in self.candidates(tree, root)? {
            while above.last().is_some_and(|directory| !is_below(&item.path, &directory.path)) {
                above.pop();
            }
            let relative = &item.path[if root.is_empty() { 0 } else { root.len() + 1 }..];
            let (of_include, of_exclude) = match above.last() {
                Some(directory) => (directory.include.clone(), directory.exclude.clone()),
                None => Default::default(),
            };
            let (included, include) = match &self.include {
                Some(include) => include.matcher.check(relative, &of_include),
                None => (true, Matched::default()),
            };
            let (excluded, exclude) = match &self.exclude {
                Some(patterns) => patterns.check(relative, &of_exclude),
                None => (false, Matched::default()),
            };
            let takes = included && !excluded;
            if takes {
                taken.extend(above.iter_mut().filter_map(|directory| directory.pending.take()));
            }
            if item.node.is_directory() {
                let pending = (!takes).then(|| item.clone());
                above.push(Above { path: item.path.clone(), include, exclude, pending });
            }
            if takes {
                taken.push(item);
            }
        }
        Ok(taken)
    }

    /// All that a pattern can name: what begins with its part before the first wildcard.
    fn candidates(&self, tree: &Tree<'_>, root: &[u8]) -> Result<Vec<Item>, kiln_image::Error> {
        let pattern = self.include.as_ref().map_or(&b""[..], |include| &include.pattern);
        let literal: Vec<&[u8]> = paths::components(pattern).take_while(|part| !has_meaning(part)).collect();
        let mut items = Vec::new();
        let mut path = root.to_vec();
        for part in literal {
            path = paths::join(&path, part);
            match tree.get(&path)? {
                Some(item) => items.push(item),
                None => return Ok(Vec::new()),
            }
        }
        items.extend(tree.below(&path)?);
        Ok(items)
    }
}

/// A directory on the way to the item at hand.
struct Above {
    path: Arc<[u8]>,
    include: Matched,
    exclude: Matched,
    /// Not taken so far.
    pending: Option<Item>,
}

/// Patterns have more that does not stand for itself than wildcards: all of regular expressions' signs.
fn has_meaning(part: &[u8]) -> bool {
    part.iter().any(|byte| b"*?[]\\^!".contains(byte))
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}
