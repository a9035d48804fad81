//! File names from patterns.

use std::path::Path;

use kiln_guest::{OsStrExt, path};
use kiln_tools::pattern::Pattern;

use crate::fields::Field;
use crate::options::{Flag, Options};

/// Nothing matches the pattern, and `failglob` is on.
pub(crate) struct NoMatch(pub(crate) Vec<u8>);

/// What one name between slashes must be.
enum Component {
    Text(Vec<u8>),
    Pattern(Pattern),
    /// `**`: any number of directories.
    Tree,
}

struct Walk<'a> {
    cwd: &'a Path,
    options: Options,
    found: Vec<Vec<u8>>,
}

/// Adds the names that match the field, in byte order, or the field itself where none does.
pub(crate) fn generate(cwd: &Path, options: Options, field: Field, out: &mut Vec<Vec<u8>>) -> Result<(), NoMatch> {
    let extended = options.get(Flag::ExtGlob);
    let signs: &[u8] = if extended { b"*?[(" } else { b"*?[" };
    if !field.bytes.iter().zip(&field.quoted).any(|(byte, quoted)| !quoted && signs.contains(byte)) {
        out.push(field.bytes);
        return Ok(());
    }
    let original = field.bytes.clone();
    let Field { bytes, quoted } = field.without_backslashes();
    let mut components = Vec::new();
    let mut start = 0;
    for end in (0..=bytes.len()).filter(|&end| bytes.get(end).is_none_or(|&byte| byte == b'/')) {
        let (text, marks) = (&bytes[start..end], &quoted[start..end]);
        let pattern = if extended { Pattern::extended(text, marks) } else { Pattern::with_quoting(text, marks) };
        let tree = options.get(Flag::GlobStar) && text == b"**" && !marks.contains(&true);
        components.push(match pattern {
            _ if tree => Component::Tree,
            pattern if pattern.is_literal() => Component::Text(text.to_vec()),
            pattern if options.get(Flag::NoCaseGlob) => Component::Pattern(pattern.ignoring_case()),
            pattern => Component::Pattern(pattern),
        });
        start = end + 1;
    }
    // A bracket alone, as the command `[`, asks for no file.
    if components.iter().all(|component| matches!(component, Component::Text(_))) && bytes == original {
        out.push(original);
        return Ok(());
    }
    let mut walk = Walk { cwd, options, found: Vec::new() };
    walk.step(Vec::new(), &components);
    let mut found = walk.found;
    if !found.is_empty() {
        found.sort();
        found.dedup();
        out.append(&mut found);
    } else if options.get(Flag::FailGlob) {
        return Err(NoMatch(original));
    } else if !options.get(Flag::NullGlob) {
        out.push(original);
    }
    Ok(())
}

impl Walk<'_> {
    fn step(&mut self, prefix: Vec<u8>, components: &[Component]) {
        let Some((component, rest)) = components.split_first() else { return };
        match component {
            Component::Text(text) => {
                // Without existence checks on the way: a later component finds out.
                let directory = rest.is_empty() && text.is_empty() && !self.cwd.join(path(&prefix)).is_dir();
                if !directory {
                    self.next(&prefix, text, rest, false);
                }
            }
            Component::Pattern(pattern) => {
                for name in self.names(&prefix) {
                    let hidden = name[0] == b'.' && !pattern.begins_with_dot() && !self.options.get(Flag::DotGlob);
                    if !hidden && pattern.matches(&name) {
                        self.next(&prefix, &name, rest, true);
                    }
                }
            }
            Component::Tree => {
                if rest.is_empty() {
                    if !prefix.is_empty() {
                        self.found.push(prefix.clone());
                    }
                } else {
                    self.step(prefix.clone(), rest);
                }
                for name in self.names(&prefix) {
                    let whole = [&prefix[..], &name].concat();
                    let stat = kiln_guest::stat(&self.cwd.join(path(&whole)), false);
                    let is_dir = stat.is_ok_and(|stat| stat.is_dir());
                    if name[0] == b'.' && !self.options.get(Flag::DotGlob) {
                        continue;
                    }
                    if rest.is_empty() {
                        self.found.push(whole.clone());
                    }
                    if is_dir {
                        let before = self.found.len();
                        self.step([&whole[..], b"/"].concat(), components);
                        // The directory itself has been named already, without its slash.
                        if rest.is_empty() {
                            self.found.remove(before);
                        }
                    }
                }
            }
        }
    }

    fn next(&mut self, prefix: &[u8], name: &[u8], rest: &[Component], exists: bool) {
        let mut whole = [prefix, name].concat();
        if rest.is_empty() {
            if exists || name.is_empty() || kiln_guest::stat(&self.cwd.join(path(&whole)), false).is_ok() {
                self.found.push(whole);
            }
        } else {
            whole.push(b'/');
            if !exists || self.cwd.join(path(&whole)).is_dir() {
                self.step(whole, rest);
            }
        }
    }

    fn names(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(self.cwd.join(path(prefix))) else { return Vec::new() };
        entries.flatten().map(|entry| entry.file_name().as_bytes().to_vec()).collect()
    }
}
