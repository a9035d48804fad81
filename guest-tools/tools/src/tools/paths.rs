//! `realpath`, `readlink`, `mktemp`, `which`.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::names::directory_of;
use crate::context::{Context, Failure, Outcome, path_bytes, reason, show};
use crate::options::Spec;

/// Which parts of a path must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Nothing,
    Last,
    Anything,
}

const MAX_LINKS: u32 = 40;

/// The path without links and dots. (WASI has no realpath of its own.)
pub fn canonical(path: &Path, missing: Missing) -> io::Result<PathBuf> {
    let mut out = PathBuf::from("/");
    let mut todo: Vec<std::ffi::OsString> = names(path);
    todo.reverse();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            out.pop();
            continue;
        }
        out.push(&name);
        match std::fs::symlink_metadata(&out) {
            Ok(meta) if meta.is_symlink() => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::other("Too many levels of symbolic links"));
                }
                let target = std::fs::read_link(&out)?;
                if target.is_absolute() {
                    out = PathBuf::from("/");
                } else {
                    out.pop();
                }
                todo.extend(names(&target).into_iter().rev());
            }
            Ok(meta) if !todo.is_empty() && !meta.is_dir() && missing != Missing::Anything => {
                return Err(io::Error::other("Not a directory"));
            }
            Ok(_) => {}
            Err(_) if missing == Missing::Anything || (missing == Missing::Last && todo.is_empty()) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

fn names(path: &Path) -> Vec<std::ffi::OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

/// Whether a directory on the way from `directory` to `path` below it is a link to somewhere else.
pub fn reaches_outside(directory: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(directory).unwrap_or(path);
    let mut current = directory.to_path_buf();
    let mut components = below.components().peekable();
    while let Some(component) = components.next() {
        current.push(component);
        if components.peek().is_some() && current.is_symlink() && !stays_inside(&current, directory) {
            return true;
        }
    }
    false
}

fn stays_inside(link: &Path, directory: &Path) -> bool {
    match (canonical(link, Missing::Anything), canonical(directory, Missing::Anything)) {
        (Ok(target), Ok(directory)) => target.starts_with(directory),
        _ => false,
    }
}

pub fn realpath(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "emqszLP",
        long: &[
            ("canonicalize-existing", 'e'),
            ("canonicalize-missing", 'm'),
            ("quiet", 'q'),
            ("strip", 's'),
            ("no-symlinks", 's'),
            ("zero", 'z'),
            ("relative-to", 'Ρ'),
            ("relative-base", 'Β'),
        ],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    if given.operands.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    let missing = match given.last_of("em") {
        Some('e') => Missing::Nothing,
        Some(_) => Missing::Anything,
        None => Missing::Last,
    };
    let end = if given.has('z') { 0 } else { b'\n' };
    let relative_to = match given.value('Ρ') {
        Some(directory) => Some(
            canonical(&context.path(directory), Missing::Last)
                .map_err(|error| Failure::new(format!("{}: {}", show(directory), reason(&error))))?,
        ),
        None => None,
    };
    let mut status = 0;
    for operand in &given.operands {
        let path = context.path(operand);
        let found = if operand.is_empty() {
            Err(io::Error::from(io::ErrorKind::NotFound))
        } else if given.has('s') {
            Ok(plain(&path))
        } else {
            canonical(&path, missing)
        };
        match found {
            Ok(found) => {
                let shown = match &relative_to {
                    Some(directory) => super::ln::relative_path(&found, directory),
                    None => found,
                };
                context.stdout.write_all(path_bytes(&shown))?;
                context.stdout.write_all(&[end])?;
            }
            Err(error) => {
                if !given.has('q') {
                    context.complain_of(operand, &error);
                }
                status = 1;
            }
        }
    }
    Ok(status)
}

/// The path with its dots resolved by name.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for name in names(path) {
        if name == ".." {
            out.pop();
        } else {
            out.push(name);
        }
    }
    out
}

pub fn readlink(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "femnqsvz",
        long: &[
            ("canonicalize", 'f'),
            ("canonicalize-existing", 'e'),
            ("canonicalize-missing", 'm'),
            ("no-newline", 'n'),
            ("zero", 'z'),
        ],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    if given.operands.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    let mut status = 0;
    for operand in &given.operands {
        let path = context.path(operand);
        let found = match given.last_of("fem") {
            Some('f') => canonical(&path, Missing::Last),
            Some('e') => canonical(&path, Missing::Nothing),
            Some(_) => canonical(&path, Missing::Anything),
            None => std::fs::read_link(&path),
        };
        match found {
            Ok(found) => {
                context.stdout.write_all(path_bytes(&found))?;
                if !given.has('n') || given.operands.len() > 1 {
                    context.stdout.write_all(if given.has('z') { b"\0" } else { b"\n" })?;
                }
            }
            Err(error) => {
                if given.has('v') {
                    context.complain_of(operand, &error);
                }
                status = 1;
            }
        }
    }
    Ok(status)
}

/// Names are counted, not drawn: a step's result must not depend on chance.
pub fn mktemp(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "dqup:t",
        long: &[("directory", 'd'), ("quiet", 'q'), ("dry-run", 'u'), ("tmpdir", 'p'), ("suffix", 'Σ')],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    let in_directory = given.has('p') || given.has('t') || given.operands.is_empty();
    let template = given.operands.first().map_or(&b"tmp.XXXXXXXXXX"[..], Vec::as_slice);
    let suffix_given = given.value('Σ').unwrap_or_default();
    let Some(last) = template.iter().rposition(|&byte| byte == b'X') else {
        return Err(Failure::new(format!("too few X's in template '{}'", show(template))));
    };
    let count = template[..=last].iter().rev().take_while(|&&byte| byte == b'X').count();
    if count < 3 {
        return Err(Failure::new(format!("too few X's in template '{}'", show(template))));
    }
    let (start, suffix) = (&template[..=last - count], &template[last + 1..]);
    let start = if last + 1 == count { &b""[..] } else { start };
    let directory = if in_directory {
        let given = given.value('p').filter(|directory| !directory.is_empty());
        given.or(context.env("TMPDIR").filter(|directory| !directory.is_empty())).unwrap_or(b"/tmp").to_vec()
    } else {
        Vec::new()
    };
    for attempt in 0u64.. {
        let name = [start, counted(attempt, count).as_bytes(), suffix, suffix_given].concat();
        let shown = if directory.is_empty() { name } else { [&directory, &b"/"[..], &name].concat() };
        let path = context.path(&shown);
        let made = if path.symlink_metadata().is_ok() {
            continue;
        } else if given.has('u') {
            Ok(())
        } else if given.has('d') {
            std::fs::create_dir(&path).and_then(|()| kiln_guest::chmod(&path, true, 0o700))
        } else {
            std::fs::File::create_new(&path).and_then(|_| kiln_guest::chmod(&path, true, 0o600))
        };
        if let Err(error) = made {
            let message = format!("failed to create file via template '{}': {}", show(template), reason(&error));
            return Err(Failure::new(if given.has('q') { String::new() } else { message }));
        }
        context.stdout.write_all(&shown)?;
        context.stdout.write_all(b"\n")?;
        break;
    }
    Ok(0)
}

fn counted(attempt: u64, width: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut text = vec![b'0'; width];
    let mut rest = attempt;
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[(rest % 36) as usize];
        rest /= 36;
    }
    show(&text).into_owned()
}

pub fn which(context: &mut Context) -> Outcome {
    let given = Spec::short("as").parse(context.args)?;
    let mut status = 0;
    for operand in &given.operands {
        let candidates: Vec<PathBuf> = if directory_of(operand) != b"." || operand.starts_with(b"./") {
            vec![context.path(operand)]
        } else {
            let path = context.env("PATH").unwrap_or_default();
            let directories = path.split(|&byte| byte == b':').chain(std::iter::once(&b"/.kiln/bin"[..]));
            directories.map(|directory| context.path(directory).join(kiln_guest::path(operand))).collect()
        };
        let mut found = false;
        for candidate in candidates {
            let is_program =
                kiln_guest::stat(&candidate, true).is_ok_and(|stat| stat.is_file() && stat.mode & 0o111 != 0);
            if is_program && (!found || given.has('a')) {
                found = true;
                context.stdout.write_all(path_bytes(&candidate))?;
                context.stdout.write_all(b"\n")?;
            }
        }
        status |= u8::from(!found);
    }
    Ok(status)
}
