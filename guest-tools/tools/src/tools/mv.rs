//! `mv`.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::cp::{Copying, Report, copy, destinations, is_newer};
use super::rm::remove_tree;
use crate::context::{Context, Outcome, reason, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "fnvTt:ui",
    long: &[
        ("force", 'f'),
        ("no-clobber", 'n'),
        ("verbose", 'v'),
        ("no-target-directory", 'T'),
        ("target-directory", 't'),
        ("update", 'u'),
    ],
    operands_last: false,
};

pub fn mv(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let (sources, pairs) = destinations(context, &given.operands, given.value('t'), given.has('T'), false)?;
    let mut status = 0;
    for (operand, destination) in sources.iter().zip(pairs) {
        let source = context.path(operand);
        let exists = destination.symlink_metadata().is_ok();
        if exists && (given.has('n') || (given.has('u') && !is_newer(&source, &destination))) {
            continue;
        }
        match rename(&source, &destination) {
            Ok(()) if given.has('v') => {
                let shown = context.shown(&destination);
                writeln!(context.stdout, "renamed '{}' -> '{shown}'", show(operand))?;
            }
            Ok(()) => {}
            Err(error) => {
                let what = match error.kind() {
                    ErrorKind::NotFound if source.symlink_metadata().is_err() => {
                        format!("cannot stat '{}'", show(operand))
                    }
                    ErrorKind::InvalidInput => {
                        let shown = context.shown(&destination);
                        context.complain(format!(
                            "cannot move '{}' to a subdirectory of itself, '{shown}'",
                            show(operand)
                        ));
                        status = 1;
                        continue;
                    }
                    _ => format!("cannot move '{}' to '{}'", show(operand), destination.display()),
                };
                context.complain(format!("{what}: {}", reason(&error)));
                status = 1;
            }
        }
    }
    Ok(status)
}

/// Renames, or copies and removes where the two are on different file systems.
fn rename(source: &Path, destination: &Path) -> io::Result<()> {
    match std::fs::rename(source, destination) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let mut report = Report::default();
            let copying = Copying { recursive: true, preserve: true, ..Copying::default() };
            copy(source, destination, copying, true, &mut report);
            match report.problems.into_iter().next() {
                Some(problem) => Err(io::Error::other(problem)),
                None if std::fs::symlink_metadata(source)?.is_dir() => remove_tree(source),
                None => std::fs::remove_file(source),
            }
        }
        other => other,
    }
}
