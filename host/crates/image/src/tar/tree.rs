//! The directory tree that the members of a tar make, as an extraction in their order would leave it.
//!
//! The last of several members with one name wins; what is not a directory replaces a whole directory; names lead
//! through symbolic links of the same tar, never out of its root.

use std::collections::BTreeMap;

use kiln_types::paths;

use super::{MAX_ENTRIES, MAX_PATH, WHITEOUT, WHITEOUT_META, WHITEOUT_OPAQUE};
use crate::error::{Error, Result};
use crate::meta::Meta;

/// Most bytes that paths, link targets and attributes may have together.
const MAX_NAMES: usize = 256 << 20;
const MAX_LINKS: usize = 40;

/// What a member makes of its path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item<C> {
    Directory,
    File(C),
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// What is at a path in the end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Found<C> {
    Directory {
        opaque: bool,
    },
    File(C),
    /// Path of the `File` that comes earlier.
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    Whiteout,
}

#[derive(Clone)]
enum Node {
    Directory {
        opaque: bool,
        implied: bool,
    },
    /// Number of the file: hard links share it.
    File(usize),
    Symlink(Vec<u8>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    Whiteout,
}

pub(crate) struct Tree<C> {
    nodes: BTreeMap<Vec<u8>, (Meta, Node)>,
    files: Vec<(Meta, C)>,
    names_size: usize,
    /// Do `.wh.` names remove things, as in layers, or are they names as any other?
    whiteouts: bool,
}

impl<C: Clone> Tree<C> {
    pub(crate) fn new(whiteouts: bool) -> Self {
        Self { nodes: BTreeMap::new(), files: Vec::new(), names_size: 0, whiteouts }
    }

    /// Adds a member under the name it has in the tar.
    pub(crate) fn add(&mut self, raw_path: &[u8], meta: Meta, item: Item<C>) -> Result<()> {
        let path = self.place(raw_path)?;
        if self.whiteouts && paths::components(&path).any(|part| part.starts_with(WHITEOUT)) {
            return self.add_whiteout(&path);
        }
        if path.is_empty() && !matches!(item, Item::Directory) {
            return Err(Error::entry(raw_path, "the root can only be a directory"));
        }
        let (meta, node) = match item {
            Item::Directory => (meta, Node::Directory { opaque: false, implied: false }),
            Item::File(content) => {
                self.files.push((meta, content));
                (Meta::default(), Node::File(self.files.len() - 1))
            }
            Item::HardLink(target) => {
                let target = self.place(&target)?;
                match self.get(&target) {
                    _ if target == path => return Err(Error::entry(raw_path, "it is a hard link to itself")),
                    None | Some((_, Node::Directory { .. } | Node::Whiteout)) => {
                        return Err(Error::entry(
                            raw_path,
                            "it is a hard link to a file that the tar does not have before it",
                        ));
                    }
                    Some(found) => found.clone(),
                }
            }
            Item::Symlink(target) => (meta, Node::Symlink(target)),
            Item::CharDevice { major, minor } => (meta, Node::CharDevice { major, minor }),
            Item::BlockDevice { major, minor } => (meta, Node::BlockDevice { major, minor }),
            Item::Fifo => (meta, Node::Fifo),
        };
        self.open_parents(&path)?;
        self.insert(path, meta, node)
    }

    fn add_whiteout(&mut self, path: &[u8]) -> Result<()> {
        let name = paths::name(path);
        let parent = paths::parent(path).unwrap_or_default();
        if paths::components(parent).any(|part| part.starts_with(WHITEOUT_META)) {
            return Ok(());
        }
        if paths::components(parent).any(|part| part.starts_with(WHITEOUT)) {
            return Err(Error::entry(path, "it lies in a whiteout"));
        }
        if name == WHITEOUT_OPAQUE {
            let opaque = Node::Directory { opaque: true, implied: true };
            self.open_parents(path)?;
            return self.insert(parent.to_vec(), Meta::implied_directory(), opaque);
        }
        if name.starts_with(WHITEOUT_META) {
            return Ok(());
        }
        let removed = name.strip_prefix(WHITEOUT).unwrap_or(name);
        if matches!(removed, b"" | b"." | b"..") {
            return Err(Error::entry(path, "it is a whiteout of nothing"));
        }
        let path = paths::join(parent, removed);
        self.open_parents(&path)?;
        self.insert(path, Meta::default(), Node::Whiteout)
    }

    fn get(&self, path: &[u8]) -> Option<&(Meta, Node)> {
        self.nodes.get(&key(path))
    }

    /// Replaces what is at `path` by the rules of extraction; its parents are there.
    fn insert(&mut self, path: Vec<u8>, meta: Meta, mut node: Node) -> Result<()> {
        let mut meta = meta;
        match (self.get(&path), &mut node) {
            (Some((own, Node::Directory { opaque: was, implied: unlisted })), Node::Directory { opaque, implied }) => {
                *opaque |= was;
                if *implied {
                    // An opaque marker is not the directory itself: what is known of that stays.
                    (meta, *implied) = (own.clone(), *unlisted);
                }
            }
            (Some((_, Node::Whiteout)), Node::Directory { opaque, .. }) => *opaque = true,
            (Some((own, Node::Directory { implied, .. })), Node::Whiteout) => {
                (meta, node) = (own.clone(), Node::Directory { opaque: true, implied: *implied });
            }
            (Some((_, old)), Node::Whiteout) if !matches!(old, Node::Whiteout) => return Ok(()),
            (Some((_, Node::Directory { .. })), _) => self.remove_below(&path),
            _ => {}
        }
        // Nothing of an opaque directory comes from below.
        if let Node::Directory { opaque: true, implied } = &mut node {
            *implied = false;
        }
        self.charge(&path, &meta, &node)?;
        self.nodes.insert(key(&path), (meta, node));
        Ok(())
    }

    fn charge(&mut self, path: &[u8], meta: &Meta, node: &Node) -> Result<()> {
        let target = if let Node::Symlink(target) = node { target.len() } else { 0 };
        let xattrs: usize = meta.xattrs.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        self.names_size += path.len() + target + xattrs;
        if self.names_size > MAX_NAMES || self.nodes.len() >= MAX_ENTRIES {
            return Err(Error::entry(path, "the tar has too many entries"));
        }
        Ok(())
    }

    fn open_parents(&mut self, path: &[u8]) -> Result<()> {
        let mut missing = Vec::new();
        let mut rest = path;
        while let Some(parent) = paths::parent(rest) {
            match self.get(parent) {
                Some((_, Node::Directory { .. })) => break,
                None => missing.push((parent, Node::Directory { opaque: false, implied: true })),
                Some((_, Node::Whiteout)) => missing.push((parent, Node::Directory { opaque: true, implied: false })),
                Some(_) => return Err(Error::entry(path, "what it lies in is no directory")),
            }
            rest = parent;
        }
        for (parent, node) in missing {
            let meta = Meta::implied_directory();
            self.charge(parent, &meta, &node)?;
            self.nodes.insert(key(parent), (meta, node));
        }
        Ok(())
    }

    fn remove_below(&mut self, path: &[u8]) {
        let mut first = key(path);
        first.push(0);
        let below = |key: &Vec<u8>| key.starts_with(&first);
        let doomed: Vec<Vec<u8>> =
            self.nodes.range(first.clone()..).map(|(key, _)| key.clone()).take_while(below).collect();
        for key in doomed {
            self.nodes.remove(&key);
        }
    }

    /// The clean path of a name, the directories on its way being no symbolic links.
    fn place(&self, raw: &[u8]) -> Result<Vec<u8>> {
        let path = clean_name(raw)?;
        let Some(parent) = paths::parent(&path) else { return Ok(path) };
        if let Some((_, Node::Directory { .. })) = self.get(parent) {
            return Ok(path);
        }
        let mut followed = 0;
        let mut real: Vec<u8> = Vec::new();
        let mut left: Vec<&[u8]> = paths::components(parent).rev().collect();
        while let Some(part) = left.pop() {
            if part == b"." || part == b".." {
                real = paths::join(&real, part);
                continue;
            }
            let next = append(&real, part);
            match self.get(&next) {
                Some((_, Node::Symlink(target))) => {
                    followed += 1;
                    if followed > MAX_LINKS || target.len() > MAX_PATH {
                        return Err(Error::SymlinkLoop { path: paths::display(&path) });
                    }
                    if target.starts_with(b"/") {
                        real.clear();
                    }
                    left.extend(paths::components(target).rev());
                }
                _ => real = next,
            }
            if real.len() > MAX_PATH {
                return Err(Error::entry(raw, "its name is too long"));
            }
        }
        Ok(append(&real, paths::name(&path)))
    }

    /// Everything in order of path; directories that are only implied are left out.
    pub(crate) fn into_sorted(self) -> impl Iterator<Item = (Vec<u8>, Meta, Found<C>)> {
        let mut first_names: Vec<Option<Vec<u8>>> = vec![None; self.files.len()];
        let files = self.files;
        self.nodes.into_iter().filter_map(move |(key, (meta, node))| {
            let path = path_of(key);
            let found = match node {
                Node::Directory { implied: true, .. } => return None,
                Node::Directory { opaque, .. } => Found::Directory { opaque },
                Node::File(number) => {
                    let (meta, content) = files[number].clone();
                    let found = match &first_names[number] {
                        Some(name) => Found::HardLink(name.clone()),
                        None => {
                            first_names[number] = Some(path.clone());
                            Found::File(content)
                        }
                    };
                    return Some((path, meta, found));
                }
                Node::Symlink(target) => Found::Symlink(target),
                Node::CharDevice { major, minor } => Found::CharDevice { major, minor },
                Node::BlockDevice { major, minor } => Found::BlockDevice { major, minor },
                Node::Fifo => Found::Fifo,
                Node::Whiteout => Found::Whiteout,
            };
            Some((path, meta, found))
        })
    }
}

/// A member's name without `.` and `..`. A relative name that leaves the root is refused, as Docker does; an absolute
/// one cannot leave it.
pub(crate) fn clean_name(raw: &[u8]) -> Result<Vec<u8>> {
    let mut depth = 0usize;
    for part in paths::components(raw) {
        match part {
            b"." => {}
            b".." if depth == 0 && !raw.starts_with(b"/") => return Err(Error::entry(raw, "its name leaves the root")),
            b".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    Ok(paths::clean(raw))
}

fn append(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, name].join(&b'/') }
}

/// A path as the map has it: with NUL, which no name has, for `/`. So the order of the bytes is that of change sets.
fn key(path: &[u8]) -> Vec<u8> {
    path.iter().map(|&byte| if byte == b'/' { 0 } else { byte }).collect()
}

fn path_of(mut key: Vec<u8>) -> Vec<u8> {
    key.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'/');
    key
}
