//! `rm`, `rmdir`.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::names::base_of;
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::Spec;

const RM: Spec = Spec {
    short: "rRfvdiI",
    long: &[
        ("recursive", 'r'),
        ("force", 'f'),
        ("verbose", 'v'),
        ("dir", 'd'),
        ("interactive", 'i'),
        ("preserve-root", 'ρ'),
        ("no-preserve-root", 'ν'),
        ("one-file-system", 'ο'),
    ],
    operands_last: false,
};

pub fn rm(context: &mut Context) -> Outcome {
    let given = RM.parse(context.args)?;
    let force = given.last_of("fi") == Some('f');
    if given.operands.is_empty() && !force {
        return Err(Failure::misuse("missing operand"));
    }
    let recursive = given.last_of("rR").is_some();
    let mut status = 0;
    for operand in &given.operands {
        let path = context.path(operand);
        if matches!(base_of(operand), b"." | b"..") {
            context.complain(format!("refusing to remove '.' or '..' directory: skipping '{}'", show(operand)));
            status = 1;
            continue;
        }
        if base_of(operand) == b"/" && recursive && !given.has('ν') {
            context.complain("it is dangerous to operate recursively on '/'");
            status = 1;
            continue;
        }
        match remove(&path, recursive, given.has('d')) {
            Ok(()) if given.has('v') => writeln!(context.stdout, "removed '{}'", show(operand))?,
            Ok(()) => {}
            Err(error) if force && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => {
                context.complain(format!("cannot remove '{}': {}", show(operand), reason(&error)));
                status = 1;
            }
        }
    }
    Ok(status)
}

fn remove(path: &Path, recursive: bool, empty_directories: bool) -> io::Result<()> {
    let meta = std::fs::symlink_metadata(path)?;
    match meta.is_dir() {
        false => std::fs::remove_file(path),
        true if recursive => remove_tree(path),
        true if empty_directories => std::fs::remove_dir(path),
        true => Err(io::Error::other("Is a directory")),
    }
}

/// Removes a directory and everything beneath it; links are removed, not followed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()? {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    std::fs::remove_dir(path)
}

pub fn rmdir(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "pv",
        long: &[("parents", 'p'), ("verbose", 'v'), ("ignore-fail-on-non-empty", 'ι')],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    if given.operands.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    let mut status = 0;
    for operand in &given.operands {
        let mut directory = operand.as_slice();
        loop {
            let path = context.path(directory);
            match std::fs::remove_dir(&path) {
                Ok(()) => {}
                Err(error) if given.has('ι') && error.kind() == ErrorKind::DirectoryNotEmpty => break,
                Err(error) => {
                    context.complain(format!("failed to remove '{}': {}", show(directory), reason(&error)));
                    status = 1;
                    break;
                }
            }
            directory = super::names::directory_of(directory);
            if !given.has('p') || matches!(directory, b"." | b"/") {
                break;
            }
        }
    }
    Ok(status)
}
