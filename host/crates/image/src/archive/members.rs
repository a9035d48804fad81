//! The files of an archive, wherever it is: a stream that is read once, a tar in a file, a directory.
//!
//! From a stream every file that can be a blob goes to the sink as it comes, for the documents that name it may be still
//! to come. Elsewhere it is only noted where files are, and what no image needs is never read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_types::{Digest, paths};

use super::blobs::{Place, keep};
use super::{BLOBS, BlobSink};
use crate::config::MAX_DOCUMENT;
use crate::content::{Content, Source};
use crate::error::{Error, Result};
use crate::tar::{Member, MemberKind, Reader, clean_name};

/// Most members of an archive; one of a thousand images with a hundred layers each has fewer.
const MAX_MEMBERS: usize = 500_000;
/// Most bytes that the names of its members may have together.
const MAX_NAMES: usize = 64 << 20;
pub(super) const NOT_LOADED_BUT_IMPORTED: &str = "a tar of a root filesystem is imported, not loaded";

#[derive(Default)]
pub(super) struct Files {
    pub(super) index: Option<Vec<u8>>,
    pub(super) docker: Option<Vec<u8>>,
    pub(super) blobs: HashMap<Vec<u8>, Place>,
    pub(super) links: HashMap<Vec<u8>, Vec<u8>>,
    /// It has what archives had beside or instead of `manifest.json`.
    pub(super) has_repositories: bool,
    names: usize,
}

impl Files {
    pub(super) fn of_stream(input: impl Read, sink: &dyn BlobSink) -> Result<Self> {
        let mut reader = Reader::new(input);
        let mut files = Self::default();
        while let Some(member) = reader.next()? {
            if let Some(path) = files.note(&member)? {
                let blob = |input: &mut dyn Read, path: &[u8]| keep(input, member.size, path, sink).map(Place::Kept);
                files.take(path, member.size, &mut reader.content(), blob)?;
            }
        }
        // A decoder checks its sum at the end, and whoever writes into a pipe wants to be read to the end.
        reader.drain()?;
        Ok(files)
    }

    /// Of a tar that is not compressed.
    pub(super) fn of_file(file: &Arc<File>) -> Result<Self> {
        let failed = Error::io;
        let mut input = &**file;
        input.rewind().map_err(failed("read the archive"))?;
        let length = file.metadata().map_err(failed("read the archive"))?.len();
        let mut reader = Reader::new(input);
        let mut files = Self::default();
        while let Some(member) = reader.next()? {
            if member.offset + member.size > length {
                return Err(Error::Tar { offset: length, reason: "it ends within the content of a member" });
            }
            if let Some(path) = files.note(&member)? {
                let content = Content::range(file.clone(), member.offset, member.size);
                let mut input = content.open().map_err(failed("read the archive"))?;
                files.take(path, member.size, &mut input, |_, _| Ok(Place::There(content)))?;
            }
            reader.seek_past_content()?;
        }
        Ok(files)
    }

    /// Of an OCI image layout.
    pub(super) fn of_directory(root: &Path) -> Result<Self> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::HostPath { action: "read", path, source }
        };
        let read = |name: &'static str| {
            let path = root.join(name);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => {
                    let file = File::open(&path).map_err(failed(&path))?;
                    document(name, metadata.len(), file).map(Some)
                }
                Ok(_) => Err(failed(&path)(io::Error::other("it is no file"))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(failed(&path)(error)),
            }
        };
        if read("oci-layout")?.is_none() {
            return Err(Error::NoLayout { path: root.to_owned() });
        }
        let mut files = Self { index: read("index.json")?, docker: read("manifest.json")?, ..Self::default() };
        let directory = root.join(BLOBS);
        for entry in fs::read_dir(&directory).map_err(failed(&directory))? {
            let path = entry.map_err(failed(&directory))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // A symbolic link may stand there: whatever it leads to must have the digest.
            let metadata = fs::metadata(&path).map_err(failed(&path))?;
            if Digest::from_hex(name).is_ok() && metadata.is_file() {
                let name = format!("{BLOBS}{name}").into_bytes();
                files.count(&name)?;
                files.blobs.insert(name, Place::There(Content::new(metadata.len(), HostFile(path))));
            }
        }
        Ok(files)
    }

    /// The clean path of a member that is a file; links are noted here.
    fn note(&mut self, member: &Member) -> Result<Option<Vec<u8>>> {
        let path = clean_name(&member.path)?;
        let no_document_yet = self.index.is_none() && self.docker.is_none();
        if no_document_yet && member.kind != MemberKind::Directory && !may_be_of_an_image(&path) {
            let reason = format!("`{}` does not belong into one; {NOT_LOADED_BUT_IMPORTED}", paths::display(&path));
            return Err(Error::Archive { reason });
        }
        self.count(&path)?;
        match member.kind {
            MemberKind::File => return Ok(Some(path)),
            MemberKind::Symlink => {
                let target = paths::join(paths::parent(&path).unwrap_or_default(), &member.link);
                self.names += target.len();
                self.links.insert(path, target);
            }
            MemberKind::HardLink => drop(self.links.insert(path, clean_name(&member.link)?)),
            _ => {}
        }
        Ok(None)
    }

    fn count(&mut self, path: &[u8]) -> Result<()> {
        self.names += path.len();
        if self.blobs.len() + self.links.len() >= MAX_MEMBERS || self.names > MAX_NAMES {
            return Err(Error::entry(path, "the archive has too many members"));
        }
        Ok(())
    }

    fn take(
        &mut self,
        path: Vec<u8>,
        size: u64,
        content: &mut dyn Read,
        blob: impl FnOnce(&mut dyn Read, &[u8]) -> Result<Place>,
    ) -> Result<()> {
        let twice = |path: &[u8]| Err(Error::entry(path, "the archive has it twice"));
        let text = std::str::from_utf8(&path).unwrap_or_default();
        let document_of = match text {
            "index.json" => Some(("index.json", &mut self.index)),
            "manifest.json" => Some(("manifest.json", &mut self.docker)),
            _ => None,
        };
        if let Some((what, slot)) = document_of {
            return if slot.is_some() {
                twice(&path)
            } else {
                document(what, size, content).map(|read| *slot = Some(read))
            };
        }
        // The last two are what every layer of old archives had beside its tar.
        self.has_repositories |= text == "repositories";
        if matches!(text, "oci-layout" | "repositories") || text.ends_with("/VERSION") || text.ends_with("/json") {
            return Ok(());
        }
        let has_digest = named_digest(&path).is_some();
        let place = blob(content, &path)?;
        match self.blobs.entry(path) {
            Entry::Vacant(vacant) => drop(vacant.insert(place)),
            // Both have the digest, or will be found not to.
            Entry::Occupied(_) if has_digest => {}
            Entry::Occupied(occupied) => return twice(occupied.key()),
        }
        Ok(())
    }
}

/// The digest that a blob's path promises. Some tools add an ending to it, and then it is not theirs to promise.
pub(super) fn named_digest(path: &[u8]) -> Option<Digest> {
    Digest::from_hex(std::str::from_utf8(path).ok()?.strip_prefix(BLOBS)?).ok()
}

/// Could a file of this name be in an archive of images? Then the first file of most root filesystems is refused before
/// all the others have been read.
fn may_be_of_an_image(path: &[u8]) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let has_digest = path.split(|&byte| !hexadecimal(byte)).any(|digits| digits.len() == 64);
    let endings: [&[u8]; 6] = [b".json", b".tar", b".tar.gz", b".tgz", b"/VERSION", b"/json"];
    has_digest
        || path.starts_with(b"blobs/")
        || matches!(path, b"oci-layout" | b"repositories")
        || endings.iter().any(|ending| path.ends_with(ending))
}

fn document(what: &'static str, size: u64, content: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(Error::io("read the archive"))?;
    if size.max(bytes.len() as u64) > MAX_DOCUMENT {
        return Err(Error::Json { what, reason: format!("it is longer than {MAX_DOCUMENT} bytes") });
    }
    Ok(bytes)
}

struct HostFile(PathBuf);

impl Source for HostFile {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(&self.0)?))
    }
}
