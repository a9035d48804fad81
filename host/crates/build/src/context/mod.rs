//! The build context: a directory of the host, read in place.
//!
//! One parallel walk takes the names and stats of everything the ignore file leaves; contents are read when a step
//! needs them, and hashed once: a file whose stat is known from an earlier build is not read again.

mod scan;
mod stat;

use std::io;
use std::path::Path;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use kiln_dockerfile::IgnoreFile;
use kiln_exec::Cancel;
use kiln_image::{Content, Source};
use kiln_store::Stat;
use kiln_types::paths;

use crate::Error;

/// A directory that COPY and ADD take files from.
pub struct Context {
    root: Arc<Dir>,
    /// Sorted by path, component by component; the root itself is not among them.
    entries: Vec<Entry>,
    ignored: Option<IgnoreFile>,
    cancel: Cancel,
}

/// One file, directory or link of the context.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) mode: u32,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
    pub(crate) kind: EntryKind,
}

#[derive(Debug, Clone)]
pub(crate) enum EntryKind {
    Directory,
    File(Stat),
    Symlink(Vec<u8>),
    /// A socket, pipe or device: known, so that asking for it can be answered, and never copied.
    Special,
}

impl Context {
    /// Walks `directory`, leaving out what `ignore` (the text of an ignore file) excludes.
    /// Reading its files ends when `cancel` says so.
    pub fn open(directory: &Path, ignore: Option<&[u8]>, cancel: &Cancel) -> Result<Self, Error> {
        let unreadable = |source| Error::Context { path: directory.display().to_string(), source };
        let root = Dir::open_ambient_dir(directory, ambient_authority()).map_err(unreadable)?;
        let ignored = ignore.map(IgnoreFile::parse).transpose().map_err(|error| Error::Ignore(error.to_string()))?;
        let entries = scan::scan(&root, ignored.as_ref())
            .map_err(|(path, source)| Error::Context { path: directory.join(path).display().to_string(), source })?;
        Ok(Self { root: Arc::new(root), entries, ignored, cancel: cancel.clone() })
    }

    /// The context's size as a tar stream: a block for each name, contents in whole blocks, two blocks at the end.
    pub fn tar_size(&self) -> u64 {
        const BLOCK: u64 = 512;
        let contents = self.entries.iter().map(|entry| match entry.kind {
            EntryKind::File(stat) => BLOCK + stat.size.next_multiple_of(BLOCK),
            EntryKind::Directory | EntryKind::Symlink(_) => BLOCK,
            EntryKind::Special => 0,
        });
        contents.sum::<u64>() + 2 * BLOCK
    }

    /// Whether the ignore file is why `path` is not there.
    pub(crate) fn ignores(&self, path: &[u8]) -> bool {
        self.ignored.as_ref().is_some_and(|ignored| ignored.excludes(path))
    }

    /// The entry at a clean path, links not followed.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Entry> {
        let found = self.entries.binary_search_by(|entry| compare(&entry.path, path)).ok()?;
        Some(&self.entries[found])
    }

    /// What lies directly in the directory `path`, sorted by name.
    pub(crate) fn children<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = &'a Entry> {
        self.below(path).iter().filter(move |entry| paths::parent(&entry.path) == Some(path))
    }

    /// Everything below the directory `path`, parents first.
    pub(crate) fn below(&self, path: &[u8]) -> &[Entry] {
        if path.is_empty() {
            return &self.entries;
        }
        let start = self.entries.partition_point(|entry| compare(&entry.path, path).is_le());
        let length = self.entries[start..].partition_point(|entry| is_below(&entry.path, path));
        &self.entries[start..start + length]
    }

    pub(crate) fn content(&self, path: &[u8], stat: Stat) -> Content {
        let file =
            ContextFile { root: Arc::clone(&self.root), path: path.to_owned(), stat, cancel: self.cancel.clone() };
        Content::new(stat.size, file)
    }

    /// Opens a file of the context for reading; refuses one that is not what the walk saw.
    pub(crate) fn open_file(&self, path: &[u8], stat: Stat) -> io::Result<std::fs::File> {
        stat::open_same(&self.root, path, stat)
    }
}

/// Order of a walk: component by component, so that a directory is followed by what it holds.
fn compare(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    paths::components(a).cmp(paths::components(b))
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
}

struct ContextFile {
    root: Arc<Dir>,
    path: Vec<u8>,
    stat: Stat,
    cancel: Cancel,
}

impl Source for ContextFile {
    fn open(&self) -> io::Result<Box<dyn io::Read + Send>> {
        let file = stat::open_same(&self.root, &self.path, self.stat)?;
        Ok(Box::new(Cancellable { file, cancel: self.cancel.clone() }))
    }
}

struct Cancellable {
    file: std::fs::File,
    cancel: Cancel,
}

impl io::Read for Cancellable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.file.read(buffer)
    }
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
        Context::open(directory.path(), ignore.map(str::as_bytes), &Cancel::new()).expect("is a directory")
    }

    fn names<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<String> {
        entries.into_iter().map(|entry| String::from_utf8_lossy(&entry.path).into_owned()).collect()
    }

    #[test]
    fn entries_come_in_the_order_of_a_walk() {
        let context = context(&["a/x", "a-b", "a/y/z", "b"], None);
        assert_eq!(names(&context.entries), ["a", "a/x", "a/y", "a/y/z", "a-b", "b"]);
        assert_eq!(names(context.below(b"a")), ["a/x", "a/y", "a/y/z"]);
        assert_eq!(names(context.children(b"a")), ["a/x", "a/y"]);
        assert!(context.get(b"a/y/z").is_some() && context.get(b"a/z").is_none());
    }

    #[test]
    fn what_is_ignored_is_not_there() {
        let context = context(&["keep/a", "drop/a", "drop/b"], Some("drop\n!drop/b\n"));
        assert_eq!(names(&context.entries), ["drop", "drop/b", "keep", "keep/a"]);
        assert!(context.ignores(b"drop/a") && !context.ignores(b"keep/a"));
    }

    #[test]
    fn the_size_is_that_of_a_tar_stream() {
        assert_eq!(context(&["Dockerfile"], None).tar_size(), 2048);
        assert_eq!(context(&["Dockerfile", "a"], None).tar_size(), 3072);
    }
}
