//! What a step has changed: its tree compared with the view below.
//!
//! Only the two states count, not how one became the other. A file that is as it was leaves nothing, nor does a
//! directory whose entries came and went. The directories above a change are listed with it, as every tool that applies
//! layers expects.

use std::collections::{BTreeSet, HashMap};
use std::io;

use kiln_image::{Change, Found, Meta, Node as Kind};
use kiln_types::paths;

use super::node::{Body, NodeId};
use super::tree::{ROOT, Tree};
use crate::Error;
use crate::wasi::errno::Errno;
use crate::wasi::limits;

/// As no Linux program can name a longer one.
const PATH_LENGTH: usize = 4096;

enum Work {
    Compare {
        path: Vec<u8>,
        node: Option<NodeId>,
        below: Option<Found>,
    },
    /// All that is in the directory at this place of the list has been compared.
    Leave {
        place: usize,
        needed: bool,
    },
}

#[derive(Default)]
struct Differences {
    changes: Vec<Change>,
    /// Compared next comes last.
    work: Vec<Work>,
    /// The path of the first name of a file with several.
    first_names: HashMap<NodeId, Vec<u8>>,
    /// Bytes of all paths so far.
    paths: u64,
}

impl Tree {
    pub(super) fn changes(&mut self) -> Result<Vec<Change>, Error> {
        self.changes_of(ROOT, Vec::new())
    }

    /// Those of a volume, from its root on, which is at `start` of its layers.
    pub(super) fn changes_of(&mut self, root: NodeId, start: Vec<u8>) -> Result<Vec<Change>, Error> {
        let mut out = Differences::default();
        let below = self.view(root).lookup(&start)?;
        out.work.push(Work::Compare { path: start.clone(), node: Some(root), below });
        while let Some(work) = out.work.pop() {
            match work {
                Work::Compare { path, .. } if path.len() > PATH_LENGTH => {
                    return Err(Error::Limit { limit: format!("{PATH_LENGTH} bytes for a path"), raise: None });
                }
                Work::Compare { path, node: Some(id), below } => self.compare(&mut out, id, path, below)?,
                Work::Compare { path, node: None, below: Some(_) } => {
                    out.changes.push(Change { path, meta: Meta::default(), node: Kind::Whiteout });
                }
                Work::Compare { node: None, below: None, .. } => {}
                Work::Leave { place, needed } => {
                    if !needed && out.changes.len() == place + 1 {
                        out.changes.pop();
                    }
                }
            }
        }
        // The root is always there: it is listed only for its own sake.
        let listed = out.changes.first().is_some_and(|change| change.path == start);
        if listed
            && self.node(root).is_directory()
            && !self.directory_differs(root, self.view(root).lookup(&start)?.as_ref())
        {
            out.changes.remove(0);
        }
        Ok(out.changes)
    }

    fn compare(&mut self, out: &mut Differences, id: NodeId, path: Vec<u8>, below: Option<Found>) -> Result<(), Error> {
        let node = self.node(id);
        if node.is_directory() {
            return self.compare_directory(out, id, path, below);
        }
        if node.synthetic {
            return Ok(());
        }
        if node.links > 1 {
            if let Some(first) = out.first_names.get(&id) {
                let node = Kind::HardLink(first.clone());
                out.changes.push(Change { path, meta: Meta::default(), node });
                return Ok(());
            }
            if matches!(node.body, Body::File(_)) {
                out.first_names.insert(id, path.clone());
            }
        } else if let Some(below) = below
            && self.is_same(id, &path, &below)?
        {
            return Ok(());
        }
        let meta = node.meta.clone();
        let node = match &node.body {
            Body::File(_) => match self.take_body(id) {
                Body::File(data) => Kind::File(data.into_content(&self.spill)),
                _ => unreachable!("looked at just above"),
            },
            Body::Symlink(target) => Kind::Symlink(target.clone()),
            Body::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
            Body::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
            Body::Fifo => Kind::Fifo,
            Body::Directory(_) | Body::Standard(_) => unreachable!("directories and the world's own are done above"),
        };
        out.changes.push(Change { path, meta, node });
        Ok(())
    }

    fn compare_directory(
        &mut self,
        out: &mut Differences,
        id: NodeId,
        path: Vec<u8>,
        below: Option<Found>,
    ) -> Result<(), Error> {
        let below = below.filter(|found| found.node.is_directory());
        let in_place = below.is_some() && self.node(id).origin.as_deref() == Some(&path);
        let mut names = BTreeSet::new();
        if !in_place {
            self.complete(id).map_err(unreadable)?;
            if below.is_some() {
                let found = self.view(id).read_dir(&path)?;
                names.extend(found.iter().map(|found| paths::name(&found.path).to_vec()));
            }
        }
        let entries = self.directory(id).map_err(unreadable)?.entries.clone();
        names.extend(entries.keys().cloned());

        let node = self.node(id);
        let needed = match (node.synthetic, node.scaffold) {
            (true, _) => false,
            (false, true) => node.times_set || Meta { mtime: 0, ..node.meta.clone() } != Meta::implied_directory(),
            (false, false) => self.directory_differs(id, below.as_ref()),
        };
        out.work.push(Work::Leave { place: out.changes.len(), needed });
        for name in names.into_iter().rev() {
            let path = paths::join(&path, &name);
            out.paths += path.len() as u64;
            if out.paths > limits::PATHS {
                return Err(Error::Limit { limit: "1 GiB of paths".to_owned(), raise: None });
            }
            let node = entries.get(&name).copied().flatten();
            let below = if below.is_some() { self.view(id).lookup(&path)? } else { None };
            out.work.push(Work::Compare { path, node, below });
        }
        let meta = self.node(id).meta.clone();
        out.changes.push(Change { path, meta, node: Kind::Directory { opaque: false } });
        Ok(())
    }

    fn directory_differs(&self, id: NodeId, below: Option<&Found>) -> bool {
        let Some(below) = below else { return true };
        let node = self.node(id);
        let mtime = if node.times_set { node.meta.mtime } else { below.meta.mtime };
        Meta { mtime, ..node.meta.clone() } != below.meta
    }

    /// Would a layer that holds this node at `path` change nothing?
    fn is_same(&self, id: NodeId, path: &[u8], below: &Found) -> Result<bool, Error> {
        let node = self.node(id);
        if node.meta != below.meta {
            return Ok(false);
        }
        Ok(match (&node.body, &below.node) {
            (Body::File(data), Kind::File(content)) => {
                if data.unchanged().is_some() && node.origin.as_deref() == Some(path) {
                    return Ok(true);
                }
                data.size() == content.size() && below.digest.is_some() && {
                    let unreadable =
                        |source| Error::System { action: format!("read {}", paths::display(path)), source };
                    let known = data.known_digest().map(Ok);
                    below.digest == Some(known.unwrap_or_else(|| data.digest(&self.spill)).map_err(unreadable)?)
                }
            }
            (Body::Symlink(target), Kind::Symlink(other)) => target == other,
            (Body::CharDevice { major, minor }, Kind::CharDevice { major: other_major, minor: other_minor })
            | (Body::BlockDevice { major, minor }, Kind::BlockDevice { major: other_major, minor: other_minor }) => {
                (major, minor) == (other_major, other_minor)
            }
            (Body::Fifo, Kind::Fifo) => true,
            _ => false,
        })
    }
}

fn unreadable(errno: Errno) -> Error {
    Error::System { action: "read the layers below".to_owned(), source: io::Error::other(errno) }
}
