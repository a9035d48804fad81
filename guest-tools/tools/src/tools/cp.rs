//! `cp`, and the copying that `mv` and `install` need.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use kiln_guest::Stat;

use super::chmod::{current_umask, sorted_names};
use super::names::base_of;
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "rRapfnvTt:LPHdulisx",
    long: &[
        ("recursive", 'r'),
        ("archive", 'a'),
        ("force", 'f'),
        ("no-clobber", 'n'),
        ("verbose", 'v'),
        ("no-target-directory", 'T'),
        ("target-directory", 't'),
        ("dereference", 'L'),
        ("no-dereference", 'P'),
        ("update", 'u'),
        ("link", 'l'),
        ("symbolic-link", 's'),
        ("preserve", 'p'),
        ("parents", 'π'),
        ("reflink", 'ρ'),
        ("no-preserve", 'Ν'),
        ("one-file-system", 'x'),
        ("remove-destination", 'δ'),
    ],
    operands_last: false,
};

const SAME: &str = "they are the same file";

/// What was copied where, in order, and what went wrong.
#[derive(Debug, Default)]
pub struct Report {
    pub copied: Vec<(PathBuf, PathBuf)>,
    pub problems: Vec<String>,
}

/// What copying keeps and does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Copying {
    pub recursive: bool,
    /// Times, owner and the whole mode.
    pub preserve: bool,
    /// Follow links in what is copied; and those named as operands.
    pub follow: bool,
    pub follow_operands: bool,
    pub hard_links: bool,
    pub symbolic_links: bool,
    pub umask: u32,
}

pub fn cp(context: &mut Context) -> Outcome {
    let args: Vec<Vec<u8>> = context
        .args
        .iter()
        // Optional values of long options choose among things that are all the same here.
        .map(|arg| match arg.as_slice() {
            _ if arg.starts_with(b"--preserve=") => b"-p".to_vec(),
            _ if arg.starts_with(b"--reflink=") => b"--reflink".to_vec(),
            b"--update=older" => b"-u".to_vec(),
            b"--update=none" => b"-n".to_vec(),
            _ => arg.clone(),
        })
        .collect();
    let given = SPEC.parse(&args)?;
    let archive = given.has('a');
    let recursive = archive || given.last_of("rR").is_some();
    let links = given.last_of("LPHda");
    let copying = Copying {
        recursive,
        preserve: archive || given.has('p'),
        follow: links == Some('L') || (links.is_none() && !recursive),
        follow_operands: matches!(links, Some('L' | 'H')) || (links.is_none() && !recursive),
        hard_links: given.has('l'),
        symbolic_links: given.has('s'),
        umask: current_umask(),
    };
    let (sources, pairs) = destinations(context, &given.operands, given.value('t'), given.has('T'), given.has('π'))?;
    let mut status = 0;
    for (operand, destination) in sources.iter().zip(pairs) {
        let source = context.path(operand);
        if given.has('π')
            && let Some(parent) = destination.parent()
        {
            super::mkdir::make_with_parents(parent)
                .map_err(|error| Failure::new(format!("cannot create '{}': {}", parent.display(), reason(&error))))?;
        }
        let exists = destination.symlink_metadata().is_ok();
        if exists && given.has('n') {
            continue;
        }
        if exists && given.has('u') && !is_newer(&source, &destination) {
            continue;
        }
        if exists && (given.has('δ') || (given.has('f') && destination.is_symlink() && !destination.exists())) {
            // If it cannot be removed, the copy says why.
            let _ = std::fs::remove_file(&destination);
        }
        if !recursive && source.is_dir() && (copying.follow_operands || !source.is_symlink()) {
            context.complain(format!("-r not specified; omitting directory '{}'", show(operand)));
            status = 1;
            continue;
        }
        let mut report = Report::default();
        copy(&source, &destination, copying, true, &mut report);
        if given.has('v') {
            for (from, to) in &report.copied {
                let (from, to) = (context.shown(from), context.shown(to));
                writeln!(context.stdout, "'{from}' -> '{to}'")?;
            }
        }
        for problem in &report.problems {
            context.complain(problem);
            status = 1;
        }
    }
    Ok(status)
}

/// The sources, and for each where it goes.
pub fn destinations(
    context: &Context,
    operands: &[Vec<u8>],
    directory: Option<&[u8]>,
    never_directory: bool,
    parents: bool,
) -> Result<(Vec<Vec<u8>>, Vec<PathBuf>), Failure> {
    let mut sources = operands.to_vec();
    let target = match directory {
        Some(directory) => directory.to_vec(),
        None => match sources.pop() {
            Some(last) if !sources.is_empty() => last,
            Some(only) => {
                return Err(Failure::misuse(format!("missing destination file operand after '{}'", show(&only))));
            }
            None => return Err(Failure::misuse("missing file operand")),
        },
    };
    if sources.is_empty() {
        return Err(Failure::misuse("missing file operand"));
    }
    let path = context.path(&target);
    let into = directory.is_some() || (!never_directory && path.is_dir());
    if !into
        && sources.len() == 1
        && directory.is_none()
        && target.ends_with(b"/")
        && !context.path(&sources[0]).is_dir()
    {
        let parent_exists = path.parent().is_some_and(Path::is_dir);
        let why = if parent_exists { "Not a directory" } else { "No such file or directory" };
        return Err(Failure::new(format!("cannot create regular file '{}': {why}", show(&target))));
    }
    if !into && (sources.len() > 1 || directory.is_some()) {
        let why = if path.exists() { "Not a directory" } else { "No such file or directory" };
        return Err(Failure::new(format!("target '{}': {why}", show(&target))));
    }
    let place = |source: &Vec<u8>| match (into, parents) {
        (false, _) => path.clone(),
        (true, true) => path.join(kiln_guest::path(source.strip_prefix(b"/").unwrap_or(source))),
        // `cp -r dir/. target` copies what is in dir.
        (true, false) if matches!(base_of(source), b"." | b".." | b"/") => path.clone(),
        (true, false) => path.join(kiln_guest::path(base_of(source))),
    };
    let pairs = sources.iter().map(place).collect();
    Ok((sources, pairs))
}

pub fn is_newer(source: &Path, destination: &Path) -> bool {
    match (kiln_guest::stat(source, true), kiln_guest::stat(destination, true)) {
        (Ok(source), Ok(destination)) => source.mtime > destination.mtime,
        _ => true,
    }
}

/// Copies a file or tree; notes what went wrong and goes on with the rest.
pub fn copy(source: &Path, destination: &Path, copying: Copying, is_operand: bool, report: &mut Report) {
    let follow = if is_operand { copying.follow_operands } else { copying.follow };
    let stat = match kiln_guest::stat(source, follow) {
        Ok(stat) => stat,
        Err(error) => return report.problems.push(format!("cannot stat '{}': {}", source.display(), reason(&error))),
    };
    let result = if stat.is_dir() {
        if destination.starts_with(source) && destination != source {
            return report.problems.push(format!(
                "cannot copy a directory, '{}', into itself, '{}'",
                source.display(),
                destination.display()
            ));
        }
        copy_directory(source, destination, &stat, copying, report)
    } else if stat.is_symlink() {
        copy_link(source, destination)
    } else {
        copy_file(source, destination, &stat, copying)
    };
    if result.is_ok() && !stat.is_dir() {
        report.copied.push((source.into(), destination.into()));
    }
    let result = result.and_then(|()| if copying.preserve { preserve(destination, &stat) } else { Ok(()) });
    if let Err(error) = result {
        if error.to_string() == SAME {
            let (source, destination) = (source.display(), destination.display());
            return report.problems.push(format!("'{source}' and '{destination}' are the same file"));
        }
        report.problems.push(format!(
            "cannot copy '{}' to '{}': {}",
            source.display(),
            destination.display(),
            reason(&error)
        ));
    }
}

fn copy_directory(
    source: &Path,
    destination: &Path,
    stat: &Stat,
    copying: Copying,
    report: &mut Report,
) -> io::Result<()> {
    let is_new = !destination.is_dir();
    if is_new {
        std::fs::create_dir(destination)?;
        report.copied.push((source.into(), destination.into()));
    }
    for name in sorted_names(source)? {
        copy(&source.join(&name), &destination.join(&name), copying, false, report);
    }
    // Last, for it may forbid writing.
    if is_new && !copying.preserve {
        kiln_guest::chmod(destination, true, stat.mode & 0o7777 & !copying.umask)?;
    }
    Ok(())
}

fn copy_link(source: &Path, destination: &Path) -> io::Result<()> {
    let target = std::fs::read_link(source)?;
    if destination.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
        std::fs::remove_file(destination)?;
    }
    kiln_guest::symlink(&target, destination)
}

fn copy_file(source: &Path, destination: &Path, stat: &Stat, copying: Copying) -> io::Result<()> {
    if copying.hard_links || copying.symbolic_links {
        return if copying.hard_links {
            std::fs::hard_link(source, destination)
        } else {
            kiln_guest::symlink(source, destination)
        };
    }
    let old = kiln_guest::stat(destination, true).ok();
    if old.as_ref().is_some_and(|old| (old.dev, old.ino) == (stat.dev, stat.ino)) {
        return Err(io::Error::other(SAME));
    }
    crate::context::copy(&mut File::open(source)?, &mut File::create(destination)?)?;
    let mode = stat.mode & 0o777 & !copying.umask;
    if old.is_none() && !copying.preserve && mode != 0o666 & !copying.umask {
        kiln_guest::chmod(destination, true, mode)?;
    }
    Ok(())
}

/// Gives the copy the owner, mode and times of the original.
fn preserve(destination: &Path, stat: &Stat) -> io::Result<()> {
    kiln_guest::chown(destination, false, Some(stat.uid), Some(stat.gid))?;
    if !stat.is_symlink() {
        kiln_guest::chmod(destination, true, stat.mode & 0o7777)?;
        kiln_guest::set_times(destination, false, Some(stat.atime), Some(stat.mtime))?;
    }
    Ok(())
}
