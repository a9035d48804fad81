//! Reading an archive. Names in it are hostile: nothing is written outside the directory, nor through a link that the
//! archive itself has made.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use super::Settings;
use crate::calendar::SECOND;
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::pattern::Pattern;
use crate::tools::chmod::current_umask;
use crate::tools::ls::mode_text;
use crate::tools::mkdir::make_with_parents;
use crate::tools::paths::reaches_outside;
use crate::tools::system::strftime;

type Input<'a> = &'a mut dyn Read;

pub(super) const EXITING: &str = "Exiting with failure status due to previous errors";

fn unreadable(error: io::Error) -> Failure {
    let why = match error.to_string() {
        short if short.contains("entire block") || short.contains("parse") || short.contains("checksum") => {
            String::new()
        }
        why => format!(": {why}"),
    };
    Failure::usage(format!("This does not look like a tar archive{why}\ntar: {EXITING}"))
}

/// Whether the operands ask for this name, and which of them have been found.
struct Wanted<'a> {
    operands: &'a [Vec<u8>],
    patterns: Vec<Pattern>,
    found: Vec<bool>,
}

impl Wanted<'_> {
    fn new<'a>(settings: &'a Settings) -> Wanted<'a> {
        let operands = &settings.given.operands;
        let wildcards = settings.given.has('β');
        Wanted {
            operands,
            patterns: operands.iter().filter(|_| wildcards).map(|operand| Pattern::new(operand)).collect(),
            found: vec![false; operands.len()],
        }
    }

    fn includes(&mut self, name: &[u8]) -> bool {
        let name = name.strip_suffix(b"/").unwrap_or(name);
        let mut included = self.operands.is_empty();
        for (index, operand) in self.operands.iter().enumerate() {
            let operand = operand.strip_suffix(b"/").unwrap_or(operand);
            let below = name.strip_prefix(operand).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
            if below || self.patterns.get(index).is_some_and(|pattern| pattern.matches(name)) {
                self.found[index] = true;
                included = true;
            }
        }
        included
    }

    fn report(&self, context: &mut Context) -> u8 {
        let mut status = 0;
        for (operand, _) in self.operands.iter().zip(&self.found).filter(|(_, found)| !**found) {
            context.complain(format!("{}: Not found in archive", show(operand)));
            status = 2;
        }
        if status != 0 {
            context.complain(EXITING);
        }
        status
    }
}

pub(super) fn list(context: &mut Context, settings: &Settings, input: Input) -> Outcome {
    let mut archive = Archive::new(input);
    let mut wanted = Wanted::new(settings);
    for entry in archive.entries().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.path_bytes().into_owned();
        if !wanted.includes(&name) || settings.excludes(&name) {
            continue;
        }
        let line = if settings.given.has('v') { long_line(&entry, &name)? } else { name };
        context.stdout.write_all(&[&line[..], b"\n"].concat())?;
    }
    Ok(wanted.report(context))
}

fn long_line(entry: &Entry<Input>, name: &[u8]) -> Result<Vec<u8>, Failure> {
    let header = entry.header();
    let kind = match header.entry_type() {
        EntryType::Directory => kiln_guest::S_IFDIR,
        EntryType::Symlink => kiln_guest::S_IFLNK,
        _ => kiln_guest::S_IFREG,
    };
    let account = |name: Option<&[u8]>, id: u64| match name {
        Some(name) if !name.is_empty() => show(name).into_owned(),
        _ => id.to_string(),
    };
    let owner = format!(
        "{}/{}",
        account(header.username_bytes(), header.uid().map_err(unreadable)?),
        account(header.groupname_bytes(), header.gid().map_err(unreadable)?)
    );
    let time = i128::from(header.mtime().map_err(unreadable)?) * SECOND;
    let mode = mode_text(kind | (header.mode().map_err(unreadable)? & 0o7777));
    let size = entry.size();
    let width = 19usize.saturating_sub(owner.len() + 1);
    let mode = if header.entry_type() == EntryType::Link { mode.replacen('-', "h", 1) } else { mode };
    let mut line = format!("{mode} {owner} {size:>width$} {} ", strftime("%Y-%m-%d %H:%M", time)).into_bytes();
    line.extend_from_slice(name);
    if let Some(target) = entry.link_name_bytes() {
        let arrow: &[u8] = if header.entry_type() == EntryType::Symlink { b" -> " } else { b" link to " };
        line.extend_from_slice(&[arrow, &target].concat());
    }
    Ok(line)
}

pub(super) fn extract(context: &mut Context, settings: &Settings, input: Input) -> Outcome {
    let mut archive = Archive::new(input);
    let mut wanted = Wanted::new(settings);
    let mut extraction = Extraction { settings, umask: current_umask(), directories: Vec::new(), status: 0 };
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path_bytes().into_owned();
        if !wanted.includes(&name) || settings.excludes(&name) {
            continue;
        }
        if settings.given.has('O') {
            crate::context::copy(&mut entry, context.stdout)?;
            continue;
        }
        let place = settings.renamed(&name)?;
        if let Err(error) = extraction.entry(context, &mut entry, &name, &place) {
            context.complain(format!("{}: {}", show(&name), reason(&error)));
            extraction.status = 2;
        }
    }
    extraction.finish();
    let missing = wanted.report(context);
    Ok(extraction.status.max(missing))
}

struct Extraction<'a, 'g> {
    settings: &'a Settings<'g>,
    umask: u32,
    /// Modes and times of directories are set last: they may forbid writing, and writing changes times.
    directories: Vec<(PathBuf, u32, i128)>,
    status: u8,
}

impl Extraction<'_, '_> {
    /// Where an entry goes; `None` if stripping leaves nothing of its name.
    fn place(&self, name: &[u8]) -> io::Result<Option<PathBuf>> {
        let mut path = self.settings.directory.clone();
        let mut names = 0;
        for component in Path::new(kiln_guest::path(name)).components() {
            match component {
                Component::Normal(part) => {
                    names += 1;
                    if names > self.settings.strip {
                        path.push(part);
                    }
                }
                Component::ParentDir => return Err(io::Error::other("the name contains '..'; not extracted")),
                _ => {}
            }
        }
        Ok((names > self.settings.strip || (names == 0 && self.settings.strip == 0)).then_some(path))
    }

    fn entry(&mut self, context: &mut Context, entry: &mut Entry<Input>, name: &[u8], place: &[u8]) -> io::Result<()> {
        let given = self.settings.given;
        let Some(path) = self.place(place)? else { return Ok(()) };
        self.check_parents(&path)?;
        if let Some(parent) = path.parent() {
            make_with_parents(parent)?;
        }
        let kind = entry.header().entry_type();
        let old = std::fs::symlink_metadata(&path).ok();
        if let Some(old) = &old {
            if given.has('k') && !old.is_dir() {
                return Err(io::Error::other("Cannot open: File exists"));
            }
            if !old.is_dir() {
                std::fs::remove_file(&path)?;
            } else if kind != EntryType::Directory {
                std::fs::remove_dir(&path)?;
            }
        }
        let mode = entry.header().mode()? & if given.has('p') { 0o7777 } else { 0o7777 & !self.umask };
        let mtime = i128::from(entry.header().mtime()?) * SECOND;
        match kind {
            EntryType::Directory => {
                make_with_parents(&path)?;
                self.directories.push((path.clone(), mode, mtime));
            }
            EntryType::Symlink => kiln_guest::symlink(&link_target(entry)?, &path)?,
            EntryType::Link => {
                let target = link_target(entry)?;
                let Some(target) = self.place(target.as_os_str().as_encoded_bytes())? else { return Ok(()) };
                self.check_parents(&target)?;
                std::fs::hard_link(&target, &path)?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                crate::context::copy(entry, &mut File::create(&path)?)?;
                self.own(&path, entry)?;
                kiln_guest::chmod(&path, true, mode)?;
                if !given.has('m') {
                    kiln_guest::set_times(&path, true, Some(mtime), Some(mtime))?;
                }
            }
            EntryType::XGlobalHeader => return Ok(()),
            other => return Err(io::Error::other(format!("entries of type {other:?} cannot be made here"))),
        }
        if kind == EntryType::Directory || kind == EntryType::Symlink {
            self.own(&path, entry)?;
        }
        if given.has('v') {
            context.stdout.write_all(&[name, b"\n"].concat())?;
        }
        Ok(())
    }

    /// A step that runs as root gives files to whom the archive says.
    fn own(&self, path: &Path, entry: &Entry<Input>) -> io::Result<()> {
        let given = self.settings.given;
        if given.has('o') && !given.has('σ') {
            return Ok(());
        }
        let id = |id: u64| u32::try_from(id).map_err(|_| io::Error::other("an owner beyond what a file can have"));
        let (uid, gid) = (id(entry.header().uid()?)?, id(entry.header().gid()?)?);
        match kiln_guest::chown(path, false, Some(uid), Some(gid)) {
            // Who is not root keeps what it makes.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !given.has('σ') => Ok(()),
            other => other,
        }
    }

    /// No directory on the way may be a link, or the archive could lead out of the place it is extracted to.
    fn check_parents(&self, path: &Path) -> io::Result<()> {
        if reaches_outside(&self.settings.directory, path) {
            return Err(io::Error::other("a link on its way leads outside; not extracted"));
        }
        Ok(())
    }

    fn finish(&mut self) {
        for (path, mode, mtime) in self.directories.drain(..).rev() {
            let times = || kiln_guest::set_times(&path, true, Some(mtime), Some(mtime));
            let set = kiln_guest::chmod(&path, true, mode);
            let set = if self.settings.given.has('m') { set } else { set.and_then(|()| times()) };
            if set.is_err() {
                self.status = 2;
            }
        }
    }
}

fn link_target(entry: &Entry<Input>) -> io::Result<PathBuf> {
    match entry.link_name_bytes() {
        Some(target) => Ok(PathBuf::from(kiln_guest::path(&target))),
        None => Err(io::Error::other("a link without a target")),
    }
}
