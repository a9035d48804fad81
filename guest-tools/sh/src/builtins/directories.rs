//! `cd`, `pwd`, `pushd`, `popd`, `dirs`.

use std::path::{Component, Path, PathBuf};

use kiln_tools::context::{path_bytes, show};
use kiln_tools::options::number;
use kiln_tools::tools::paths::{Missing, canonical};

use super::io::print;
use crate::state::{Shell, Stop};

pub(super) fn pwd(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let physical = argv.get(1).is_some_and(|arg| arg == b"-P");
    let path = if physical {
        canonical(&shell.cwd, Missing::Nothing).unwrap_or_else(|_| shell.cwd.clone())
    } else {
        shell.cwd.clone()
    };
    let mut line = path_bytes(&path).to_vec();
    line.push(b'\n');
    print(shell, &line)
}

pub(super) fn cd(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut args = &argv[1..];
    let mut physical = false;
    while let Some((arg, rest)) = args.split_first().filter(|(arg, _)| arg.len() > 1 && arg[0] == b'-') {
        if !arg[1..].iter().all(|letter| b"LPe-".contains(letter)) {
            return Err(shell.fail(&format!("cd: Illegal option {}", show(arg))));
        }
        args = rest;
        if arg == b"--" {
            break;
        }
        // The last one counts.
        if let Some(letter) = arg.iter().rev().find(|letter| b"LP".contains(letter)) {
            physical = *letter == b'P';
        }
    }
    let target = match args.first() {
        None => match shell.value(b"HOME") {
            Some(home) if !home.is_empty() => home.to_vec(),
            _ => {
                shell.complain("cd: HOME not set");
                return Ok(2);
            }
        },
        Some(arg) if arg == b"-" => match shell.value(b"OLDPWD") {
            Some(old) => old.to_vec(),
            None => {
                shell.complain("cd: OLDPWD not set");
                return Ok(2);
            }
        },
        Some(arg) => arg.clone(),
    };
    let mut shown = args.first().is_some_and(|arg| arg == b"-");
    let mut joined = shell.cwd.join(kiln_guest::path(&target));
    let relative = !target.starts_with(b"/") && !matches!(target.split(|&b| b == b'/').next(), Some(b"." | b".."));
    if let (true, Some(search)) = (relative, shell.value(b"CDPATH")) {
        let candidate = |directory| shell.cwd.join(kiln_guest::path(directory)).join(kiln_guest::path(&target));
        let mut directories = search.split(|&byte| byte == b':');
        if let Some(directory) = directories.find(|directory| candidate(directory).is_dir()) {
            joined = candidate(directory);
            // An empty entry is the working directory, which goes without saying.
            shown |= !directory.is_empty();
        }
    }
    let path = if physical { canonical(&joined, Missing::Nothing).unwrap_or(joined) } else { without_dots(&joined) };
    if !path.is_dir() {
        shell.complain(&format!("cd: can't cd to {}", show(&target)));
        return Ok(2);
    }
    let old = path_bytes(&shell.cwd).to_vec();
    shell.assign(b"OLDPWD", old)?;
    shell.assign(b"PWD", path_bytes(&path).to_vec())?;
    shell.cwd = path;
    if shown {
        return pwd(shell, &[]);
    }
    Ok(0)
}

/// The path by name: `..` takes the last name away.
fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    out
}

/// The working directory and those that were left, the last one first.
fn stack(shell: &Shell) -> Vec<PathBuf> {
    std::iter::once(&shell.cwd).chain(shell.directories.iter().rev()).cloned().collect()
}

pub(super) fn dirs(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let letters: Vec<u8> =
        argv[1..].iter().filter(|arg| arg.starts_with(b"-")).flat_map(|arg| arg[1..].to_vec()).collect();
    if letters.contains(&b'c') {
        shell.directories.clear();
        return Ok(0);
    }
    let home = shell.value(b"HOME").unwrap_or_default().to_vec();
    let lines = letters.iter().any(|letter| b"pv".contains(letter));
    let mut out = Vec::new();
    for (index, directory) in stack(shell).iter().enumerate() {
        if index > 0 {
            out.push(if lines { b'\n' } else { b' ' });
        }
        if letters.contains(&b'v') {
            out.extend_from_slice(format!("{index:2}  ").as_bytes());
        }
        let path = path_bytes(directory);
        match path.strip_prefix(home.as_slice()) {
            Some(rest) if !home.is_empty() && !letters.contains(&b'l') && (rest.is_empty() || rest[0] == b'/') => {
                out.extend_from_slice(&[b"~", rest].concat());
            }
            _ => out.extend_from_slice(path),
        }
    }
    out.push(b'\n');
    print(shell, &out)
}

/// `+N` counts from the working directory, `-N` from the oldest one.
fn position(shell: &Shell, arg: &[u8]) -> Option<usize> {
    let (sign, digits) = arg.split_first()?;
    let count = number::<usize>(digits).filter(|count| *count <= shell.directories.len())?;
    match sign {
        b'+' => Some(count),
        b'-' => Some(shell.directories.len() - count),
        _ => None,
    }
}

fn go(shell: &mut Shell, directory: &Path) -> Result<u8, Stop> {
    let target = path_bytes(directory).to_vec();
    cd(shell, &[b"cd".to_vec(), b"--".to_vec(), target])
}

pub(super) fn pushd(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let old = shell.cwd.clone();
    let rotation = match argv.get(1) {
        None if shell.directories.is_empty() => {
            shell.complain("pushd: no other directory");
            return Ok(1);
        }
        None => None,
        Some(arg) => match position(shell, arg) {
            Some(position) => Some(position),
            None => {
                let target = kiln_guest::path(arg).to_path_buf();
                return match go(shell, &target)? {
                    0 => {
                        shell.directories.push(old);
                        dirs(shell, &argv[..1])
                    }
                    _ => Ok(1),
                };
            }
        },
    };
    let mut all = stack(shell);
    match rotation {
        None => all.swap(0, 1),
        Some(position) => all.rotate_left(position),
    }
    match go(shell, &all[0])? {
        0 => {
            shell.directories = all.into_iter().skip(1).rev().collect();
            dirs(shell, &argv[..1])
        }
        _ => Ok(1),
    }
}

pub(super) fn popd(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let at = match argv.get(1) {
        None => Some(0),
        Some(arg) => position(shell, arg),
    };
    let mut all = stack(shell);
    let Some(at) = at.filter(|_| all.len() > 1) else {
        shell.complain("popd: no such directory on the stack");
        return Ok(1);
    };
    all.remove(at);
    if at == 0 && go(shell, &all[0])? != 0 {
        return Ok(1);
    }
    shell.directories = all.into_iter().skip(1).rev().collect();
    dirs(shell, &argv[..1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_by_name() {
        assert_eq!(without_dots(Path::new("/a/./b/../../..//c")), Path::new("/c"));
        assert_eq!(path_bytes(&without_dots(Path::new("/"))), b"/");
    }
}
