//! `ln`.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::names::base_of;
use super::paths::{Missing, canonical};
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "sfnvTt:rPLib",
    long: &[
        ("symbolic", 's'),
        ("force", 'f'),
        ("no-dereference", 'n'),
        ("verbose", 'v'),
        ("no-target-directory", 'T'),
        ("target-directory", 't'),
        ("relative", 'r'),
    ],
    operands_last: false,
};

pub fn ln(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let mut targets = given.operands.clone();
    let directory = match given.value('t') {
        Some(directory) => Some(directory.to_vec()),
        None if targets.is_empty() => return Err(Failure::misuse("missing file operand")),
        None if targets.len() == 1 => Some(b".".to_vec()),
        None => {
            let last = targets.last().cloned().unwrap_or_default();
            let path = context.path(&last);
            let keeps_link = given.has('n') && path.is_symlink();
            if !given.has('T') && path.is_dir() && !keeps_link {
                targets.pop();
                Some(last)
            } else if targets.len() > 2 {
                return Err(Failure::new(format!("target '{}' is not a directory", show(&last))));
            } else {
                None
            }
        }
    };
    let pairs: Vec<(Vec<u8>, Vec<u8>)> = match directory {
        Some(directory) => {
            targets.iter().map(|target| (target.clone(), [&directory[..], b"/", base_of(target)].concat())).collect()
        }
        None => vec![(targets[0].clone(), targets[1].clone())],
    };
    let mut status = 0;
    for (target, link) in pairs {
        let path = context.path(&link);
        if given.has('f') && path.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
            // If it cannot be removed, making the link says why.
            let _ = std::fs::remove_file(&path);
        }
        let made = if given.has('s') {
            let value = if given.has('r') {
                relative(&context.path(&target), &path)
            } else {
                PathBuf::from(kiln_guest::path(&target))
            };
            kiln_guest::symlink(&value, &path)
        } else {
            hard_link(&context.path(&target), &path)
        };
        match made {
            Ok(()) if given.has('v') => {
                let arrow = if given.has('s') { "->" } else { "=>" };
                writeln!(context.stdout, "'{}' {arrow} '{}'", show(&link), show(&target))?;
            }
            Ok(()) => {}
            Err(error) => {
                let kind = if given.has('s') { "symbolic" } else { "hard" };
                context.complain(format!("failed to create {kind} link '{}': {}", show(&link), reason(&error)));
                status = 1;
            }
        }
    }
    Ok(status)
}

fn hard_link(target: &Path, link: &Path) -> io::Result<()> {
    if target.is_dir() {
        return Err(io::Error::other("hard link not allowed for directory"));
    }
    std::fs::hard_link(target, link)
}

/// The target as seen from the link's directory.
pub fn relative(target: &Path, link: &Path) -> PathBuf {
    let resolve = |path: &Path| canonical(path, Missing::Anything).unwrap_or_else(|_| path.to_path_buf());
    let target = resolve(target);
    let directory = resolve(link.parent().unwrap_or(Path::new("/")));
    relative_path(&target, &directory)
}

/// The way from one absolute directory to an absolute path.
pub fn relative_path(target: &Path, directory: &Path) -> PathBuf {
    let names = |path: &Path| -> Vec<_> {
        path.components()
            .filter_map(|part| if let Component::Normal(name) = part { Some(name.to_owned()) } else { None })
            .collect()
    };
    let (target, directory) = (names(target), names(directory));
    let common = target.iter().zip(&directory).take_while(|(a, b)| a == b).count();
    let mut out = PathBuf::new();
    for _ in common..directory.len() {
        out.push("..");
    }
    out.extend(&target[common..]);
    if out.as_os_str().is_empty() { ".".into() } else { out }
}
