//! `kiln cp`: files from a container to this machine, and from here to there.
//!
//! Both ends speak in members of a tar: a tree is read as them, written from them, and `-` is a tar indeed.

mod here;
mod paths;
mod root;

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;

use kiln_exec::Cancel;
use kiln_image::{Member, MemberKind, Owners, Placing, TarReader, TarWriter, Within, compress, read_tree};
use rustix::fs::FileType;
use rustix::io::Errno;

use self::paths::{Argument, Existing, Location, Placement, place};
use self::root::{Root, existing};
use super::cancellable::Cancellable;
use crate::cli::cp::Cp;
use crate::report::failure::Failure;
use crate::report::problem::Problem;
use crate::report::size;
use crate::session::Session;

pub(super) fn run(options: &Cp, session: &Session) -> anyhow::Result<()> {
    for (text, what) in [(&options.source, "source"), (&options.destination, "destination")] {
        if text.is_empty() {
            return Err(Failure::new(format!("{what} can not be empty")).into());
        }
    }
    let arguments = [&options.source, &options.destination].map(|text| Argument::parse(text.as_bytes()));
    match arguments {
        [Argument::There { .. }, Argument::There { .. }] => {
            Err(Failure::new("copying between containers is not supported")
                .hint("copy to a directory of this machine first, or pipe: kiln cp A:PATH - | kiln cp - B:PATH")
                .into())
        }
        [Argument::There { container, path }, to] => from_container(&container, &path, &to, options, session),
        [from, Argument::There { container, path }] => to_container(&from, &container, &path, options, session),
        _ => Err(Failure::new("must specify at least one container source").hint("write CONTAINER:PATH").into()),
    }
}

fn from_container(
    name: &str,
    path: &[u8],
    destination: &Argument,
    options: &Cp,
    session: &Session,
) -> anyhow::Result<()> {
    if *destination == Argument::Stream && io::stdout().is_terminal() {
        return Err(Failure::new("refusing to write a tar to the terminal").hint("redirect standard output").into());
    }
    let root = Root::open(name, session)?;
    let source = Location::new(b"", path);
    let missing = || Failure::new(format!("Could not find the file {} in container {name}", source.display()));
    let found = root.find(&source, options.follow_link).map_err(|error| not_there(error, missing()))?;
    let is_directory = found.kind() == FileType::Directory;
    if source.is_directory() && !is_directory {
        return Err(missing().because(io::Error::from(Errno::NOTDIR)).into());
    }
    let (parent, entry) = match found.path.is_empty() {
        true => (root.directory(b""), &b"."[..]),
        false => (
            root.directory(kiln_types::paths::parent(&found.path).unwrap_or_default()),
            kiln_types::paths::name(&found.path),
        ),
    };
    let parent = parent.map_err(|error| not_there(error, missing()))?;
    let cancel = session.interrupts.catch()?;
    let Argument::Here(text) = destination else {
        let mut tar = TarWriter::new(Cancellable::new(super::stdout(), cancel));
        read_tree(&parent, entry, &mut |member, content| tar.append(&renamed(member, source.name()), content))?;
        return Ok(tar.finish()?);
    };
    let destination = here::location(text)?;
    let (resolved, kind) = here::destination(&destination)?;
    let resolved = destination.leading_to(resolved);
    let Placement { directory, name: new_name } = place(&source, is_directory, &resolved, kind).map_err(refused)?;
    let directory = here::open_directory(&directory)?;
    let owners = if options.archive { Owners::Members } else { Owners::Writer };
    let mut placing = Placing::new(directory.as_fd(), b"", Within::Directory, owners);
    let copied = copy(&parent, entry, &new_name, &mut placing, &cancel)?;
    let left_out = placing.finish()?;
    if left_out > 0 {
        let what = if left_out == 1 { "device was" } else { "devices were" };
        Problem::warning(format!("{left_out} {what} left out; -a copies them, too")).show();
    }
    tell(copied, &destination.display(), options)
}

fn to_container(source: &Argument, name: &str, path: &[u8], options: &Cp, session: &Session) -> anyhow::Result<()> {
    let from = match source {
        Argument::Here(text) => {
            let location = here::location(text)?;
            let (path, is_directory) = here::source(&location, options.follow_link)?;
            Some((location, path, is_directory))
        }
        _ => None,
    };
    let root = Root::open(name, session)?;
    let destination = Location::new(b"", path);
    let shown = format!("{name}:{}", destination.display());
    let (resolved, kind) = match root.find(&destination, true) {
        Ok(found) => match found.kind() {
            FileType::Directory | FileType::RegularFile => {
                let kind = existing(found.kind());
                (found.path, kind)
            }
            _ => {
                return Err(Failure::new(format!("destination {shown:?} must be a directory or a regular file")).into());
            }
        },
        Err(Errno::NOENT | Errno::NOTDIR) => (root.end_of_links(&destination), Existing::Nothing),
        Err(error) => {
            return Err(Failure::new(format!("cannot look at {shown}")).because(io::Error::from(error)).into());
        }
    };
    let resolved = destination.leading_to(resolved);
    let Placement { directory, name: new_name } = match &from {
        Some((location, _, is_directory)) => place(location, *is_directory, &resolved, kind).map_err(refused)?,
        None if kind == Existing::Directory => Placement { directory: resolved.path, name: Vec::new() },
        None => return Err(Failure::new(format!("destination {shown:?} must be a directory")).into()),
    };
    root.check_writable(&directory)?;
    let missing = || {
        let directory = kiln_types::paths::display(&directory);
        Failure::new(format!("Could not find the file {directory} in container {name}"))
    };
    root.directory(&directory).map_err(|error| match error {
        Errno::NOTDIR => Failure::new("extraction point is not a directory"),
        error => not_there(error, missing()),
    })?;
    let cancel = session.interrupts.catch()?;
    let owners = if options.archive || from.is_none() { Owners::Members } else { Owners::Given(0, 0) };
    let mut placing = Placing::new(root.as_fd(), &directory, Within::Root, owners);
    let copied = match &from {
        Some((_, path, _)) => {
            let parent = here::open_directory(kiln_types::paths::parent(path).unwrap_or_default())?;
            let entry = if path.is_empty() { &b"."[..] } else { kiln_types::paths::name(path) };
            copy(&parent, entry, &new_name, &mut placing, &cancel)?
        }
        None => extract(&mut placing, &cancel)?,
    };
    placing.finish()?;
    tell(copied, &shown, options)
}

/// Copies what is in an open directory under `entry`, to be called `name`. Answers the bytes of its files.
fn copy(
    parent: &std::os::fd::OwnedFd,
    entry: &[u8],
    name: &[u8],
    placing: &mut Placing<'_>,
    cancel: &Cancel,
) -> anyhow::Result<u64> {
    let mut copied = 0;
    read_tree(parent, entry, &mut |member, content| {
        copied += member.size;
        placing.put(&renamed(member, name), &mut Cancellable::new(content, cancel.clone()))
    })?;
    Ok(copied)
}

/// Takes a tar, compressed or not, from standard input.
fn extract(placing: &mut Placing<'_>, cancel: &Cancel) -> anyhow::Result<u64> {
    let failed = |error| Failure::new("cannot read the archive on standard input").because(error);
    let input = Cancellable::new(io::stdin(), cancel.clone());
    let mut tar = TarReader::new(compress::decompressed(input).map_err(|error: io::Error| failed(error))?);
    let mut copied = 0;
    while let Some(member) = tar.next()? {
        copied += member.size;
        placing.put(&member, &mut tar.content())?;
    }
    // Whoever writes the archive shall not be cut off within what follows its end.
    io::copy(&mut io::stdin(), &mut io::sink()).map_err(failed)?;
    Ok(copied)
}

/// A member of a tree as one of a tree that is called `name`, or of none.
fn renamed(member: Member, name: &[u8]) -> Member {
    let below = |path: &[u8]| kiln_types::paths::join(name, path);
    let link = if member.kind == MemberKind::HardLink { below(&member.link) } else { member.link };
    Member { path: below(&member.path), link, ..member }
}

fn refused(refusal: paths::Refusal) -> Failure {
    Failure::new(refusal.to_string())
}

fn not_there(error: Errno, missing: Failure) -> Failure {
    match error {
        Errno::NOENT => missing,
        error => missing.because(io::Error::from(error)),
    }
}

fn tell(bytes: u64, destination: &str, options: &Cp) -> anyhow::Result<()> {
    // As Docker does: who is no terminal wants to hear nothing.
    if !options.quiet && io::stdout().is_terminal() {
        writeln!(io::stderr(), "Successfully copied {} to {destination}", size::short(bytes))?;
    }
    Ok(())
}
