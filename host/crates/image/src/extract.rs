//! ADD of a local archive: its members as changes below a destination.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use kiln_types::paths;

use crate::change::{Change, Node};
use crate::compress::{Compression, MOST_TIMES, MOST_UNPACKED, sniff};
use crate::content::Content;
use crate::error::{Error, Result};
use crate::tar::{Found, Item, MemberKind, Reader, Tree};

/// What an archive adds below the clean path `below`; `None` where the file is no tar, compressed or not.
///
/// Contents are read from `file` itself, or from an unnamed file in `spool_dir` where they had to be decompressed. The
/// destination itself is not among the changes, nor are directories that the archive does not list.
///
/// # Errors
/// A tar that is damaged after its first member, or whose names lead out of it.
pub fn archive_changes(mut file: File, below: &[u8], spool_dir: &Path) -> Result<Option<Vec<Change>>> {
    let read = Error::io;
    file.rewind().map_err(read("read the archive"))?;
    let (compression, _) = sniff(&file).map_err(read("read the archive"))?;
    file.rewind().map_err(read("read the archive"))?;
    let source = Arc::new(file);
    let input = compression.decoder(source.as_ref()).map_err(read("read the archive"))?;
    let mut reader = Reader::new(input);
    // As Docker does: what does not begin with a member is an ordinary file.
    let Ok(Some(first)) = reader.next() else { return Ok(None) };
    let mut spool = match compression {
        Compression::None => None,
        _ => {
            let size = source.metadata().map_err(read("read the archive"))?.len();
            Some(Spool::new(spool_dir, size.saturating_mul(MOST_TIMES).max(MOST_UNPACKED))?)
        }
    };
    let mut tree = Tree::new(false);
    let mut next = Some(first);
    while let Some(member) = next {
        // Docker passes over what stands for the destination itself, whatever it says to be.
        if member.kind != MemberKind::Directory && paths::clean(&member.path).is_empty() && !climbs(&member.path) {
            next = reader.next()?;
            continue;
        }
        let item = match member.kind {
            MemberKind::File => Item::File(match &mut spool {
                Some(spool) => (spool.take(&mut reader.content())?, member.size),
                None => (member.offset, member.size),
            }),
            MemberKind::HardLink => Item::HardLink(member.link),
            MemberKind::Symlink => Item::Symlink(member.link),
            MemberKind::CharDevice { major, minor } => Item::CharDevice { major, minor },
            MemberKind::BlockDevice { major, minor } => Item::BlockDevice { major, minor },
            MemberKind::Directory => Item::Directory,
            MemberKind::Fifo => Item::Fifo,
        };
        tree.add(&member.path, member.meta, item)?;
        next = reader.next()?;
    }
    drop(reader);
    let contents = match spool {
        Some(spool) => spool.finish()?,
        None => source,
    };
    let changes = tree.into_sorted().filter(|(path, ..)| !path.is_empty()).map(|(path, meta, found)| {
        let node = match found {
            Found::Directory { opaque } => Node::Directory { opaque },
            Found::File((offset, size)) => Node::File(Content::range(contents.clone(), offset, size)),
            Found::HardLink(target) => Node::HardLink(paths::join(below, &target)),
            Found::Symlink(target) => Node::Symlink(target),
            Found::CharDevice { major, minor } => Node::CharDevice { major, minor },
            Found::BlockDevice { major, minor } => Node::BlockDevice { major, minor },
            Found::Fifo => Node::Fifo,
            Found::Whiteout => Node::Whiteout,
        };
        Change { path: paths::join(below, &path), meta, node }
    });
    Ok(Some(changes.collect()))
}

/// Does a name lead out of where it begins?
fn climbs(name: &[u8]) -> bool {
    paths::components(name).any(|part| part == b"..")
}

/// Decompressed contents, one after the other in a file without a name.
struct Spool {
    out: io::BufWriter<File>,
    size: u64,
    limit: u64,
}

impl Spool {
    fn new(directory: &Path, limit: u64) -> Result<Self> {
        let file = tempfile::tempfile_in(directory).map_err(|source| Error::HostPath {
            action: "create a temporary file in",
            path: directory.to_owned(),
            source,
        })?;
        Ok(Self { out: io::BufWriter::with_capacity(1 << 20, file), size: 0, limit })
    }

    /// Keeps a content and tells where it begins.
    fn take(&mut self, content: &mut impl io::Read) -> Result<u64> {
        let start = self.size;
        let left = self.limit - start;
        let taken = io::copy(&mut content.take(left.saturating_add(1)), &mut self.out);
        self.size += taken.map_err(Error::io("unpack the archive"))?;
        if self.size > self.limit {
            let reason = format!("it holds more than {} bytes, too much for its size", self.limit);
            return Err(Error::io("unpack the archive")(io::Error::other(reason)));
        }
        Ok(start)
    }

    fn finish(mut self) -> Result<Arc<File>> {
        self.out.flush().map_err(Error::io("unpack the archive"))?;
        let file = self.out.into_inner().map_err(|error| Error::io("unpack the archive")(error.into_error()))?;
        Ok(Arc::new(file))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::compress::tests::compressed;
    use crate::meta::Meta;
    use crate::write::write_layer;

    fn tar_file(compression: Compression) -> File {
        let change = |path: &str, node| Change {
            path: path.into(),
            meta: Meta { mode: 0o600, uid: 5, ..Meta::default() },
            node,
        };
        let changes = vec![
            change("", Node::Directory { opaque: false }),
            change("d", Node::Directory { opaque: false }),
            change("d/big", Node::File(Content::bytes(vec![9; 400_000]))),
            change("d/link", Node::HardLink(b"d/big".to_vec())),
            change("e", Node::Symlink(b"/d".to_vec())),
        ];
        let mut plain = tempfile::tempfile().expect("temporary file");
        write_layer(changes, &plain).expect("write");
        plain.rewind().expect("rewind");
        let mut bytes = Vec::new();
        plain.read_to_end(&mut bytes).expect("read");
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(&compressed(compression, &bytes)).expect("write");
        file
    }

    #[test]
    fn members_come_below_the_destination() {
        let spool = tempfile::tempdir().expect("directory");
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let changes =
                archive_changes(tar_file(compression), b"opt/app", spool.path()).expect("read").expect("an archive");
            let paths: Vec<_> = changes.iter().map(|change| String::from_utf8_lossy(&change.path)).collect();
            assert_eq!(paths, ["opt/app/d", "opt/app/d/big", "opt/app/d/link", "opt/app/e"]);
            let Node::File(content) = &changes[1].node else { panic!("a file") };
            let mut bytes = Vec::new();
            content.open().expect("open").read_to_end(&mut bytes).expect("read");
            assert!(bytes == vec![9; 400_000]);
            assert!(matches!(&changes[2].node, Node::HardLink(target) if target == b"opt/app/d/big"));
            assert_eq!((changes[0].meta.mode, changes[0].meta.uid), (0o600, 5));
        }
        assert_eq!(std::fs::read_dir(spool.path()).expect("read").count(), 0);
    }

    #[test]
    fn other_files_are_no_archives() {
        let spool = tempfile::tempdir().expect("directory");
        for bytes in [
            Vec::new(),
            b"#!/bin/sh\n".to_vec(),
            vec![0; 2048],
            vec![b'a'; 2048],
            b"\x1f\x8b\x08".to_vec(),
            compressed(Compression::Gzip, &[b'x'; 3000]),
        ] {
            let mut file = tempfile::tempfile().expect("temporary file");
            file.write_all(&bytes).expect("write");
            assert!(archive_changes(file, b"", spool.path()).expect("read").is_none());
        }
    }

    #[test]
    fn what_is_much_too_large_for_its_size_is_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut spool = Spool::new(directory.path(), 10).expect("spool");
        assert_eq!(spool.take(&mut io::repeat(1).take(6)).expect("fits"), 0);
        assert_eq!(spool.take(&mut io::repeat(1).take(4)).expect("fits"), 6);
        let error = spool.take(&mut io::repeat(1).take(1)).expect_err("too much");
        assert!(format!("{error:?}").contains("more than 10 bytes"), "{error:?}");
    }
}
