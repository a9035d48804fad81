//! `chown`, `chgrp`, `install`.

use std::path::Path;

use super::chmod::{Mode, current_umask, for_each_below};
use super::cp::{Copying, Report, copy, destinations};
use super::mkdir::make_with_parents;
use super::system::account_id;
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "RhfvcHLP",
    long: &[
        ("recursive", 'R'),
        ("no-dereference", 'h'),
        ("silent", 'f'),
        ("quiet", 'f'),
        ("verbose", 'v'),
        ("changes", 'c'),
        ("reference", 'Ρ'),
        ("from", 'Φ'),
    ],
    operands_last: false,
};

type Owner = (Option<u32>, Option<u32>);

/// `user`, `user:group`, `user:`, `:group`.
fn owner(context: &Context, text: &[u8]) -> Result<Owner, Failure> {
    let separator = text.iter().position(|&byte| byte == b':');
    let (user, group) = match separator {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let uid = match user {
        b"" => None,
        user => Some(
            account_id(context, "/etc/passwd", user)
                .ok_or_else(|| Failure::new(format!("invalid user: '{}'", show(text))))?,
        ),
    };
    let gid = match group {
        None | Some(b"") => None,
        Some(group) => Some(
            account_id(context, "/etc/group", group)
                .ok_or_else(|| Failure::new(format!("invalid group: '{}'", show(group))))?,
        ),
    };
    Ok((uid, gid))
}

pub fn chown(context: &mut Context) -> Outcome {
    change(context, owner)
}

pub fn chgrp(context: &mut Context) -> Outcome {
    change(context, |context, text| owner(context, &[b":", text].concat()))
}

fn change(context: &mut Context, parse: fn(&Context, &[u8]) -> Result<Owner, Failure>) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let mut operands = given.operands.as_slice();
    let (uid, gid) = match given.value('Ρ') {
        Some(reference) => {
            let stat = kiln_guest::stat(&context.path(reference), true)
                .map_err(|error| Failure::new(format!("{}: {}", show(reference), reason(&error))))?;
            (Some(stat.uid), Some(stat.gid))
        }
        None => {
            let Some((first, rest)) = operands.split_first() else { return Err(Failure::misuse("missing operand")) };
            operands = rest;
            parse(context, first)?
        }
    };
    if operands.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    let mut status = 0;
    for operand in operands {
        let path = context.path(operand);
        let mut each = |context: &mut Context, path: &Path, follow: bool| {
            if let Err(error) = kiln_guest::chown(path, follow, uid, gid) {
                status = 1;
                if !given.has('f') {
                    let missing = error.kind() == std::io::ErrorKind::NotFound;
                    let what = if missing { "cannot access" } else { "changing ownership of" };
                    context.complain(format!("{what} '{}': {}", path.display(), reason(&error)));
                }
            }
        };
        each(context, &path, !given.has('h'));
        if given.has('R') {
            for_each_below(&path, &mut |path| each(context, path, false));
        }
    }
    Ok(status)
}

pub fn install(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "dDm:o:g:t:TvpsCc",
        long: &[
            ("directory", 'd'),
            ("mode", 'm'),
            ("owner", 'o'),
            ("group", 'g'),
            ("target-directory", 't'),
            ("no-target-directory", 'T'),
            ("verbose", 'v'),
            ("preserve-timestamps", 'p'),
            ("strip", 's'),
            ("compare", 'C'),
        ],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    let text = given.value('m').unwrap_or(b"755");
    let Some(mode) = Mode::parse(text).map(|mode| mode.apply(0, given.has('d'), 0)) else {
        return Err(Failure::new(format!("invalid mode '{}'", show(text))));
    };
    let id = |letter, file, kind| match given.value(letter) {
        Some(name) => account_id(context, file, name)
            .map(Some)
            .ok_or_else(|| Failure::new(format!("invalid {kind} '{}'", show(name)))),
        None => Ok(None),
    };
    let (uid, gid) = (id('o', "/etc/passwd", "user")?, id('g', "/etc/group", "group")?);
    let finish = |path: &Path| {
        if uid.is_some() || gid.is_some() {
            kiln_guest::chown(path, true, uid, gid)?;
        }
        kiln_guest::chmod(path, true, mode)
    };
    let mut status = 0;
    if given.has('d') {
        for operand in &given.operands {
            let path = context.path(operand);
            if let Err(error) = make_with_parents(&path).and_then(|()| finish(&path)) {
                context.complain(format!("cannot create directory '{}': {}", show(operand), reason(&error)));
                status = 1;
            }
        }
        return Ok(status);
    }
    if given.has('D') {
        let parent = match given.value('t') {
            Some(directory) => Some(context.path(directory)),
            None => given.operands.last().and_then(|last| context.path(last).parent().map(Path::to_path_buf)),
        };
        if let Some(parent) = parent {
            make_with_parents(&parent).map_err(|error| {
                Failure::new(format!("cannot create directory '{}': {}", parent.display(), reason(&error)))
            })?;
        }
    }
    let (sources, targets) = destinations(context, &given.operands, given.value('t'), given.has('T'), false)?;
    let copying = Copying { follow: true, follow_operands: true, umask: current_umask(), ..Copying::default() };
    for (operand, target) in sources.iter().zip(targets) {
        let source = context.path(operand);
        if source.is_dir() {
            context.complain(format!("omitting directory '{}'", show(operand)));
            status = 1;
            continue;
        }
        let mut report = Report::default();
        if given.has('v') {
            let shown = context.shown(&target);
            writeln!(context.stdout, "'{}' -> '{shown}'", show(operand))?;
        }
        // A new file, so that an old one that others have open or linked stays as it is.
        let _ = std::fs::remove_file(&target);
        copy(&source, &target, copying, true, &mut report);
        let mut problems = report.problems;
        if problems.is_empty() {
            if let Err(error) = finish(&target) {
                problems.push(format!("cannot set the mode of '{}': {}", target.display(), reason(&error)));
            }
            if let (true, Ok(stat)) = (given.has('p'), kiln_guest::stat(&source, true)) {
                kiln_guest::set_times(&target, true, Some(stat.atime), Some(stat.mtime))?;
            }
        }
        for problem in problems {
            context.complain(problem);
            status = 1;
        }
    }
    Ok(status)
}
