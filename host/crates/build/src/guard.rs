//! Secrets in layers: a step that was given one must not leave it in the image.
//!
//! Only the bytes as they are are found: in contents, names, link targets and extended attributes. What a program has
//! encoded, compressed or encrypted is not.

use std::io::{self, Read};

use kiln_exec::Cancel;
use kiln_image::{Change, Node};
use memchr::memmem::Finder;
use rayon::prelude::*;

use crate::Secret;

/// Shorter ones are in too many files by chance.
const SHORTEST: usize = 8;
const BLOCK: usize = 256 << 10;

/// A secret that a layer would hold.
#[derive(Debug)]
pub(crate) struct Leak {
    pub(crate) id: String,
    pub(crate) path: Vec<u8>,
}

/// The first of `changes` that holds one of the secrets.
pub(crate) fn find(changes: &[Change], secrets: &[(&str, &Secret)], cancel: &Cancel) -> io::Result<Option<Leak>> {
    let wanted: Vec<(&str, Finder<'_>)> = secrets
        .iter()
        .map(|(id, secret)| (*id, secret.line_trimmed()))
        .filter(|(_, text)| text.len() >= SHORTEST)
        .map(|(id, text)| (id, Finder::new(text)))
        .collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let leaks = changes.par_iter().map(|change| {
        let id = in_change(change, &wanted, cancel)?;
        Ok(id.map(|id| Leak { id: id.to_owned(), path: change.path.clone() }))
    });
    leaks.find_map_first(Result::transpose).transpose()
}

fn in_change<'s>(change: &Change, wanted: &[(&'s str, Finder<'_>)], cancel: &Cancel) -> io::Result<Option<&'s str>> {
    let in_bytes = |bytes: &[u8]| wanted.iter().find(|(_, finder)| finder.find(bytes).is_some()).map(|(id, _)| *id);
    let attributes = change.meta.xattrs.iter().flat_map(|(name, value)| [&name[..], &value[..]]);
    let named = in_bytes(&change.path).or_else(|| attributes.into_iter().find_map(in_bytes));
    if named.is_some() {
        return Ok(named);
    }
    match &change.node {
        Node::File(content) => {
            let overlap = wanted.iter().map(|(_, finder)| finder.needle().len() - 1).max().unwrap_or(0);
            let mut input = content.open()?;
            let mut block = Vec::new();
            loop {
                if cancel.is_cancelled() {
                    return Err(io::Error::other("cancelled"));
                }
                let kept = block.len().min(overlap);
                block.drain(..block.len() - kept);
                if input.by_ref().take(BLOCK as u64).read_to_end(&mut block)? == 0 {
                    return Ok(None);
                }
                if let Some(id) = in_bytes(&block) {
                    return Ok(Some(id));
                }
            }
        }
        Node::Symlink(target) => Ok(in_bytes(target)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use kiln_image::{Content, Meta};

    use super::*;

    fn change(path: &str, node: Node) -> Change {
        Change { path: path.into(), meta: Meta::default(), node }
    }

    #[test]
    fn secrets_are_found_wherever_they_lie() {
        let secret = Secret::new(b"correct horse\n".to_vec());
        let file = |bytes: &[u8]| Node::File(Content::bytes(bytes.to_vec()));
        let across = [&vec![b'x'; BLOCK - 5][..], b"correct horse", b"y"].concat();
        for (leaking, node) in [
            (false, file(b"")),
            (false, file(b"correct\nhorse")),
            (true, file(b"a correct horse")),
            (true, file(&across)),
            (true, Node::Symlink(b"/a/correct horse".to_vec())),
        ] {
            let changes = [change("a", file(b"other")), change("b", node)];
            let leak = find(&changes, &[("id", &secret)], &Cancel::new()).expect("readable");
            assert_eq!(leak.as_ref().map(|leak| (&leak.id[..], &leak.path[..])), leaking.then_some(("id", &b"b"[..])));
        }
        let named = change("dir/correct horse", file(b""));
        let attributed = |name: &[u8], value: &[u8]| {
            let mut change = change("a", file(b""));
            change.meta.xattrs.insert(name.to_vec(), value.to_vec());
            change
        };
        for leaking in [named, attributed(b"user.correct horse", b""), attributed(b"user.a", b"a correct horse")] {
            assert!(find(&[leaking], &[("id", &secret)], &Cancel::new()).expect("readable").is_some());
        }
    }

    #[test]
    fn short_ones_are_not_looked_for() {
        let changes = [change("a", Node::File(Content::bytes(b"hunter2".to_vec())))];
        let secret = Secret::new(b"hunter2".to_vec());
        assert!(find(&changes, &[("id", &secret)], &Cancel::new()).expect("readable").is_none());
    }
}
