//! `cd`, `pwd`, `read`, `umask`.

use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use kiln_tools::context::{STATUS_BROKEN_PIPE, path_bytes, reason, show};
use kiln_tools::tools::paths::{Missing, canonical};

use crate::state::{Shell, Stop};
use crate::syntax::is_name;

/// Prints for a builtin.
pub(super) fn print(shell: &mut Shell, bytes: &[u8]) -> Result<u8, Stop> {
    match shell.write(1, bytes) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Stop::Exit(STATUS_BROKEN_PIPE)),
        Err(error) => {
            shell.complain(&format!("write error: {}", reason(&error)));
            Ok(1)
        }
    }
}

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
    while let Some(arg) = args.first().filter(|arg| matches!(arg.as_slice(), b"-L" | b"-P" | b"--" | b"-e")) {
        physical = match arg.as_slice() {
            b"-P" => true,
            b"-L" => false,
            _ => physical,
        };
        args = &args[1..];
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
        let directories = search.split(|&byte| byte == b':').filter(|directory| !directory.is_empty());
        let candidates =
            directories.map(|directory| shell.cwd.join(kiln_guest::path(directory)).join(kiln_guest::path(&target)));
        if let Some(found) = candidates.into_iter().find(|candidate| candidate.is_dir()) {
            joined = found;
            shown = true;
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

pub(super) fn umask(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let symbolic = argv.get(1).is_some_and(|arg| arg == b"-S");
    match argv.get(if symbolic { 2 } else { 1 }) {
        None if symbolic => {
            let allowed = !shell.umask & 0o777;
            let letters = |shift: u32| -> String {
                [(4, 'r'), (2, 'w'), (1, 'x')]
                    .iter()
                    .filter(|(bit, _)| allowed >> shift & bit != 0)
                    .map(|(_, c)| *c)
                    .collect()
            };
            print(shell, format!("u={},g={},o={}\n", letters(6), letters(3), letters(0)).as_bytes())
        }
        None => {
            let line = format!("{:04o}\n", shell.umask);
            print(shell, line.as_bytes())
        }
        Some(text) => {
            let octal = u32::from_str_radix(&show(text), 8).ok().filter(|mask| *mask <= 0o777);
            let mask = octal.or_else(|| {
                let mode = kiln_tools::tools::chmod::Mode::parse(text)?;
                Some(!mode.apply(!shell.umask & 0o777, true, 0) & 0o777)
            });
            let Some(mask) = mask else {
                return Err(shell.fail(&format!("umask: Illegal mode: {}", show(text))));
            };
            kiln_guest::umask(mask);
            shell.umask = mask;
            Ok(0)
        }
    }
}

/// A byte and whether a backslash took its meaning.
type Quoted = (u8, bool);

pub(super) fn read(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut args = &argv[1..];
    let mut raw = false;
    while let Some(arg) = args.first().filter(|arg| arg.len() > 1 && arg[0] == b'-') {
        match arg.as_slice() {
            b"-r" => raw = true,
            b"-p" => args = &args[args.len().min(1)..],
            b"--" => {}
            _ => return Err(shell.fail(&format!("read: Illegal option {}", show(arg)))),
        }
        args = &args[args.len().min(1)..];
    }
    if args.is_empty() {
        return Err(shell.fail("read: arg count"));
    }
    if let Some(bad) = args.iter().find(|name| !is_name(name)) {
        return Err(shell.fail(&format!("read: {}: bad variable name", show(bad))));
    }
    let (line, complete) = match read_line(shell, raw) {
        Ok(read) => read,
        Err(error) => {
            shell.complain(&format!("read: {}", reason(&error)));
            return Ok(2);
        }
    };
    let ifs = shell.value(b"IFS").unwrap_or(b" \t\n").to_vec();
    let values = split(&line, &ifs, args.len());
    for (index, name) in args.iter().enumerate() {
        shell.assign(name, values.get(index).cloned().unwrap_or_default())?;
    }
    Ok(u8::from(!complete))
}

/// A line, read byte by byte so that whatever follows is left to others; and whether its newline came.
fn read_line(shell: &Shell, raw: bool) -> std::io::Result<(Vec<Quoted>, bool)> {
    let mut line = Vec::new();
    let Some(mut stream) = shell.streams.get(&0) else { return Ok((line, false)) };
    let mut escaped = false;
    loop {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok((line, false));
        }
        match byte[0] {
            b'\n' if escaped => escaped = false,
            b'\n' => return Ok((line, true)),
            b'\\' if !raw && !escaped => escaped = true,
            0 => {}
            other => {
                line.push((other, escaped));
                escaped = false;
            }
        }
    }
}

/// At most `most` fields; the last one takes the rest of the line.
fn split(line: &[Quoted], ifs: &[u8], most: usize) -> Vec<Vec<u8>> {
    let white = |&(byte, quoted): &Quoted| !quoted && ifs.contains(&byte) && matches!(byte, b' ' | b'\t' | b'\n');
    let separator = |&(byte, quoted): &Quoted| !quoted && ifs.contains(&byte);
    let text = |part: &[Quoted]| part.iter().map(|(byte, _)| *byte).collect::<Vec<u8>>();
    let trim_start = |part: &mut &[Quoted]| {
        while part.first().is_some_and(white) {
            *part = &part[1..];
        }
    };
    let mut rest = line;
    let mut fields = Vec::new();
    trim_start(&mut rest);
    while fields.len() + 1 < most && !rest.is_empty() {
        let end = rest.iter().position(separator).unwrap_or(rest.len());
        fields.push(text(&rest[..end]));
        rest = &rest[end..];
        trim_start(&mut rest);
        if rest.first().is_some_and(|byte| separator(byte) && !white(byte)) {
            rest = &rest[1..];
            trim_start(&mut rest);
        }
    }
    while rest.last().is_some_and(white) {
        rest = &rest[..rest.len() - 1];
    }
    // One separator that ends the line is not part of the last field, unless others are within it.
    if let Some((last, before)) = rest.split_last()
        && separator(last)
        && !before.iter().any(separator)
    {
        rest = before;
    }
    if !rest.is_empty() || fields.is_empty() {
        fields.push(text(rest));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_lines() {
        for (line, ifs, most, expected) in [
            (" a  b c ", " \t\n", 2, &["a", "b c"][..]),
            ("a:b:c", ":", 2, &["a", "b:c"]),
            ("a:", ":", 1, &["a"]),
            ("a b", "", 2, &["a b"]),
            ("", " ", 1, &[""]),
        ] {
            let quoted: Vec<Quoted> = line.bytes().map(|byte| (byte, false)).collect();
            let found: Vec<_> = split(&quoted, ifs.as_bytes(), most)
                .iter()
                .map(|field| String::from_utf8_lossy(field).into_owned())
                .collect();
            assert_eq!(found, expected, "{line:?}");
        }
    }

    #[test]
    fn dots_are_resolved_by_name() {
        assert_eq!(without_dots(Path::new("/a/./b/../../..//c")), Path::new("/c"));
        assert_eq!(path_bytes(&without_dots(Path::new("/"))), b"/");
    }
}
