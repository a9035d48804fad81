//! A file as both forms of the output tell it.

use kiln_image::{Found, Node};

pub(super) fn kind(found: &Found) -> &'static str {
    match found.node {
        Node::Directory { .. } => "directory",
        Node::File(_) | Node::HardLink(_) => "file",
        Node::Symlink(_) => "symlink",
        Node::CharDevice { .. } => "character device",
        Node::BlockDevice { .. } => "block device",
        Node::Fifo => "fifo",
        Node::Whiteout => "whiteout",
    }
}

/// 0 for what has no content.
pub(super) fn size(found: &Found) -> u64 {
    if let Node::File(content) = &found.node { content.size() } else { 0 }
}

pub(super) fn target(found: &Found) -> Option<String> {
    match &found.node {
        Node::Symlink(target) => Some(String::from_utf8_lossy(target).into_owned()),
        _ => None,
    }
}

pub(super) fn device(found: &Found) -> Option<String> {
    match found.node {
        Node::CharDevice { major, minor } | Node::BlockDevice { major, minor } => Some(format!("{major}:{minor}")),
        _ => None,
    }
}

pub(super) fn mode(found: &Found) -> String {
    format!("{:04o}", found.meta.mode)
}

pub(super) fn owner(found: &Found) -> String {
    format!("{}:{}", found.meta.uid, found.meta.gid)
}

/// Names of the attributes that are not the same.
pub(super) fn xattrs(before: &Found, after: &Found) -> Vec<String> {
    let (a, b) = (&before.meta.xattrs, &after.meta.xattrs);
    let mut names: Vec<_> = a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}
