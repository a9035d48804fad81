//! From a path to the place it names. Symbolic links never lead out: the root's parent is the root.

use kiln_types::paths;

use super::node::{Body, NodeId};
use super::tree::{ROOT, Tree};
use crate::wasi::errno::Errno;

const PATH_LENGTH: usize = 4096;
const NAME_LENGTH: usize = 255;
const LINKS: usize = 40;

/// Where a path leads, whether or not something is there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) parent: NodeId,
    /// Empty where the path ends in `.`, `..` or is the root: then `node` is that directory.
    pub(super) name: Vec<u8>,
    pub(crate) node: Option<NodeId>,
    /// The path ends in a slash.
    pub(super) slash: bool,
}

impl Place {
    pub(crate) fn existing(&self) -> Result<NodeId, Errno> {
        self.node.ok_or(Errno::NotFound)
    }

    pub(crate) fn directory(&self, tree: &Tree) -> Result<NodeId, Errno> {
        let id = self.existing()?;
        tree.directory(id)?;
        Ok(id)
    }
}

impl Tree {
    /// Resolves `path` from the directory `start`; an absolute path from the root.
    pub(crate) fn resolve(&mut self, start: NodeId, path: &[u8], follow: bool) -> Result<Place, Errno> {
        if path.is_empty() {
            return Err(Errno::NotFound);
        }
        if path.len() > PATH_LENGTH {
            return Err(Errno::NameTooLong);
        }
        if path.contains(&0) {
            return Err(Errno::Invalid);
        }
        let mut slash = path.ends_with(b"/");
        let mut current = if path.starts_with(b"/") { ROOT } else { start };
        let mut rest: Vec<Vec<u8>> = paths::components(path).rev().map(<[u8]>::to_vec).collect();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            let directory = self.directory(current)?;
            match &name[..] {
                b"." => continue,
                b".." => {
                    current = directory.parent;
                    continue;
                }
                long if long.len() > NAME_LENGTH => return Err(Errno::NameTooLong),
                _ => {}
            }
            let last = rest.is_empty();
            let Some(id) = self.child(current, &name)? else {
                if !last {
                    return Err(Errno::NotFound);
                }
                return Ok(Place { parent: current, name, node: None, slash });
            };
            match &self.node(id).body {
                Body::Symlink(target) if !last || follow || slash => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::Loop);
                    }
                    if target.is_empty() {
                        return Err(Errno::NotFound);
                    }
                    if target.starts_with(b"/") {
                        current = ROOT;
                    }
                    slash |= last && target.ends_with(b"/");
                    rest.extend(paths::components(target).rev().map(<[u8]>::to_vec));
                }
                Body::Directory(_) if !last => current = id,
                Body::Directory(_) => return Ok(Place { parent: current, name, node: Some(id), slash }),
                _ if !last || slash => return Err(Errno::NotDirectory),
                _ => return Ok(Place { parent: current, name, node: Some(id), slash }),
            }
        }
        self.directory(current)?;
        Ok(Place { parent: current, name: Vec::new(), node: Some(current), slash })
    }

    /// Resolves `path` to a name that is to be made, removed or replaced: a symbolic link is what it is, also before a
    /// slash.
    pub(super) fn resolve_entry(&mut self, start: NodeId, path: &[u8]) -> Result<Place, Errno> {
        let slashes = path.iter().rev().take_while(|&&byte| byte == b'/').count();
        if slashes == path.len() {
            return self.resolve(start, path, false);
        }
        let place = self.resolve(start, &path[..path.len() - slashes], false)?;
        Ok(Place { slash: slashes > 0, ..place })
    }

    /// The directory that a relative path of wasi-libc means, which drops the slash that absolute paths begin with:
    /// where `cwd` and the root are both possible, the one where the path exists, else where its parent does.
    /// What that cannot tell apart is taken as relative: a new name directly in the root, and the root itself.
    pub(crate) fn guess_base(&mut self, cwd: NodeId, path: &[u8]) -> NodeId {
        let mut parts = paths::components(path);
        let certain = path.starts_with(b"/") || matches!(parts.next(), None | Some(b"." | b".."));
        if certain || cwd == ROOT {
            return cwd;
        }
        let in_cwd = self.resolve(cwd, path, false).map(|place| place.node.is_some());
        if in_cwd == Ok(true) {
            return cwd;
        }
        match (in_cwd, self.resolve(ROOT, path, false).map(|place| place.node.is_some())) {
            (_, Ok(true)) | (Err(_), Ok(false)) => ROOT,
            _ => cwd,
        }
    }
}
