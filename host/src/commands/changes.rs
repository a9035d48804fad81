//! What a container has changed, for commands that look at it while it may go on.

use std::io::{self, Read};
use std::sync::Arc;

use kiln_container::Container;
use kiln_image::{Change, Content, Layer, Node, Source, View};
use kiln_store::{Image, Store};

use crate::report::failure::Failure;

/// How often a change set is taken anew when something in it vanishes before it was read.
const TRIES: usize = 5;

/// Does something with the changes of a container, which may write meanwhile.
pub(super) fn with<T>(
    container: &Container,
    mut work: impl FnMut(Vec<Change>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    for _ in 1..TRIES {
        let done = container.changes().map_err(Into::into).and_then(|changes| work(steady(changes)));
        match done {
            Err(error) if is_gone(&error) => {}
            done => return done,
        }
    }
    work(steady(container.changes()?))
}

/// A container's root filesystem: the layers of its image, and what it has changed, which is put into a file of
/// `scratch` for that.
pub(super) fn view(store: &Store, container: &Container, image: &Image) -> anyhow::Result<View> {
    let diff_ids = &image.config.rootfs.diff_ids;
    let mut layers = diff_ids.iter().map(|diff_id| store.layer(diff_id)).collect::<Result<Vec<_>, _>>()?;
    let scratch = store.scratch()?;
    let own = with(container, |changes| {
        let failed = |error: io::Error| Failure::new("cannot make a temporary file in the store").because(error);
        // Without a name, so it goes with its last user.
        let tar = tempfile::tempfile_in(scratch.path()).map_err(failed)?;
        let written = kiln_image::write_layer(changes, &tar)?;
        Ok(Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(tar), index: written.index })
    })?;
    layers.push(Arc::new(own));
    Ok(View::new(layers))
}

/// With as many bytes of each file as it had when it was found: what is written behind them meanwhile is left out, and
/// what is cut off is zeros, as in the archives of other programs.
fn steady(changes: Vec<Change>) -> Vec<Change> {
    let steady = |change: Change| match change.node {
        Node::File(content) => {
            let node = Node::File(Content::new(content.size(), Steady(content)));
            Change { node, ..change }
        }
        _ => change,
    };
    changes.into_iter().map(steady).collect()
}

struct Steady(Content);

impl Source for Steady {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let size = self.0.size();
        Ok(Box::new(self.0.open()?.take(size).chain(io::repeat(0)).take(size)))
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    error.chain().any(|cause| match cause.downcast_ref::<kiln_image::Error>() {
        Some(kiln_image::Error::At { source, .. }) => gone(source),
        _ => cause.downcast_ref().is_some_and(gone),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_that_were_found() {
        struct Grown(&'static [u8]);
        impl Source for Grown {
            fn open(&self) -> io::Result<Box<dyn Read + Send>> {
                Ok(Box::new(self.0))
            }
        }
        for (found, now, expected) in [(3, &b"abcdef"[..], &b"abc"[..]), (4, b"ab", b"ab\0\0"), (0, b"a", b"")] {
            let change = Change {
                path: b"f".to_vec(),
                meta: kiln_image::Meta::default(),
                node: Node::File(Content::new(found, Grown(now))),
            };
            let [Change { node: Node::File(content), .. }] = &steady(vec![change])[..] else { panic!("one file") };
            let mut bytes = Vec::new();
            content.open().and_then(|mut input| input.read_to_end(&mut bytes)).expect("read");
            assert_eq!(bytes, expected);
        }
    }
}
