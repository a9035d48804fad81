//! What a tar has for one change, without the content of files.

use kiln_types::paths;

use crate::change::{Change, Node};
use crate::error::Result;
use crate::meta::Meta;
use crate::tar::{Header, WHITEOUT, WHITEOUT_OPAQUE, append_header};

/// `linked` is the metadata of the file that a hard link leads to: some extractors apply that of links, too.
pub(crate) fn append_change(out: &mut Vec<u8>, change: &Change, linked: &Meta) -> Result<()> {
    let plain = Header { kind: b'0', path: &change.path, link: b"", meta: &change.meta, size: 0, device: (0, 0) };
    let empty = Meta::default();
    match &change.node {
        Node::File(content) => append_header(out, &Header { size: content.size(), ..plain }),
        Node::Directory { opaque } => {
            let name = if change.path.is_empty() { b"./".to_vec() } else { [&change.path[..], b"/"].concat() };
            append_header(out, &Header { kind: b'5', path: &name, ..plain })?;
            if *opaque {
                let marker = paths::join(&change.path, WHITEOUT_OPAQUE);
                append_header(out, &Header { path: &marker, meta: &empty, ..plain })?;
            }
            Ok(())
        }
        Node::Symlink(target) => {
            let meta = Meta { mode: 0o777, ..change.meta.clone() };
            append_header(out, &Header { kind: b'2', link: target, meta: &meta, ..plain })
        }
        Node::HardLink(target) => append_header(out, &Header { kind: b'1', link: target, meta: linked, ..plain }),
        Node::CharDevice { major, minor } => {
            append_header(out, &Header { kind: b'3', device: (*major, *minor), ..plain })
        }
        Node::BlockDevice { major, minor } => {
            append_header(out, &Header { kind: b'4', device: (*major, *minor), ..plain })
        }
        Node::Fifo => append_header(out, &Header { kind: b'6', ..plain }),
        Node::Whiteout => {
            let (parent, name) = (paths::parent(&change.path).unwrap_or_default(), paths::name(&change.path));
            let marker = paths::join(parent, &[WHITEOUT, name].concat());
            append_header(out, &Header { path: &marker, meta: &empty, ..plain })
        }
    }
}
