//! `basename`, `dirname`: paths as text.

use crate::context::{Context, Failure, Outcome, show};
use crate::options::Spec;

const BASENAME: Spec =
    Spec { short: "as:z", long: &[("multiple", 'a'), ("suffix", 's'), ("zero", 'z')], operands_last: true };

pub fn basename(context: &mut Context) -> Outcome {
    let given = BASENAME.parse(context.args)?;
    let mut operands = given.operands.as_slice();
    let mut suffix = given.value('s').unwrap_or_default();
    if operands.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    if !given.has('a') && !given.has('s') {
        if let Some(extra) = operands.get(2) {
            return Err(Failure::misuse(format!("extra operand '{}'", show(extra))));
        }
        if let [name, second] = operands {
            suffix = second;
            operands = std::slice::from_ref(name);
        }
    }
    let end = if given.has('z') { 0 } else { b'\n' };
    for operand in operands {
        let mut base = base_of(operand);
        if base != suffix {
            base = base.strip_suffix(suffix).unwrap_or(base);
        }
        context.stdout.write_all(base)?;
        context.stdout.write_all(&[end])?;
    }
    Ok(0)
}

/// The last name of a path.
pub fn base_of(path: &[u8]) -> &[u8] {
    let trimmed = without_slashes(path);
    if trimmed.is_empty() {
        return if path.is_empty() { b"" } else { b"/" };
    }
    let start = trimmed.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    &trimmed[start..]
}

fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    &path[..end]
}

pub fn dirname(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec { short: "z", long: &[("zero", 'z')], operands_last: false };
    let given = SPEC.parse(context.args)?;
    if given.operands.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    let end = if given.has('z') { 0 } else { b'\n' };
    for operand in &given.operands {
        context.stdout.write_all(directory_of(operand))?;
        context.stdout.write_all(&[end])?;
    }
    Ok(0)
}

/// All but the last name of a path.
pub fn directory_of(path: &[u8]) -> &[u8] {
    let trimmed = without_slashes(path);
    match trimmed.iter().rposition(|&byte| byte == b'/') {
        None if trimmed.is_empty() && !path.is_empty() => b"/",
        None => b".",
        Some(at) => match without_slashes(&trimmed[..at]) {
            b"" => b"/",
            directory => directory,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_paths() {
        for (path, base, directory) in [
            ("/usr/bin/sort", "sort", "/usr/bin"),
            ("stdio.h", "stdio.h", "."),
            ("/", "/", "/"),
            ("//a//", "a", "/"),
            ("a/b/", "b", "a"),
            ("", "", "."),
        ] {
            assert_eq!(show(base_of(path.as_bytes())), base);
            assert_eq!(show(directory_of(path.as_bytes())), directory);
        }
    }
}
