//! Where the files go, as BuildKit decides; and what cannot be there.

use kiln_image::{Change, Node};
use kiln_types::paths;

use super::super::destination::{Destination, existing_parents, made_directory};
use super::super::tree::{Item, Known};
use super::sources::Taken;
use super::{Archive, Inputs, Planned, image_error};
use crate::Located;

/// Puts files at their places, one source after the other.
pub(super) struct Placing<'a> {
    inputs: &'a Inputs<'a>,
    place: &'a Destination,
    owner: Option<(u32, u32)>,
    /// What is at the destination by now.
    now: Now,
    /// The destination itself is among the files.
    destination_made: bool,
    files: Vec<Planned>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Now {
    Nothing,
    Directory,
    File,
}

impl<'a> Placing<'a> {
    pub(super) fn new(
        inputs: &'a Inputs<'a>,
        place: &'a Destination,
        owner: Option<(u32, u32)>,
    ) -> Result<Self, Located> {
        let now = match &place.existing {
            _ if place.is_directory() => Now::Directory,
            Some(_) => Now::File,
            None => Now::Nothing,
        };
        let mut placing = Self { inputs, place, owner, now, destination_made: false, files: Vec::new() };
        if placing.must_be_directory() && now == Now::File {
            let why = "it is a file, and a destination that ends with a slash is a directory";
            return Err(placing.conflict(&place.path, why));
        }
        if !placing.says_nothing_of_directories() {
            for parent in existing_parents(inputs.view(), &place.path).map_err(image_error(inputs.span))? {
                placing.made(parent);
            }
            for directory in &place.missing {
                placing.made_directory(directory.clone());
            }
        }
        Ok(placing)
    }

    /// A layer of its own leaves directories that it does not bring along to the image that it will be part of.
    fn says_nothing_of_directories(&self) -> bool {
        self.inputs.copy.link && self.owner.is_none() && self.inputs.copy.chmod.is_none()
    }

    fn must_be_directory(&self) -> bool {
        self.inputs.copy.target.ends_with(b"/")
    }

    /// A directory that no source brings along. An octal mode is meant for it too.
    fn made_directory(&mut self, path: Vec<u8>) {
        let (uid, gid) = self.owner.unwrap_or((0, 0));
        let mut change = made_directory(path, uid, gid);
        if let Some(mode) = self.inputs.copy.chmod.as_ref().and_then(kiln_dockerfile::ModeChange::absolute) {
            change.meta.mode = mode & 0o777;
        }
        self.made(change);
    }

    fn made(&mut self, change: Change) {
        self.files.push(Planned { change, source: [].into(), known: Known::Nothing, inode: None, archive: None });
    }

    /// The destination itself as a directory, once.
    fn become_directory(&mut self) {
        let Destination { path, existing, .. } = self.place;
        if !path.is_empty() && !std::mem::replace(&mut self.destination_made, true) {
            match existing {
                // Into a directory that the image has: it stays as it is.
                Some(found) => {
                    self.made(Change { path: path.clone(), meta: found.meta.clone(), node: found.node.clone() });
                }
                None if self.says_nothing_of_directories() => {}
                None => self.made_directory(path.clone()),
            }
        }
        self.now = Now::Directory;
    }

    pub(super) fn add(&mut self, taken: Taken) -> Result<(), Located> {
        let Taken { item, below, unpack, source, .. } = taken;
        if item.node.is_directory() { self.directory(&item, below, source) } else { self.file(item, unpack, source) }
    }

    fn file(&mut self, item: Item, unpack: bool, source: usize) -> Result<(), Located> {
        if self.must_be_directory() || self.now == Now::Directory {
            self.become_directory();
        }
        let path = if self.now == Now::Directory {
            paths::join(&self.place.path, paths::name(&item.path))
        } else {
            self.now = Now::File;
            self.place.path.clone()
        };
        let is_file = matches!(item.node, Node::File(_));
        let archive = (unpack && is_file).then(|| Archive { below: self.place.path.clone(), at: path.clone() });
        if archive.is_none() {
            self.check(&path, &item)?;
        }
        self.item(path, item, source, archive.map(Box::new));
        Ok(())
    }

    /// A directory's contents go into the destination, not the directory itself.
    fn directory(&mut self, directory: &Item, below: Vec<Item>, source: usize) -> Result<(), Located> {
        if self.now == Now::File {
            return Err(self.conflict(&self.place.path, "a directory cannot replace a file"));
        }
        self.become_directory();
        let root = &directory.path;
        self.files.reserve(below.len());
        for item in below {
            let relative = if root.is_empty() { &item.path[..] } else { &item.path[root.len() + 1..] };
            let path = paths::join(&self.place.path, relative);
            if self.place.is_directory() {
                self.check(&path, &item)?;
            }
            self.item(path, item, source, None);
        }
        Ok(())
    }

    fn item(&mut self, path: Vec<u8>, item: Item, number: usize, archive: Option<Box<Archive>>) {
        let Item { path: source, mut meta, node, known, inode } = item;
        if let Some((uid, gid)) = self.owner {
            (meta.uid, meta.gid) = (uid, gid);
        }
        if let Some(chmod) = &self.inputs.copy.chmod
            && !matches!(node, Node::Symlink(_))
        {
            meta.mode = chmod.apply(meta.mode, node.is_directory());
        }
        let inode = inode.map(|(device, file)| (number, device, file));
        self.files.push(Planned { change: Change { path, meta, node }, source, known, inode, archive });
    }

    /// A directory and something that is none cannot take each other's place.
    fn check(&self, path: &[u8], item: &Item) -> Result<(), Located> {
        match self.inputs.view().lookup(path).map_err(image_error(self.inputs.span))? {
            Some(existing) if existing.node.is_directory() != item.node.is_directory() => {
                Err(self.conflict(path, cannot_replace(item.node.is_directory())))
            }
            _ => Ok(()),
        }
    }

    fn conflict(&self, path: &[u8], why: &str) -> Located {
        conflict(self.inputs, path, why)
    }

    /// Sorted as change sets are. Of several for one place the last one stays, as if copied one after the other.
    pub(super) fn finish(mut self) -> Result<Vec<Planned>, Located> {
        let in_order = |pair: &[Planned]| kiln_image::compare_paths(&pair[0].change.path, &pair[1].change.path).is_lt();
        if self.files.windows(2).all(in_order) {
            return Ok(self.files);
        }
        self.files.sort_by(|a, b| kiln_image::compare_paths(&a.change.path, &b.change.path));
        let differing = self.files.windows(2).find(|pair| {
            pair[0].change.path == pair[1].change.path
                && pair[0].change.node.is_directory() != pair[1].change.node.is_directory()
        });
        if let Some([_, later]) = differing {
            let why = cannot_replace(later.change.node.is_directory());
            return Err(self.conflict(&later.change.path, why));
        }
        // What an archive becomes is not known yet: several may be unpacked into one place.
        let (archives, mut others): (Vec<_>, Vec<_>) = self.files.into_iter().partition(|file| file.archive.is_some());
        super::last_wins(&mut others, |file| &file.change.path);
        others.extend(archives);
        others.sort_by(|a, b| kiln_image::compare_paths(&a.change.path, &b.change.path));
        Ok(others)
    }
}

fn cannot_replace(directory: bool) -> &'static str {
    if directory { "a directory cannot replace a file or a link" } else { "a file cannot replace a directory" }
}

pub(super) fn conflict(inputs: &Inputs<'_>, path: &[u8], why: &str) -> Located {
    Located::new("type-conflict", inputs.span, format!("cannot copy to {}: {why}", paths::display(path)))
        .hint("remove what is there in a RUN step, or choose another destination")
}
