//! `chmod`, and modes as people write them.

use std::path::Path;

use super::ls::mode_text;
use crate::context::{Context, Failure, Outcome, show};
use crate::options::Spec;

/// A mode or a change of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    Octal(u32),
    Symbolic(Vec<Change>),
}

/// One clause such as `u+x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// 04700, 02070, 01007 combined; 0 where no one was named, so that the umask applies.
    who: u32,
    operator: u8,
    /// Permission bits for everyone, to be limited to `who`.
    bits: u32,
    /// `X`.
    execute_if_any: bool,
    /// The class to copy from: a shift.
    copy: Option<u32>,
}

impl Mode {
    pub fn parse(text: &[u8]) -> Option<Mode> {
        if !text.is_empty() && text.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
            let mode = u32::from_str_radix(&show(text), 8).ok()?;
            return (mode <= 0o7777).then_some(Mode::Octal(mode));
        }
        let mut changes = Vec::new();
        for clause in text.split(|&byte| byte == b',') {
            let operators = clause.iter().position(|byte| b"+-=".contains(byte))?;
            let mut who = 0;
            for letter in &clause[..operators] {
                who |= match letter {
                    b'u' => 0o4700,
                    b'g' => 0o2070,
                    b'o' => 0o1007,
                    b'a' => 0o7777,
                    _ => return None,
                };
            }
            let mut rest = &clause[operators..];
            while let Some((&operator, after)) = rest.split_first() {
                let end = after.iter().position(|byte| b"+-=".contains(byte)).unwrap_or(after.len());
                let mut change = Change { who, operator, bits: 0, execute_if_any: false, copy: None };
                for letter in &after[..end] {
                    match letter {
                        b'r' => change.bits |= 0o444,
                        b'w' => change.bits |= 0o222,
                        b'x' => change.bits |= 0o111,
                        b'X' => change.execute_if_any = true,
                        b's' => change.bits |= 0o6000,
                        b't' => change.bits |= 0o1000,
                        b'u' => change.copy = Some(6),
                        b'g' => change.copy = Some(3),
                        b'o' => change.copy = Some(0),
                        _ => return None,
                    }
                }
                changes.push(change);
                rest = &after[end..];
            }
        }
        Some(Mode::Symbolic(changes))
    }

    /// The mode that a file of mode `old` gets.
    pub fn apply(&self, old: u32, is_dir: bool, umask: u32) -> u32 {
        let changes = match self {
            // An octal mode leaves a directory's set-id bits unless it names them.
            Mode::Octal(mode) if is_dir && *mode < 0o1000 => return mode | (old & 0o6000),
            Mode::Octal(mode) => return *mode,
            Mode::Symbolic(changes) => changes,
        };
        let mut mode = old & 0o7777;
        for change in changes {
            let mut bits = change.bits;
            if change.execute_if_any && (is_dir || mode & 0o111 != 0) {
                bits |= 0o111;
            }
            if let Some(shift) = change.copy {
                let class = mode >> shift & 7;
                bits |= class << 6 | class << 3 | class;
            }
            let who = if change.who == 0 { 0o7777 } else { change.who };
            let mut bits = bits & (who | if change.who & 0o700 != 0 && change.who & 0o007 != 0 { 0o1000 } else { 0 });
            if change.who == 0 {
                bits &= !umask;
            }
            match change.operator {
                b'+' => mode |= bits,
                b'-' => mode &= !bits,
                _ => {
                    let kept = if is_dir { who & !0o6000 } else { who };
                    mode = (mode & !kept) | bits;
                }
            }
        }
        mode
    }
}

/// The umask, without changing it.
pub fn current_umask() -> u32 {
    let mask = kiln_guest::umask(0o022);
    kiln_guest::umask(mask);
    mask
}

const SPEC: Spec = Spec {
    short: "RfvcrwxXstugoa",
    long: &[
        ("recursive", 'R'),
        ("silent", 'f'),
        ("quiet", 'f'),
        ("verbose", 'v'),
        ("changes", 'c'),
        ("reference", 'Ρ'),
    ],
    operands_last: false,
};

pub fn chmod(context: &mut Context) -> Outcome {
    // `-w` and the like are modes, not options.
    let is_mode =
        |arg: &Vec<u8>| arg.len() > 1 && arg[0] == b'-' && arg[1..].iter().all(|byte| b"rwxXstugoa,+=".contains(byte));
    let mut args = context.args.to_vec();
    let mode_arg = args.iter().position(is_mode).map(|index| args.remove(index));
    let given = SPEC.parse(&args)?;
    let mut operands = given.operands.as_slice();
    let mode = match (given.value('Ρ'), mode_arg) {
        (Some(reference), _) => {
            let stat = kiln_guest::stat(&context.path(reference), true)
                .map_err(|error| Failure::new(format!("failed to get attributes of '{}': {error}", show(reference))))?;
            Mode::Octal(stat.mode & 0o7777)
        }
        (None, mode_arg) => {
            let text = match mode_arg {
                Some(text) => text,
                None => {
                    let Some((first, rest)) = operands.split_first() else {
                        return Err(Failure::misuse("missing operand"));
                    };
                    operands = rest;
                    first.clone()
                }
            };
            Mode::parse(&text).ok_or_else(|| Failure::new(format!("invalid mode: '{}'", show(&text))))?
        }
    };
    if operands.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    let umask = current_umask();
    let mut status = 0;
    for operand in operands {
        let path = context.path(operand);
        let mut each = |context: &mut Context, path: &Path, follow: bool| match change(path, follow, &mode, umask) {
            Ok((old, new)) if given.has('v') || (given.has('c') && old != new) => {
                // If it cannot be written, the last flush says so.
                let _ = writeln!(context.stdout, "{}", changed(&context.shown(path), old, new));
            }
            Ok(_) => {}
            Err(error) => {
                status = 1;
                if !given.has('f') {
                    context.complain(format!("cannot access '{}': {}", path.display(), crate::context::reason(&error)));
                }
            }
        };
        each(context, &path, true);
        if given.has('R') {
            for_each_below(&path, &mut |path| each(context, path, false));
        }
    }
    Ok(status)
}

/// The mode before and after, with the type.
fn change(path: &Path, follow: bool, mode: &Mode, umask: u32) -> std::io::Result<(u32, u32)> {
    let stat = kiln_guest::stat(path, follow)?;
    if stat.is_symlink() {
        return Ok((stat.mode, stat.mode));
    }
    let new = mode.apply(stat.mode & 0o7777, stat.is_dir(), umask);
    kiln_guest::chmod(path, true, new)?;
    Ok((stat.mode, stat.mode & !0o7777 | new))
}

fn changed(name: &str, old: u32, new: u32) -> String {
    let shown = |mode: u32| format!("{:04o} ({})", mode & 0o7777, &mode_text(mode)[1..]);
    if old == new {
        format!("mode of '{name}' retained as {}", shown(new))
    } else {
        format!("mode of '{name}' changed from {} to {}", shown(old), shown(new))
    }
}

/// Calls `each` with everything beneath a directory, in byte order, directories before what they hold. Links are not
/// followed.
pub fn for_each_below(directory: &Path, each: &mut dyn FnMut(&Path)) {
    if !std::fs::symlink_metadata(directory).is_ok_and(|meta| meta.is_dir()) {
        return;
    }
    for name in sorted_names(directory).unwrap_or_default() {
        let path = directory.join(name);
        each(&path);
        for_each_below(&path, each);
    }
}

/// A directory's names in byte order.
pub fn sorted_names(directory: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
    let mut names =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies_modes() {
        for (text, old, is_dir, expected) in [
            ("755", 0o644, false, 0o755),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("go=", 0o777, false, 0o700),
            ("u=rwx,g=rx,o=", 0o000, false, 0o750),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o644, true, 0o755),
            ("g=u", 0o700, false, 0o770),
            ("+t", 0o755, true, 0o1755),
            ("u+s", 0o755, false, 0o4755),
            ("+w", 0o444, false, 0o644),
        ] {
            let mode = Mode::parse(text.as_bytes()).expect(text);
            assert_eq!(mode.apply(old, is_dir, 0o022), expected, "{text}");
        }
        assert_eq!(Mode::parse(b"9"), None);
        assert_eq!(Mode::parse(b"u"), None);
    }
}
