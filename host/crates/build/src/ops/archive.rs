//! ADD of an archive: its members below the destination, led through the links that the image has on the way.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use kiln_image::{Change, Content, Node};
use kiln_types::paths;

use super::copy::Inputs;
use super::destination::{destination, made_directory};
use super::tree::Known;
use crate::Located;

/// What may be an archive.
pub(super) struct File<'a> {
    /// As errors name it.
    pub(super) name: &'a [u8],
    pub(super) content: &'a Content,
    pub(super) known: &'a Known,
}

/// What an archive adds below the clean path `below`; `None` if the file is none.
pub(super) fn unpack(
    inputs: &Inputs<'_>,
    file: &File<'_>,
    below: &[u8],
    spool: &Path,
) -> Result<Option<Vec<Change>>, Located> {
    let failed = |error: String| {
        let name = String::from_utf8_lossy(file.name);
        Located::new("bad-archive", inputs.span, format!("cannot unpack `{name}`: {error}"))
            .hint("to take the file as it is, use COPY or ADD --unpack=false")
    };
    let input = file.open(spool).map_err(|error| failed(error.to_string()))?;
    let changes = kiln_image::archive_changes(input, below, spool).map_err(|error| failed(error.to_string()))?;
    let Some(changes) = changes else { return Ok(None) };
    let owner = match &inputs.copy.chown {
        None => None,
        Some(owner) => Some(
            kiln_image::resolve_owner(inputs.image, owner).map_err(|error| failed(error.to_string()).source(error))?,
        ),
    };
    let place = destination(inputs.view(), &[b"/", below].concat()).map_err(|error| failed(error.to_string()))?;
    if place.existing.is_some() && !place.is_directory() {
        return Err(failed(format!("{} is no directory", paths::display(below))));
    }
    let mut led = Led { inputs, directories: HashMap::new(), failed: &failed };
    let mut out = Vec::with_capacity(changes.len() + 1);
    let says_nothing_of_it = inputs.copy.link && owner.is_none();
    if place.existing.is_none() && !below.is_empty() && !says_nothing_of_it {
        let (uid, gid) = owner.unwrap_or((0, 0));
        out.push(made_directory(below.to_vec(), uid, gid));
    }
    for mut change in changes {
        if let Some((uid, gid)) = owner {
            (change.meta.uid, change.meta.gid) = (uid, gid);
        }
        let path = led.real(&change.path)?;
        if change.node.is_directory() {
            led.directories.insert(change.path.clone(), path.clone());
        }
        if let Node::HardLink(target) = &mut change.node {
            *target = led.real(target)?;
        }
        out.push(Change { path, ..change });
    }
    Ok(Some(out))
}

impl File<'_> {
    /// The file itself where it is one of the host, else a copy of it.
    fn open(&self, spool: &Path) -> io::Result<std::fs::File> {
        if let Known::Host(file) = self.known {
            return file.file();
        }
        let path = spool.join("archive");
        let mut copy = std::fs::File::options().read(true).write(true).create_new(true).open(&path)?;
        // Whoever has it open has all of it.
        std::fs::remove_file(&path)?;
        io::copy(&mut self.content.open()?, &mut copy)?;
        Ok(copy)
    }
}

/// Where the directories of an archive are in the image: its own ones at their places, others where the image's links
/// lead.
struct Led<'a, F> {
    inputs: &'a Inputs<'a>,
    directories: HashMap<Vec<u8>, Vec<u8>>,
    failed: &'a F,
}

impl<F: Fn(String) -> Located> Led<'_, F> {
    fn real(&mut self, path: &[u8]) -> Result<Vec<u8>, Located> {
        let Some(parent) = paths::parent(path) else { return Ok(path.to_vec()) };
        let real = match self.directories.get(parent) {
            Some(real) => real.clone(),
            None => {
                let above = self.real(parent)?;
                let place = destination(self.inputs.view(), &[b"/", &above[..]].concat())
                    .map_err(|error| (self.failed)(error.to_string()))?;
                self.directories.insert(parent.to_vec(), place.path.clone());
                place.path
            }
        };
        Ok(paths::join(&real, paths::name(path)))
    }
}

/// Sees to it, in a sorted list, that the first of a file's names has its content: where an archive's names were led
/// elsewhere, a link may have come to stand before what it links to.
pub(super) fn order_links(changes: &mut [Change]) {
    let target_of = |change: &Change| match &change.node {
        Node::HardLink(target) => Some(target.clone()),
        _ => None,
    };
    let targets: HashSet<Vec<u8>> = changes.iter().filter_map(target_of).collect();
    let mut contents: HashMap<Vec<u8>, Change> = HashMap::new();
    for change in changes.iter().filter(|change| targets.contains(&change.path)) {
        contents.insert(change.path.clone(), change.clone());
    }
    let mut first: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for change in changes {
        let target = target_of(change).unwrap_or_else(|| change.path.clone());
        if !targets.contains(&target) {
            continue;
        }
        match (first.get(&target), contents.get(&target)) {
            (Some(first), _) => change.node = Node::HardLink(first.clone()),
            (None, Some(content)) => {
                (change.meta, change.node) = (content.meta.clone(), content.node.clone());
                first.insert(target, change.path.clone());
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_has_the_content() {
        let change = |path: &str, node| Change { path: path.into(), meta: Default::default(), node };
        let link = |target: &str| Node::HardLink(target.into());
        let file = || Node::File(Content::bytes(b"x".to_vec()));
        let mut changes = vec![
            change("a", link("z")),
            change("b", link("z")),
            change("m", file()),
            change("n", link("m")),
            change("z", file()),
        ];
        order_links(&mut changes);
        let kinds: Vec<String> = changes
            .iter()
            .map(|change| match &change.node {
                Node::HardLink(target) => String::from_utf8_lossy(target).into_owned(),
                _ => "file".to_owned(),
            })
            .collect();
        assert_eq!(kinds, ["file", "a", "file", "m", "a"]);
    }
}
