//! `mkdir`.

use std::path::Path;

use super::chmod::{Mode, current_umask};
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::Spec;

const SPEC: Spec =
    Spec { short: "pvm:", long: &[("parents", 'p'), ("verbose", 'v'), ("mode", 'm')], operands_last: false };

pub fn mkdir(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    if given.operands.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    let mode = match given.value('m') {
        Some(text) => match Mode::parse(text) {
            Some(mode) => Some(mode.apply(0o777, true, current_umask())),
            None => return Err(Failure::new(format!("invalid mode '{}'", show(text)))),
        },
        None => None,
    };
    let mut status = 0;
    for operand in &given.operands {
        let path = context.path(operand);
        let existed = path.is_dir();
        let mut made_parents = Vec::new();
        if given.has('p') && given.has('v') {
            let missing = path.ancestors().skip(1).take_while(|parent| !parent.exists());
            made_parents = missing.map(|parent| context.shown(parent)).collect();
        }
        let made = if given.has('p') { make_with_parents(&path) } else { std::fs::create_dir(&path) };
        let made = made.and_then(|()| match mode {
            Some(mode) if !existed => kiln_guest::chmod(&path, true, mode),
            _ => Ok(()),
        });
        match made {
            Ok(()) if given.has('v') && !existed => {
                for parent in made_parents.iter().rev() {
                    writeln!(context.stdout, "{}: created directory '{parent}'", context.name)?;
                }
                writeln!(context.stdout, "{}: created directory '{}'", context.name, show(operand))?;
            }
            Ok(()) => {}
            Err(error) => {
                context.complain(format!("cannot create directory '{}': {}", show(operand), reason(&error)));
                status = 1;
            }
        }
    }
    Ok(status)
}

/// Makes the directory and those above it that are missing. A link to a directory counts as one.
pub fn make_with_parents(path: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            match path.parent() {
                Some(parent) if parent != path => make_with_parents(parent)?,
                _ => return Err(error),
            }
            std::fs::create_dir(path)
        }
        Err(_) if path.is_dir() => Ok(()),
        other => other,
    }
}
