//! File names from patterns.

use std::path::Path;

use kiln_guest::{OsStrExt, path};
use kiln_tools::pattern::Pattern;

use crate::fields::Field;

/// Adds the names that match the field, in byte order, or the field itself where none does.
pub(crate) fn generate(cwd: &Path, field: Field, out: &mut Vec<Vec<u8>>) {
    let special = field.bytes.iter().zip(&field.quoted).any(|(byte, quoted)| !quoted && b"*?[".contains(byte));
    if !special {
        out.push(field.bytes);
        return;
    }
    let mut components = Vec::new();
    let mut start = 0;
    for end in (0..=field.bytes.len()).filter(|&end| field.bytes.get(end).is_none_or(|&byte| byte == b'/')) {
        components.push(Pattern::with_quoting(&field.bytes[start..end], &field.quoted[start..end]));
        start = end + 1;
    }
    let texts: Vec<&[u8]> = field.bytes.split(|&byte| byte == b'/').collect();
    let mut found = Vec::new();
    walk(cwd, Vec::new(), &texts, &components, &mut found);
    if found.is_empty() {
        out.push(field.bytes);
    } else {
        found.sort();
        out.append(&mut found);
    }
}

fn walk(cwd: &Path, prefix: Vec<u8>, texts: &[&[u8]], patterns: &[Pattern], found: &mut Vec<Vec<u8>>) {
    let (Some((text, texts)), Some((pattern, patterns))) = (texts.split_first(), patterns.split_first()) else {
        return;
    };
    let mut next = |name: &[u8], exists: bool| {
        let mut whole = [&prefix, name].concat();
        if texts.is_empty() {
            if exists || name.is_empty() || kiln_guest::stat(&cwd.join(path(&whole)), false).is_ok() {
                found.push(whole);
            }
        } else {
            whole.push(b'/');
            if !exists || cwd.join(path(&whole)).is_dir() {
                walk(cwd, whole, texts, patterns, found);
            }
        }
    };
    if pattern.is_literal() {
        // Without existence checks on the way: a later component finds out.
        let directory = texts.is_empty() && text.is_empty() && !cwd.join(path(&prefix)).is_dir();
        if !directory {
            next(text, false);
        }
        return;
    }
    let Ok(entries) = std::fs::read_dir(cwd.join(path(&prefix))) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_bytes();
        if (name[0] != b'.' || pattern.begins_with_dot()) && pattern.matches(name) {
            next(name, true);
        }
    }
}
