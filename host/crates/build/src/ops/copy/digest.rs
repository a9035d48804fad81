//! The digest over all that will be in the layer: contents that are not known are read now, and times are left out.

use std::collections::HashMap;
use std::io;

use kiln_image::{Change, Node, Xattrs};
use kiln_store::HashCache;
use kiln_types::{Digest, Hasher};
use rayon::prelude::*;

use super::super::tree::Known;
use super::{Inputs, Planned};
use crate::Located;
use crate::context::HostFile;

/// Fills in what the files' contents hash to, makes hard links of several names for one file, and hashes it all.
pub(super) fn digest(inputs: &Inputs<'_>, files: &mut [Planned]) -> Result<Digest, Located> {
    let mut unread: Vec<&mut Planned> = files.iter_mut().filter(|planned| is_unread(planned)).collect();
    unread.par_iter_mut().try_for_each(|planned| read(inputs, planned))?;
    link(files);
    let mut hasher = Hasher::new();
    for Planned { change: Change { path, meta, node }, known, archive, .. } in files {
        hasher.field(path);
        // What is unpacked is not what is copied.
        hasher.update([u8::from(archive.is_some())]);
        hasher.update(meta.mode.to_le_bytes());
        hasher.update(meta.uid.to_le_bytes());
        hasher.update(meta.gid.to_le_bytes());
        for (name, value) in &meta.xattrs {
            hasher.field(name);
            hasher.field(value);
        }
        hasher.field(description(node));
        if let Known::Digest(digest) = known {
            hasher.update(digest.as_bytes());
        }
    }
    Ok(hasher.finish())
}

/// Takes from the cache what is known of the host's files.
pub(super) fn recall(hashes: &HashCache, files: &mut [Planned]) {
    files.par_iter_mut().with_min_len(4096).for_each_init(
        || hashes.finder(),
        |finder, planned| {
            if let Known::Host(file) = &planned.known
                && let Some(digest) = finder.get(&file.stat())
            {
                planned.known = Known::Digest(digest);
            }
        },
    );
}

/// Whether the content has to be read to know what it hashes to.
pub(super) fn is_unread(planned: &Planned) -> bool {
    matches!(planned.known, Known::Host(_) | Known::Unread)
}

fn read(inputs: &Inputs<'_>, planned: &mut Planned) -> Result<(), Located> {
    let unreadable = |error: io::Error| {
        let path = String::from_utf8_lossy(&planned.source);
        let place = if inputs.from.is_some() { "the image" } else { "the build context" };
        Located::new("unreadable-file", inputs.span, format!("cannot read `{path}` of {place}")).source(error)
    };
    let digest = match &planned.known {
        Known::Nothing | Known::Digest(_) => return Ok(()),
        Known::Host(file) => {
            let (digest, xattrs) = of_host(file).map_err(unreadable)?;
            // What is remembered stands for files without attributes, so that those need not be asked for again.
            if xattrs.is_empty() {
                inputs.hashes.insert(&file.stat(), digest);
            }
            planned.change.meta.xattrs = xattrs;
            digest
        }
        Known::Unread => {
            let Node::File(content) = &planned.change.node else { unreachable!("only files have a content") };
            content.open().and_then(|mut input| hash(&mut input, content.size())).map_err(unreadable)?
        }
    };
    planned.known = Known::Digest(digest);
    Ok(())
}

fn of_host(file: &HostFile) -> io::Result<(Digest, Xattrs)> {
    let (mut input, xattrs) = file.open_with_xattrs()?;
    Ok((hash(&mut input, file.stat().size)?, xattrs))
}

fn hash(input: &mut dyn io::Read, size: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    // One byte more than there are: the end shows with the last of them.
    let mut block = vec![0; usize::try_from(size.min(1 << 20)).expect("at most 1 MiB") + 1];
    loop {
        match input.read(&mut block)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&block[..read]),
        }
    }
}

/// Of several names that one source has for a file, all but the first become links to that.
pub(super) fn link(files: &mut [Planned]) {
    let mut first: HashMap<(usize, u64, u64), usize> = HashMap::new();
    for at in 0..files.len() {
        let Some(inode) = files[at].inode.filter(|_| files[at].archive.is_none()) else { continue };
        match first.get(&inode) {
            None => drop(first.insert(inode, at)),
            Some(&target) => {
                files[at].change.node = Node::HardLink(files[target].change.path.clone());
                files[at].known = Known::Nothing;
            }
        }
    }
}

pub(super) fn description(node: &Node) -> Vec<u8> {
    match node {
        Node::Directory { .. } => b"directory".to_vec(),
        Node::File(_) => b"file".to_vec(),
        Node::Symlink(target) => [b"symlink ", &target[..]].concat(),
        Node::HardLink(target) => [b"hardlink ", &target[..]].concat(),
        Node::CharDevice { major, minor } => format!("character device {major} {minor}").into_bytes(),
        Node::BlockDevice { major, minor } => format!("block device {major} {minor}").into_bytes(),
        Node::Fifo => b"fifo".to_vec(),
        Node::Whiteout => b"whiteout".to_vec(),
    }
}
