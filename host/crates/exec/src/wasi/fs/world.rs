//! What every process finds besides the image: a few devices, an empty `/proc`, and kiln's own tools where the image
//! has none. None of it ever gets into a layer.

use kiln_image::Meta;
use kiln_types::paths;

use super::data::Data;
use super::node::{Body, Directory, Node, NodeId};
use super::tree::{ROOT, Tree};
use crate::wasi::errno::Errno;
use crate::wasi::tools;

const DEVICES: [(&[u8], u32); 5] = [(b"full", 7), (b"null", 3), (b"random", 8), (b"urandom", 9), (b"zero", 5)];
const STANDARD: [(&[u8], u32); 3] = [(b"stdin", 0), (b"stdout", 1), (b"stderr", 2)];

/// A character device that programs can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Null,
    Zero,
    Full,
    Random,
}

impl Device {
    /// By Linux's numbers, so that device files of the image work alike.
    pub(super) fn from_numbers(major: u32, minor: u32) -> Option<Self> {
        match (major, minor) {
            (1, 3) => Some(Self::Null),
            (1, 5) => Some(Self::Zero),
            (1, 7) => Some(Self::Full),
            (1, 8 | 9) => Some(Self::Random),
            _ => None,
        }
    }
}

impl Tree {
    pub(super) fn furnish(&mut self, guest_tools: bool) -> Result<(), Errno> {
        if let Some(dev) = self.own_directory(b"dev")? {
            for (name, minor) in DEVICES {
                self.place(dev, name, device(Body::CharDevice { major: 1, minor }))?;
            }
            for (name, number) in STANDARD {
                self.place(dev, name, device(Body::Standard(number)))?;
            }
        }
        if self.child(ROOT, b"proc")?.is_none() {
            let proc = self.own_directory(b"proc")?.ok_or(Errno::Io)?;
            self.directory_mut(proc)?.read_only = true;
        }
        if guest_tools {
            self.furnish_tools()?;
        }
        Ok(())
    }

    fn furnish_tools(&mut self) -> Result<(), Errno> {
        let kiln = self.place(ROOT, tools::HIDDEN, directory(ROOT))?;
        let bin = self.place(kiln, b"bin", directory(kiln))?;
        for module in tools::modules() {
            let Some((first, others)) = module.names.split_first() else { continue };
            let body = Body::File(Data::lower(module.content.clone(), Some(module.digest)));
            let node = Node::new(Meta { mode: 0o755, ..Meta::default() }, body);
            let id = self.place(bin, first.as_bytes(), node)?;
            for name in others {
                self.place_link(bin, name.as_bytes(), id)?;
            }
        }
        for id in [kiln, bin] {
            self.directory_mut(id)?.read_only = true;
        }
        Ok(())
    }

    /// The image's directory `name` in the root, or one of our own; `None` where the image has something else there.
    fn own_directory(&mut self, name: &[u8]) -> Result<Option<NodeId>, Errno> {
        match self.child(ROOT, name)? {
            Some(id) => Ok(self.node(id).is_directory().then_some(id)),
            None => self.place(ROOT, name, directory(ROOT)).map(Some),
        }
    }

    /// Makes the directories of a clean path that are missing, as a container runtime does for the working directory.
    pub(crate) fn make_directories(&mut self, path: &[u8]) -> Result<NodeId, Errno> {
        for directory in paths::ancestors(path).chain([path]).filter(|path| !path.is_empty()) {
            let place = self.resolve(ROOT, directory, true)?;
            match place.node {
                Some(id) => {
                    self.directory(id)?;
                }
                None => {
                    let body = Body::Directory(Directory::new(place.parent, true));
                    self.create(place.parent, &place.name, Meta::implied_directory(), body)?;
                }
            }
        }
        let path = [b"/", path].concat();
        let id = self.resolve(ROOT, &path, true)?.existing()?;
        self.directory(id)?;
        Ok(id)
    }
}

fn device(body: Body) -> Node {
    Node::new(Meta { mode: 0o666, ..Meta::default() }, body)
}

fn directory(parent: NodeId) -> Node {
    Node::new(Meta::implied_directory(), Body::Directory(Directory::new(parent, true)))
}
