//! `unzip`. Names in an archive are hostile: one that leads out of the directory is refused, and nothing is written
//! through a link.

mod archive;

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use archive::{Archive, DEFLATED, Entry};

use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::{Given, Spec};
use crate::pattern::Pattern;
use crate::tools::mkdir::make_with_parents;
use crate::tools::paths::reaches_outside;
use crate::tools::system::strftime;

const SPEC: Spec = Spec { short: "lptqonjd:", long: &[], operands_last: false };

const STATUS_WARNING: u8 = 1;
const STATUS_DAMAGED: u8 = 2;
const STATUS_NO_ARCHIVE: u8 = 9;
const STATUS_USAGE: u8 = 10;
const STATUS_NO_MATCH: u8 = 11;
/// A link's target is a path.
const LONGEST_TARGET: u64 = 4096;

pub fn unzip(context: &mut Context) -> Outcome {
    let (args, excluded) = without_excluded(context.args);
    let given = SPEC.parse(&args).map_err(|failure| failure.with_status(STATUS_USAGE))?;
    let Some((operand, members)) = given.operands.split_first() else {
        let usage = "usage: unzip [-lptqonj] ARCHIVE [MEMBER…] [-x MEMBER…] [-d DIRECTORY]";
        return Err(Failure::new(usage).with_status(STATUS_USAGE));
    };
    let (operand, file) = open(context, operand)?;
    let (mut archive, mut entries) = Archive::open(file).map_err(|error| {
        Failure::new(format!("{}: {}", show(&operand), reason(&error))).with_status(STATUS_NO_ARCHIVE)
    })?;
    let patterns = |texts: &[Vec<u8>]| texts.iter().map(|text| Pattern::new(text)).collect::<Vec<_>>();
    let (wanted, unwanted) = (patterns(members), patterns(&excluded));
    let matches = |patterns: &[Pattern], entry: &Entry| patterns.iter().any(|pattern| pattern.matches(&entry.name));
    let unmatched: Vec<_> = (members.iter().zip(&wanted))
        .filter(|(_, pattern)| !entries.iter().any(|entry| pattern.matches(&entry.name)))
        .map(|(member, _)| show(member).into_owned())
        .collect();
    entries.retain(|entry| (wanted.is_empty() || matches(&wanted, entry)) && !matches(&unwanted, entry));
    if !given.has('q') && !given.has('p') {
        writeln!(context.stdout, "Archive:  {}", show(&operand))?;
    }
    let status = if given.has('l') {
        list(context, &entries)?
    } else if given.has('p') || given.has('t') {
        let status = read(context, &given, &mut archive, &entries)?;
        if given.has('t') && status == 0 {
            writeln!(context.stdout, "No errors detected in compressed data of {}.", show(&operand))?;
        }
        status
    } else {
        extract(context, &given, &mut archive, &entries)?
    };
    for member in &unmatched {
        context.complain(format!("caution: filename not matched:  {member}"));
    }
    Ok(if unmatched.is_empty() { status } else { status.max(STATUS_NO_MATCH) })
}

/// The arguments, and those of `-x`, which takes all up to the next option.
fn without_excluded(args: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let Some(start) = args.iter().position(|arg| arg == b"-x") else { return (args.to_vec(), Vec::new()) };
    let (before, after) = (&args[..start], &args[start + 1..]);
    let end = after.iter().position(|arg| arg.starts_with(b"-")).unwrap_or(after.len());
    ([before, &after[end..]].concat(), after[..end].to_vec())
}

/// The archive, whose name may lack its `.zip`.
fn open(context: &Context, operand: &[u8]) -> Result<(Vec<u8>, File), Failure> {
    let candidates = [operand.to_vec(), [operand, b".zip"].concat(), [operand, b".ZIP"].concat()];
    let failed = |why: String| Failure::new(why).with_status(STATUS_NO_ARCHIVE);
    for candidate in candidates {
        match File::open(context.path(&candidate)) {
            Ok(file) => return Ok((candidate, file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(format!("{}: {}", show(&candidate), reason(&error)))),
        }
    }
    Err(failed(format!(" cannot find or open {0}, {0}.zip or {0}.ZIP.", show(operand))))
}

fn list(context: &mut Context, entries: &[Entry]) -> Outcome {
    let line = "---------  ---------- -----   ----";
    writeln!(context.stdout, "  Length      Date    Time    Name\n{line}")?;
    for entry in entries {
        let time = strftime("%Y-%m-%d %H:%M", entry.time);
        writeln!(context.stdout, "{:>9}  {time}   {}", entry.size, show(&entry.name))?;
    }
    let total: u128 = entries.iter().map(|entry| u128::from(entry.size)).sum();
    let files = if entries.len() == 1 { "file" } else { "files" };
    writeln!(
        context.stdout,
        "---------                     -------\n{total:>9}                     {} {files}",
        entries.len()
    )?;
    Ok(0)
}

/// Reads entries without making files: to print (`-p`) or to verify them.
fn read(context: &mut Context, given: &Given, archive: &mut Archive, entries: &[Entry]) -> Outcome {
    let mut status = 0;
    for entry in entries {
        let name = show(&entry.name);
        let copied = match given.has('p') {
            true => archive.copy(entry, context.stdout),
            false => archive.copy(entry, &mut io::sink()),
        };
        match copied {
            Ok(()) if given.has('t') && !given.has('q') => writeln!(context.stdout, "    testing: {name:<22}   OK")?,
            Ok(()) => {}
            Err(error) => status = damaged(context, entry, error)?,
        }
    }
    Ok(status)
}

fn damaged(context: &mut Context, entry: &Entry, error: io::Error) -> Outcome {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Err(error.into());
    }
    context.complain(format!("{}: {}", show(&entry.name), reason(&error)));
    Ok(STATUS_DAMAGED)
}

fn extract(context: &mut Context, given: &Given, archive: &mut Archive, entries: &[Entry]) -> Outcome {
    let directory = given.value('d').map_or_else(|| context.cwd.to_path_buf(), |directory| context.path(directory));
    make_with_parents(&directory)
        .map_err(|error| Failure::new(format!("cannot create '{}': {}", directory.display(), reason(&error))))?;
    let mut extraction = Extraction { given, archive, directory, directories: Vec::new(), links: Vec::new() };
    let mut status = 0;
    for entry in entries {
        match extraction.entry(context, entry) {
            Ok(entry_status) => status = status.max(entry_status),
            Err(error) => status = status.max(damaged(context, entry, error)?),
        }
    }
    Ok(status.max(extraction.finish(context)?))
}

struct Extraction<'a> {
    given: &'a Given,
    archive: &'a mut Archive,
    directory: PathBuf,
    /// Permissions and times of directories are set last: they may forbid writing, and writing changes times.
    directories: Vec<(PathBuf, u32, i128)>,
    /// Links are made last, so that nothing of the archive is written through them.
    links: Vec<(PathBuf, Vec<u8>)>,
}

impl Extraction<'_> {
    /// Where an entry goes; `None` if nothing is to be made for it.
    fn place(&self, entry: &Entry) -> io::Result<Option<PathBuf>> {
        let mut path = self.directory.clone();
        let name = kiln_guest::path(&entry.name);
        for component in name.components() {
            match component {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                _ => return Err(io::Error::other("the name is absolute or contains '..'; not extracted")),
            }
        }
        if self.given.has('j') {
            path = match name.file_name() {
                Some(base) if !entry.name.ends_with(b"/") => self.directory.join(base),
                _ => return Ok(None),
            };
        }
        if reaches_outside(&self.directory, &path) {
            return Err(io::Error::other("a link on its way leads outside; not extracted"));
        }
        Ok((path != self.directory).then_some(path))
    }

    fn entry(&mut self, context: &mut Context, entry: &Entry) -> io::Result<u8> {
        let Some(path) = self.place(entry)? else { return Ok(0) };
        let quiet = self.given.has('q');
        let shown = self.shown(context, &path);
        if entry.mode & kiln_guest::S_IFMT == kiln_guest::S_IFDIR {
            if !path.is_dir() {
                make_with_parents(&path)?;
                if !quiet {
                    writeln!(context.stdout, "   creating: {shown}/")?;
                }
            }
            self.directories.push((path, entry.mode & 0o777, entry.time));
            return Ok(0);
        }
        if let Some(parent) = path.parent() {
            make_with_parents(parent)?;
        }
        if path.symlink_metadata().is_ok() {
            if self.given.has('n') {
                return Ok(0);
            }
            if !self.given.has('o') {
                context.complain(format!("{shown} exists already: -o replaces, -n keeps such files"));
                return Ok(STATUS_WARNING);
            }
            std::fs::remove_file(&path)?;
        }
        if entry.mode & kiln_guest::S_IFMT == kiln_guest::S_IFLNK {
            if entry.size > LONGEST_TARGET {
                return Err(io::Error::other("a link with too long a target"));
            }
            let mut target = Vec::new();
            self.archive.copy(entry, &mut target)?;
            if !quiet {
                writeln!(context.stdout, "    linking: {shown:<22}  -> {} ", show(&target))?;
            }
            self.links.push((path, target));
            return Ok(0);
        }
        if !quiet {
            let does = if entry.method == DEFLATED { "  inflating" } else { " extracting" };
            writeln!(context.stdout, "{does}: {shown:<22}  ")?;
        }
        let mut file = File::create_new(&path)?;
        if let Err(error) = self.archive.copy(entry, &mut file) {
            // Half a file is worse than none.
            drop(file);
            std::fs::remove_file(&path)?;
            return Err(error);
        }
        drop(file);
        kiln_guest::chmod(&path, true, entry.mode & 0o777)?;
        kiln_guest::set_times(&path, true, Some(entry.time), Some(entry.time))?;
        Ok(0)
    }

    /// The path as `-d` and the archive name it.
    fn shown(&self, context: &Context, path: &Path) -> String {
        let below = path.strip_prefix(&self.directory).unwrap_or(path);
        match self.given.value('d') {
            Some(directory) => kiln_guest::path(directory).join(below).display().to_string(),
            None => context.shown(path),
        }
    }

    fn finish(&mut self, context: &mut Context) -> Outcome {
        let mut status = 0;
        for (path, target) in std::mem::take(&mut self.links) {
            if let Err(error) = kiln_guest::symlink(kiln_guest::path(&target), &path) {
                context.complain(format!("{}: {}", self.shown(context, &path), reason(&error)));
                status = STATUS_DAMAGED;
            }
        }
        for (path, mode, time) in self.directories.drain(..).rev() {
            let set = kiln_guest::set_times(&path, true, Some(time), Some(time));
            if let Err(error) = set.and_then(|()| kiln_guest::chmod(&path, true, mode)) {
                context.complain(format!("'{}': {}", path.display(), reason(&error)));
                status = STATUS_WARNING.max(status);
            }
        }
        Ok(status)
    }
}
