//! Build contexts: what COPY and ADD take files from. A directory of the host is read in place, an archive through an
//! index of it; nothing is sent or unpacked.
//!
//! One parallel walk takes the names and stats of everything the ignore file leaves; contents are read when a step
//! needs them, and hashed once: a file whose stat is known from an earlier build is not read again.

mod archive;
mod directory;
mod host_file;
mod listing;
mod mode;
mod scan;
mod stat;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kiln_dockerfile::IgnoreFile;
use kiln_exec::Cancel;
use kiln_image::{Content, Xattrs};
use kiln_store::Stat;
use kiln_types::paths;

use crate::{Environment, Error};
pub use archive::Archive;
pub(crate) use host_file::HostFile;
pub use listing::{LeftOut, Listed, ListedKind};
pub use mode::ContextMode;

/// Where the files of a context are.
#[derive(Debug, Clone)]
pub enum ContextSource {
    Directory(PathBuf),
    Archive(Arc<Archive>),
}

/// What a name given with `--build-context` stands for.
#[derive(Debug, Clone)]
pub enum NamedContext {
    Files {
        source: ContextSource,
        /// The text of its ignore file, if it has one.
        ignore: Option<Vec<u8>>,
    },
    /// An image of the store, by name or id.
    Image(String),
    /// Another stage of the Dockerfile.
    Stage(String),
}

/// The files that COPY and ADD can take.
pub struct Context {
    files: Arc<Files>,
    /// The path of the directory from the host's root, for who wants to find again what was made of it.
    place: PathBuf,
    ignored: Option<IgnoreFile>,
}

/// What all who may still read files of a context share.
struct Files {
    /// The directory they are read from; archives have their contents with them.
    root: Option<Dir>,
    /// Sorted by path, component by component; the root itself is not among them.
    entries: Vec<Entry>,
    cancel: Cancel,
}

/// One file, directory or link of the context.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: Arc<[u8]>,
    pub(crate) mode: u32,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
    pub(crate) kind: EntryKind,
}

#[derive(Debug, Clone)]
pub(crate) enum EntryKind {
    Directory,
    File {
        stat: Stat,
        /// It has other names too.
        linked: bool,
    },
    /// A file of an archive.
    Member(Member),
    Symlink(Vec<u8>),
    Fifo,
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    /// Nothing can be copied of it but an empty file.
    Socket,
}

#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) content: Content,
    pub(crate) xattrs: Xattrs,
    /// Two names of one file have the same number.
    pub(crate) file: u64,
}

impl Context {
    /// Takes in what `ignore` (the text of an ignore file) leaves, with the modes that `mode` means.
    pub fn open(
        source: &ContextSource,
        ignore: Option<&[u8]>,
        mode: ContextMode,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let mut context = Self::as_it_is(source, ignore, &environment.cancel)?;
        if mode == ContextMode::Git {
            let tracked = match source {
                ContextSource::Directory(directory) => environment.remote.tracked(directory)?,
                ContextSource::Archive(_) => BTreeMap::new(),
            };
            let files = Arc::get_mut(&mut context.files).expect("nobody reads from it yet");
            mode::normalise(&mut files.entries, &tracked, files.root.as_ref());
        }
        Ok(context)
    }

    /// Reading files ends when `cancel` says so.
    fn as_it_is(source: &ContextSource, ignore: Option<&[u8]>, cancel: &Cancel) -> Result<Self, Error> {
        let ignored = ignore.map(IgnoreFile::parse).transpose().map_err(|error| Error::Ignore(error.to_string()))?;
        let (root, entries) = match source {
            ContextSource::Directory(directory) => {
                let (root, entries) = Self::scan(directory, ignored.as_ref())?;
                (Some(root), entries)
            }
            ContextSource::Archive(archive) => (None, archive.left_by(ignored.as_ref())),
        };
        let place = match source {
            ContextSource::Directory(directory) => std::path::absolute(directory).unwrap_or_default(),
            ContextSource::Archive(_) => PathBuf::new(),
        };
        let files = Arc::new(Files { root, entries, cancel: cancel.clone() });
        Ok(Self { files, place, ignored })
    }

    fn scan(directory: &Path, ignored: Option<&IgnoreFile>) -> Result<(Dir, Vec<Entry>), Error> {
        let unreadable = |source| Error::Context { path: directory.display().to_string(), source };
        let root = Dir::open_ambient_dir(directory, ambient_authority()).map_err(unreadable)?;
        let entries = scan::scan(&root, ignored)
            .map_err(|(path, source)| Error::Context { path: directory.join(path).display().to_string(), source })?;
        Ok((root, entries))
    }

    /// The context's size as a tar stream: a block for each name, contents in whole blocks, two blocks at the end.
    pub fn tar_size(&self) -> u64 {
        const BLOCK: u64 = 512;
        let contents = self.entries().iter().map(|entry| BLOCK + entry.size().next_multiple_of(BLOCK));
        contents.sum::<u64>() + 2 * BLOCK
    }

    /// Whether the ignore file is why `path` is not there.
    pub(crate) fn ignores(&self, path: &[u8]) -> bool {
        self.ignored.as_ref().is_some_and(|ignored| ignored.excludes(path))
    }

    pub(crate) fn place(&self) -> &[u8] {
        self.place.as_os_str().as_encoded_bytes()
    }

    fn entries(&self) -> &[Entry] {
        &self.files.entries
    }

    /// The entry at a clean path, links not followed.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Entry> {
        find(self.entries(), path).map(|number| self.entry(number))
    }

    /// The number of that entry.
    pub(crate) fn find(&self, path: &[u8]) -> Option<usize> {
        find(self.entries(), path)
    }

    pub(crate) fn entry(&self, number: usize) -> &Entry {
        &self.files.entries[number]
    }

    /// What lies directly in the directory `path`, sorted by name.
    pub(crate) fn children<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        self.below(path).filter(move |&number| paths::parent(&self.entry(number).path) == Some(path))
    }

    /// Everything below the directory `path`, parents first.
    pub(crate) fn below(&self, path: &[u8]) -> Range<usize> {
        below(self.entries(), path)
    }

    /// The file with this number, which the walk saw.
    pub(crate) fn host_file(&self, number: usize) -> Option<HostFile> {
        HostFile::new(&self.files, number)
    }
}

impl Entry {
    fn size(&self) -> u64 {
        match &self.kind {
            EntryKind::File { stat, .. } => stat.size,
            EntryKind::Member(member) => member.content.size(),
            _ => 0,
        }
    }
}

fn find(entries: &[Entry], path: &[u8]) -> Option<usize> {
    entries.binary_search_by(|entry| kiln_image::compare_paths(&entry.path, path)).ok()
}

fn below(entries: &[Entry], path: &[u8]) -> Range<usize> {
    if path.is_empty() {
        return 0..entries.len();
    }
    let start = entries.partition_point(|entry| kiln_image::compare_paths(&entry.path, path).is_le());
    let length = entries[start..].partition_point(|entry| is_below(&entry.path, path));
    start..start + length
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(files: &[&str], ignore: Option<&str>) -> Context {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for file in files {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("can be made");
            std::fs::write(path, file).expect("can be written");
        }
        let source = ContextSource::Directory(directory.path().to_owned());
        Context::as_it_is(&source, ignore.map(str::as_bytes), &Cancel::new()).expect("is a directory")
    }

    fn names<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<String> {
        entries.into_iter().map(|entry| String::from_utf8_lossy(&entry.path).into_owned()).collect()
    }

    #[test]
    fn entries_come_in_the_order_of_a_walk() {
        let context = context(&["a/x", "a-b", "a/y/z", "b"], None);
        assert_eq!(names(context.entries()), ["a", "a/x", "a/y", "a/y/z", "a-b", "b"]);
        assert_eq!(names(context.below(b"a").map(|number| context.entry(number))), ["a/x", "a/y", "a/y/z"]);
        assert_eq!(names(context.children(b"a").map(|number| context.entry(number))), ["a/x", "a/y"]);
        assert!(context.get(b"a/y/z").is_some() && context.get(b"a/z").is_none());
    }

    #[test]
    fn what_is_ignored_is_not_there() {
        let context = context(&["keep/a", "drop/a", "drop/b"], Some("drop\n!drop/b\n"));
        assert_eq!(names(context.entries()), ["drop", "drop/b", "keep", "keep/a"]);
        assert!(context.ignores(b"drop/a") && !context.ignores(b"keep/a"));
    }

    #[test]
    fn what_is_left_out_is_told_with_the_line_that_does_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for file in ["drop/a", "drop/b", "whole/c/d", "e.md", "f"] {
            let path = directory.path().join(file);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("can be made");
            std::fs::write(path, file).expect("can be written");
        }
        let source = ContextSource::Directory(directory.path().to_owned());
        let ignore = b"# all\n/drop\n!drop/b\nwhole/\n\n*.md\n";
        let context = Context::as_it_is(&source, Some(ignore), &Cancel::new()).expect("is a directory");
        let left_out = context.left_out(&source).expect("is still there");
        let told: Vec<_> = left_out.iter().map(|one| (&*one.path, one.line, &*one.pattern)).collect();
        assert_eq!(told, [("drop/a", 2, "drop"), ("e.md", 6, "*.md"), ("whole", 4, "whole")]);
    }

    #[test]
    fn the_size_is_that_of_a_tar_stream() {
        assert_eq!(context(&["Dockerfile"], None).tar_size(), 2048);
        assert_eq!(context(&["Dockerfile", "a"], None).tar_size(), 3072);
    }
}
