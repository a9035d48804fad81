//! `patch`: applies unified diffs. Names in a patch are hostile: one that leads out of the directory is refused.

use std::io;
use std::path::{Path, PathBuf};

use super::mkdir::make_with_parents;
use super::paths::reaches_outside;
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::{Given, Spec, number};

const SPEC: Spec = Spec {
    short: "p:i:d:o:RNsfEtbuF:",
    long: &[
        ("strip", 'p'),
        ("input", 'i'),
        ("directory", 'd'),
        ("output", 'o'),
        ("reverse", 'R'),
        ("forward", 'N'),
        ("silent", 's'),
        ("quiet", 's'),
        ("force", 'f'),
        ("batch", 't'),
        ("backup", 'b'),
        ("unified", 'u'),
        ("fuzz", 'F'),
        ("remove-empty-files", 'E'),
        ("dry-run", 'δ'),
    ],
    operands_last: false,
};

const TROUBLE: u8 = 2;

/// The changes of one file.
struct FilePatch {
    old: Vec<u8>,
    new: Vec<u8>,
    hunks: Vec<Hunk>,
}

/// Lines as they were and as they shall be; each keeps its newline, if it has one.
#[derive(Default)]
struct Hunk {
    start: usize,
    old: Vec<Vec<u8>>,
    new: Vec<Vec<u8>>,
    /// How many lines of context there are before and after.
    before: usize,
    after: usize,
    text: Vec<u8>,
}

pub fn patch(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args).map_err(|failure| failure.with_status(TROUBLE))?;
    let trouble = |message: String| Failure::usage(message);
    let directory = given.value('d').map_or_else(|| context.cwd.to_path_buf(), |directory| context.path(directory));
    let input = given.value('i').or(given.operands.get(1).map(Vec::as_slice)).unwrap_or(b"-").to_vec();
    let text = context
        .read(&input)
        .map_err(|error| trouble(format!("**** Can't open patch file {} : {}", show(&input), reason(&error))))?;
    let mut patches = parse(&text).map_err(|line| trouble(format!("**** malformed patch at line {line}")))?;
    if patches.is_empty() {
        return if text.is_empty() {
            Ok(0)
        } else {
            Err(trouble("**** Only garbage was found in the patch input.".into()))
        };
    }
    let strip = match given.value('p') {
        Some(text) => Some(
            number::<usize>(text).ok_or_else(|| trouble(format!("**** strip count {} is not a number", show(text))))?,
        ),
        None => None,
    };
    let mut status = 0;
    for patch in &mut patches {
        if given.has('R') {
            std::mem::swap(&mut patch.old, &mut patch.new);
            patch.hunks.iter_mut().for_each(|hunk| std::mem::swap(&mut hunk.old, &mut hunk.new));
        }
        let name = match given.operands.first() {
            Some(operand) => operand.clone(),
            None => name_of(patch, strip, &directory)
                .ok_or_else(|| trouble("**** can't find file to patch: say it, or strip (-p) fitly".into()))?,
        };
        let path = directory.join(kiln_guest::path(&name));
        let is_own = given.operands.is_empty();
        let climbs = name.starts_with(b"/") || name.split(|&byte| byte == b'/').any(|part| part == b"..");
        if is_own && (climbs || reaches_outside(&directory, &path)) {
            return Err(trouble(format!("**** the name {} leads out of the directory", show(&name))));
        }
        let failed = apply(context, &given, patch, &name, &path)
            .map_err(|error| trouble(format!("**** Can't patch {}: {}", show(&name), reason(&error))))?;
        status |= u8::from(failed);
    }
    Ok(status)
}

/// Reads all file patches; `Err` is the number of a malformed line.
fn parse(text: &[u8]) -> Result<Vec<FilePatch>, usize> {
    let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let mut patches: Vec<FilePatch> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let next = lines.get(at + 1).copied().unwrap_or_default();
        if let (Some(old), Some(new)) = (lines[at].strip_prefix(b"--- "), next.strip_prefix(b"+++ ")) {
            patches.push(FilePatch { old: file_name(old), new: file_name(new), hunks: Vec::new() });
            at += 2;
        } else if let (Some(header), Some(patch)) = (hunk_header(lines[at]), patches.last_mut()) {
            let (hunk, length) = hunk(&lines[at..], header).map_err(|length| at + length + 1)?;
            patch.hunks.push(hunk);
            at += length;
        } else {
            at += 1;
        }
    }
    Ok(patches)
}

/// The name ends where a tab and the time begin.
fn file_name(text: &[u8]) -> Vec<u8> {
    let end = text.iter().position(|byte| b"\t\r\n".contains(byte)).unwrap_or(text.len());
    text[..end].to_vec()
}

/// `@@ -start,count +start,count @@`: the start and both counts.
fn hunk_header(line: &[u8]) -> Option<(usize, usize, usize)> {
    let text = std::str::from_utf8(line.strip_prefix(b"@@ -")?).ok()?;
    let (old, rest) = text.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let range = |text: &str| match text.split_once(',') {
        Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    let ((start, old_count), (_, new_count)) = (range(old)?, range(new)?);
    Some((start, old_count, new_count))
}

/// A hunk and how many lines it takes, its header included.
fn hunk(lines: &[&[u8]], header: (usize, usize, usize)) -> Result<(Hunk, usize), usize> {
    let (start, old_count, new_count) = header;
    let mut hunk = Hunk { start, ..Hunk::default() };
    let mut at = 1;
    let mut changed = false;
    while hunk.old.len() < old_count || hunk.new.len() < new_count {
        let line = *lines.get(at).ok_or(at)?;
        let (sign, rest) = line.split_first().ok_or(at)?;
        match sign {
            b' ' | b'\n' => {
                // Some mailers strip the blank of an empty line of context.
                let rest = if *sign == b'\n' { line } else { rest };
                hunk.old.push(rest.to_vec());
                hunk.new.push(rest.to_vec());
                hunk.after += 1;
                hunk.before += usize::from(!changed);
            }
            b'-' => hunk.old.push(rest.to_vec()),
            b'+' => hunk.new.push(rest.to_vec()),
            b'\\' => unfinished(&mut hunk, lines[at - 1]),
            _ => return Err(at),
        }
        if matches!(sign, b'-' | b'+') {
            (changed, hunk.after) = (true, 0);
        }
        at += 1;
    }
    if lines.get(at).is_some_and(|line| line.starts_with(b"\\")) {
        unfinished(&mut hunk, lines[at - 1]);
        at += 1;
    }
    hunk.text = lines[..at].concat();
    Ok((hunk, at))
}

/// `\ No newline at end of file` belongs to the line before it.
fn unfinished(hunk: &mut Hunk, before: &[u8]) {
    let sides: &mut [&mut Vec<Vec<u8>>] = match before.first() {
        Some(b'-') => &mut [&mut hunk.old],
        Some(b'+') => &mut [&mut hunk.new],
        _ => &mut [&mut hunk.old, &mut hunk.new],
    };
    for side in sides {
        if let Some(line) = side.last_mut() {
            line.pop_if(|byte| *byte == b'\n');
        }
    }
}

/// Which of its two names exists; where none does, the one that shall.
fn name_of(patch: &FilePatch, strip: Option<usize>, directory: &Path) -> Option<Vec<u8>> {
    let stripped = |name: &[u8]| -> Option<Vec<u8>> {
        if name == b"/dev/null" {
            return None;
        }
        let parts: Vec<&[u8]> = name.split(|&byte| byte == b'/').collect();
        let skipped = strip.unwrap_or(parts.len() - 1);
        (skipped < parts.len()).then(|| parts[skipped..].join(&b'/'))
    };
    let (old, new) = (stripped(&patch.old), stripped(&patch.new));
    let exists =
        |name: &Option<Vec<u8>>| name.as_ref().is_some_and(|name| directory.join(kiln_guest::path(name)).exists());
    if exists(&old) {
        old
    } else if exists(&new) || patch.old == b"/dev/null" {
        new
    } else {
        None
    }
}

/// Whether a hunk could not be applied.
fn apply(context: &mut Context, given: &Given, patch: &FilePatch, name: &[u8], path: &Path) -> io::Result<bool> {
    let original = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    if !given.has('s') {
        let verb = if given.has('δ') { "checking" } else { "patching" };
        writeln!(context.stdout, "{verb} file {}", show(name))?;
    }
    let most_fuzz = given.value('F').and_then(number).unwrap_or(2);
    let mut lines: Vec<Vec<u8>> = original.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let mut rejected: Vec<&Hunk> = Vec::new();
    // How far lines have moved, by hunks so far and by what else was changed.
    let mut moved = 0isize;
    let mut growth = 0isize;
    for (index, hunk) in patch.hunks.iter().enumerate() {
        let from = if hunk.old.is_empty() { hunk.start } else { hunk.start.saturating_sub(1) };
        let expected = from.saturating_add_signed(moved + growth);
        let Some((place, fuzz)) = find(&lines, hunk, expected, most_fuzz) else {
            if !given.has('s') {
                writeln!(context.stdout, "Hunk #{} FAILED at {}.", index + 1, hunk.start)?;
            }
            rejected.push(hunk);
            continue;
        };
        let (before, after) = (fuzz.min(hunk.before), fuzz.min(hunk.after));
        let offset = place as isize - expected as isize;
        if (offset != 0 || fuzz > 0) && !given.has('s') {
            let fuzz = if fuzz > 0 { format!(" with fuzz {fuzz}") } else { String::new() };
            let lines = if offset.abs() == 1 { "line" } else { "lines" };
            let offset = if offset != 0 { format!(" (offset {offset} {lines})") } else { String::new() };
            writeln!(context.stdout, "Hunk #{} succeeded at {}{fuzz}{offset}.", index + 1, place + 1)?;
        }
        moved += offset;
        growth += hunk.new.len() as isize - hunk.old.len() as isize;
        let old_end = place + hunk.old.len() - after;
        lines.splice(place + before..old_end, hunk.new[before..hunk.new.len() - after].iter().cloned());
    }
    if !rejected.is_empty() && !given.has('s') {
        let (count, all) = (rejected.len(), patch.hunks.len());
        let saved =
            if given.has('δ') { String::new() } else { format!(" -- saving rejects to file {}.rej", show(name)) };
        writeln!(context.stdout, "{count} out of {all} hunk{} FAILED{saved}", if all == 1 { "" } else { "s" })?;
    }
    if given.has('δ') {
        return Ok(!rejected.is_empty());
    }
    if !rejected.is_empty() {
        let header = [b"--- ", &patch.old[..], b"\n+++ ", &patch.new, b"\n"].concat();
        let text: Vec<u8> = rejected.iter().flat_map(|hunk| hunk.text.clone()).collect();
        std::fs::write(with_suffix(path, ".rej"), [header, text].concat())?;
    }
    if given.has('b') {
        std::fs::write(with_suffix(path, ".orig"), &original)?;
    }
    let target = given.value('o').map_or_else(|| path.to_path_buf(), |output| context.path(output));
    if lines.is_empty() && (patch.new == b"/dev/null" || given.has('E')) && rejected.is_empty() {
        std::fs::remove_file(&target)?;
    } else if rejected.len() < patch.hunks.len() {
        if let Some(parent) = target.parent() {
            make_with_parents(parent)?;
        }
        std::fs::write(&target, lines.concat())?;
    }
    Ok(!rejected.is_empty())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Where the old lines stand, nearest to where they should, with as little fuzz as possible.
fn find(lines: &[Vec<u8>], hunk: &Hunk, expected: usize, most_fuzz: usize) -> Option<(usize, usize)> {
    let context = hunk.before.max(hunk.after);
    for fuzz in 0..=most_fuzz.min(context) {
        let (before, after) = (fuzz.min(hunk.before), fuzz.min(hunk.after));
        let wanted = &hunk.old[before..hunk.old.len() - after];
        let fits = |place: usize| {
            place + hunk.old.len() <= lines.len() + after
                && lines.get(place + before..place + before + wanted.len()) == Some(wanted)
        };
        for distance in 0..=lines.len() {
            let places = [Some(expected + distance), expected.checked_sub(distance)];
            if let Some(place) = places.into_iter().flatten().find(|&place| fits(place)) {
                return Some((place, fuzz));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hunks() {
        assert_eq!(hunk_header(b"@@ -1,3 +1,4 @@ fn x\n"), Some((1, 3, 4)));
        assert_eq!(hunk_header(b"@@ -7 +8 @@\n"), Some((7, 1, 1)));
        let text = b"--- a\n+++ b\t2020\n@@ -1,2 +1,2 @@\n x\n-y\n\\ No newline at end of file\n+z\n";
        let patches = parse(text).expect("well formed");
        assert_eq!((patches[0].old.as_slice(), patches[0].new.as_slice()), (&b"a"[..], &b"b"[..]));
        assert_eq!(patches[0].hunks[0].old, [b"x\n".to_vec(), b"y".to_vec()]);
        assert_eq!(patches[0].hunks[0].new, [b"x\n".to_vec(), b"z\n".to_vec()]);
        assert_eq!(parse(b"--- a\n+++ b\n@@ -1 +1 @@\n?\n").err(), Some(4));
    }
}
