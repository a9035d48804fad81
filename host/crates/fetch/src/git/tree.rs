//! Writes the tree of a commit as a tar, read object by object: no checkout, no filters, no links followed.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::command::Invocation;
use super::reference::shown;
use super::{Error, Git, Result, Settings, submodules};

/// A link's target, or `.gitmodules`.
const LONGEST_SMALL: u64 = 1 << 20;

/// What a file, a link or a directory takes besides its content.
const HEADER: u64 = 512;

/// When the commit was made, in seconds since 1970.
pub(super) fn commit_time(settings: &Settings, bare: &Path, remote: &str, commit: &str) -> Result<i64> {
    let shown = Invocation::new(settings, "read the commit of", remote, false)
        .repository(bare)
        .args(["show", "-s", "--no-show-signature", "--format=%ct", &format!("{commit}^{{commit}}")])
        .text()?;
    Ok(shown.trim().parse().unwrap_or(0))
}

/// One line of `ls-tree`.
pub(super) struct Entry {
    mode: u32,
    pub(super) object: String,
    /// Relative to the directory that was listed.
    pub(super) path: Vec<u8>,
}

impl Entry {
    pub(super) fn is_submodule(&self) -> bool {
        self.mode == 0o160_000
    }

    fn has_content(&self) -> bool {
        matches!(self.mode & 0o170_000, 0o100_000 | 0o120_000)
    }
}

/// The tar while it is written.
pub(super) struct Writer<'a> {
    git: &'a Git,
    settings: &'a Settings,
    tar: tar::Builder<BufWriter<NamedTempFile>>,
    time: u64,
    size: u64,
    /// How many were added so far, at whatever depth.
    pub(super) submodules: usize,
    remote: String,
}

impl<'a> Writer<'a> {
    pub(super) fn create(git: &'a Git, settings: &'a Settings, time: i64, remote: &str) -> Result<Self> {
        // Another process may have our number, in a container of its own.
        let file = tempfile::Builder::new()
            .prefix("tmp-")
            .tempfile_in(&settings.directory)
            .map_err(|source| Error::Keep { path: settings.directory.clone(), source })?;
        let tar = tar::Builder::new(BufWriter::with_capacity(1 << 20, file));
        let time = u64::try_from(time).unwrap_or(0);
        Ok(Self { git, settings, tar, time, size: 0, submodules: 0, remote: remote.to_owned() })
    }

    /// Adds the directory `subdir` of a commit.
    pub(super) fn tree(&mut self, bare: &Path, commit: &str, subdir: &str, with_submodules: bool) -> Result<()> {
        let remote = self.remote.clone();
        let place = Place { bare, commit, subdir, remote: &remote, below: Vec::new(), depth: 0 };
        self.level(&place, with_submodules)
    }

    pub(super) fn level(&mut self, place: &Place<'_>, with_submodules: bool) -> Result<()> {
        let entries = list(self.settings, place)?;
        self.write(place, &entries)?;
        if with_submodules && entries.iter().any(Entry::is_submodule) {
            submodules::add(self.git, self.settings, self, place, &entries)?;
        }
        Ok(())
    }

    fn write(&mut self, place: &Place<'_>, entries: &[Entry]) -> Result<()> {
        let mut batch = Invocation::new(self.settings, "read the files of", place.remote, false)
            .repository(place.bare)
            .args(["cat-file", "--batch", "--buffer"])
            .with_input();
        let mut running = batch.start()?;
        let mut input = running.child.stdin.take().expect("it was asked for");
        let mut output = BufReader::with_capacity(1 << 20, running.child.stdout.take().expect("it was asked for"));
        let objects: Vec<&str> =
            entries.iter().filter(|entry| entry.has_content()).map(|entry| entry.object.as_str()).collect();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for object in objects {
                    // Whoever reads will find that git has gone.
                    if writeln!(input, "{object}").is_err() {
                        return;
                    }
                }
            });
            let written = entries.iter().try_for_each(|entry| self.entry(place, entry, &mut output));
            // Otherwise git would wait for a reader for ever.
            drop(output);
            written
        })?;
        batch.finish(running)
    }

    fn entry(&mut self, place: &Place<'_>, entry: &Entry, output: &mut impl BufRead) -> Result<()> {
        if (self.settings.cancelled)() {
            return Err(Error::Cancelled);
        }
        let path = joined(&place.below, &entry.path);
        match entry.mode & 0o170_000 {
            // A submodule is an empty directory until somebody fills it.
            0o040_000 | 0o160_000 => self.directory(&path),
            0o100_000 => {
                let size = blob_size(place, entry, output)?;
                let mode = if entry.mode & 0o100 == 0 { 0o644 } else { 0o755 };
                self.file(&path, mode, size, &mut output.take(size))?;
                end_of_blob(place, output)
            }
            0o120_000 => {
                let size = blob_size(place, entry, output)?;
                if size > LONGEST_SMALL {
                    return Err(bad(place, format!("the link {} is too long", String::from_utf8_lossy(&path))));
                }
                let mut target = Vec::new();
                output.take(size).read_to_end(&mut target).map_err(Error::Run)?;
                if target.contains(&0) || target.is_empty() {
                    return Err(bad(place, format!("the link {} leads nowhere", String::from_utf8_lossy(&path))));
                }
                self.link(&path, &target)?;
                end_of_blob(place, output)
            }
            mode => Err(bad(place, format!("{} has the unknown mode {mode:o}", String::from_utf8_lossy(&path)))),
        }
    }

    pub(super) fn directory(&mut self, path: &[u8]) -> Result<()> {
        self.grow(path, 0)?;
        let mut header = self.header(tar::EntryType::Directory, 0o755, 0);
        let result = self.tar.append_data(&mut header, os_path(&[path, b"/"].concat()), io::empty());
        self.kept(result)
    }

    pub(super) fn file(&mut self, path: &[u8], mode: u32, size: u64, content: &mut dyn Read) -> Result<()> {
        self.grow(path, size)?;
        let mut header = self.header(tar::EntryType::Regular, mode, size);
        let mut content = Counted { input: content, read: 0 };
        let result = self.tar.append_data(&mut header, os_path(path), &mut content);
        if result.is_ok() && content.read != size {
            return Err(Error::Run(io::ErrorKind::UnexpectedEof.into()));
        }
        self.kept(result)
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        self.grow(path, target.len() as u64)?;
        let mut header = self.header(tar::EntryType::Symlink, 0o777, 0);
        let result = self.tar.append_link(&mut header, os_path(path), os_path(target));
        self.kept(result)
    }

    /// Names count too: there may be many of nothing.
    fn grow(&mut self, path: &[u8], size: u64) -> Result<()> {
        self.size = self.size.saturating_add(size).saturating_add(HEADER + path.len() as u64);
        if self.size > self.settings.limit {
            return Err(Error::TooLarge { remote: shown(&self.remote), limit: self.settings.limit });
        }
        Ok(())
    }

    fn header(&self, kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.time);
        header
    }

    fn kept(&self, result: io::Result<()>) -> Result<()> {
        result.map_err(|source| Error::Keep { path: self.settings.directory.clone(), source })
    }

    /// Gives the tar its name.
    pub(super) fn finish(self, path: &Path) -> Result<()> {
        let keep = |source| Error::Keep { path: path.to_owned(), source };
        let out = self.tar.into_inner().map_err(keep)?;
        let file = out.into_inner().map_err(|error| keep(error.into_error()))?;
        file.persist(path).map_err(|error| keep(error.error))?;
        Ok(())
    }
}

/// Where in which repository the writer is.
pub(super) struct Place<'a> {
    pub(super) bare: &'a Path,
    pub(super) commit: &'a str,
    pub(super) subdir: &'a str,
    pub(super) remote: &'a str,
    /// Where its files go in the tar.
    pub(super) below: Vec<u8>,
    /// How many submodules lie above.
    pub(super) depth: usize,
}

fn list(settings: &Settings, place: &Place<'_>) -> Result<Vec<Entry>> {
    let tree = match place.subdir {
        "" => format!("{}^{{tree}}", place.commit),
        subdir => format!("{}:{subdir}", place.commit),
    };
    let no_directory = || Error::NoDirectory {
        remote: shown(place.remote),
        directory: place.subdir.to_owned(),
        commit: place.commit.to_owned(),
    };
    let listing = Invocation::new(settings, "list the files of", place.remote, false)
        .repository(place.bare)
        .args(["ls-tree", "-r", "-t", "-z", "--full-tree", &tree])
        .output()
        .map_err(|error| if matches!(error, Error::Failed { .. }) { no_directory() } else { error })?;
    listing.split(|&byte| byte == 0).filter(|line| !line.is_empty()).map(|line| parse(place, line)).collect()
}

/// `<mode> <type> <object>\t<path>`
fn parse(place: &Place<'_>, line: &[u8]) -> Result<Entry> {
    let unreadable = || bad(place, format!("`{}` is no entry of a tree", String::from_utf8_lossy(line)));
    let tab = line.iter().position(|&byte| byte == b'\t').ok_or_else(unreadable)?;
    let head = std::str::from_utf8(&line[..tab]).map_err(|_| unreadable())?;
    let [mode, _, object] = head.split(' ').collect::<Vec<_>>()[..] else { return Err(unreadable()) };
    let path = line[tab + 1..].to_vec();
    let hostile = |part: &[u8]| matches!(part, b"" | b"." | b"..") || part.eq_ignore_ascii_case(b".git");
    if path.split(|&byte| byte == b'/').any(hostile) {
        return Err(bad(place, format!("a file cannot be called `{}`", String::from_utf8_lossy(&path))));
    }
    let mode = u32::from_str_radix(mode, 8).map_err(|_| unreadable())?;
    Ok(Entry { mode, object: object.to_owned(), path })
}

/// `<object> blob <size>`
fn blob_size(place: &Place<'_>, entry: &Entry, output: &mut impl BufRead) -> Result<u64> {
    let mut line = String::new();
    output.take(256).read_line(&mut line).map_err(Error::Run)?;
    let size = line.trim_end().strip_prefix(entry.object.as_str()).and_then(|rest| rest.strip_prefix(" blob "));
    size.and_then(|size| size.parse().ok())
        .ok_or_else(|| bad(place, format!("the file {} is missing", String::from_utf8_lossy(&entry.path))))
}

fn end_of_blob(place: &Place<'_>, output: &mut impl BufRead) -> Result<()> {
    let mut end = [0];
    output.read_exact(&mut end).map_err(Error::Run)?;
    if end == *b"\n" { Ok(()) } else { Err(bad(place, "git's answer is not understood".to_owned())) }
}

pub(super) fn joined(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if directory.is_empty() { path.to_vec() } else { [directory, path].join(&b'/') }
}

fn bad(place: &Place<'_>, reason: String) -> Error {
    Error::BadTree { remote: shown(place.remote), reason }
}

#[cfg(unix)]
fn os_path(bytes: &[u8]) -> std::path::PathBuf {
    std::path::PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes))
}

#[cfg(not(unix))]
fn os_path(bytes: &[u8]) -> std::path::PathBuf {
    std::path::PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
}

struct Counted<'a> {
    input: &'a mut dyn Read,
    read: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}
