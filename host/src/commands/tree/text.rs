//! The tree as text: a heading for each layer, then its directories and files, indented.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};

use kiln_types::paths;

use super::changes::{Change, ChangeKind};
use super::{CREATED_BY_WIDTH, Step};
use crate::report::size;
use crate::report::table::{Table, ellipsis, printable};

/// What a layer has beneath a directory.
#[derive(Default, Clone, Copy)]
struct Sum {
    files: usize,
    bytes: u64,
    removed: usize,
}

impl Display for Sum {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { files, bytes, removed } = *self;
        if files > 0 {
            let noun = if files == 1 { "file" } else { "files" };
            write!(f, "{} in {files} {noun}", size::short(bytes))?;
        }
        if removed > 0 {
            write!(f, "{}{removed} removed", if files > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

pub(super) fn write(steps: &[Step], layers: usize, depth: usize, out: &mut impl Write) -> io::Result<()> {
    for (at, step) in steps.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        let created_by = ellipsis(&printable(&step.created_by), CREATED_BY_WIDTH);
        let (number, digest, size) = (step.number, step.digest.short(), size::short(step.size));
        let mut table = Table::new(format!("Layer {number} of {layers}  {digest}  {size}  {created_by}").trim_end());
        let sums = sums(&step.changes);
        for change in &step.changes {
            let level = paths::components(&change.path).count();
            // Directories may be listed in a layer that did nothing to them.
            if level <= depth && (change.kind != ChangeKind::Kept || sums.contains_key(&*change.path)) {
                table.row(&line(change, level, sums.get(&*change.path).copied().unwrap_or_default()));
            }
        }
        table.write(out)?;
    }
    Ok(())
}

/// Files and their bytes, for each directory above them.
fn sums(changes: &[Change]) -> BTreeMap<&[u8], Sum> {
    let mut sums: BTreeMap<&[u8], Sum> = BTreeMap::new();
    for change in changes {
        for directory in paths::ancestors(&change.path) {
            let sum = sums.entry(directory).or_default();
            match change.kind {
                ChangeKind::Removed => sum.removed += 1,
                _ if change.is_directory() => {}
                _ => {
                    sum.files += 1;
                    sum.bytes += change.size;
                }
            }
        }
    }
    sums
}

fn line(change: &Change, level: usize, sum: Sum) -> String {
    let indent = "  ".repeat(level);
    let name = printable(&String::from_utf8_lossy(paths::name(&change.path)));
    let size = match (change.is_directory(), change.kind) {
        (true, ChangeKind::Added | ChangeKind::Changed | ChangeKind::Kept) => sum.to_string(),
        _ if change.target.is_some() => String::new(),
        _ => size::short(change.size),
    };
    let slash = if change.is_directory() { "/" } else { "" };
    let target = change.target.as_ref().map(|target| format!(" -> {}", printable(target))).unwrap_or_default();
    format!("{indent}{} {name}{slash}{target}\t{size}", change.kind.sign())
}
