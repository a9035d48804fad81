//! `diff`: normal and unified output, of files and of directories.

use std::collections::BTreeMap;
use std::path::Path;

use super::chmod::sorted_names;
use super::system::strftime;
use crate::context::{Context, Failure, Outcome, path_bytes, reason, show};
use crate::options::{Given, Spec, number};

const SPEC: Spec = Spec {
    short: "uU:qrNiwbBsac:L:x:",
    long: &[
        ("unified", 'υ'),
        ("brief", 'q'),
        ("recursive", 'r'),
        ("new-file", 'N'),
        ("ignore-case", 'i'),
        ("ignore-all-space", 'w'),
        ("ignore-space-change", 'b'),
        ("ignore-blank-lines", 'B'),
        ("report-identical-files", 's'),
        ("text", 'a'),
        ("label", 'L'),
        ("color", 'κ'),
        ("exclude", 'x'),
    ],
    operands_last: false,
};

const TROUBLE: u8 = 2;

pub fn diff(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let [left, right] = given.operands.as_slice() else {
        return Err(Failure::usage("two files are needed"));
    };
    let (mut left, mut right) = (left.clone(), right.clone());
    let (left_dir, right_dir) = (context.path(&left).is_dir(), context.path(&right).is_dir());
    if left_dir && right_dir {
        return directories(context, &given, &left, &right);
    }
    // A file and a directory: the file of that name in it.
    if left_dir {
        left = [&left[..], b"/", super::names::base_of(&right)].concat();
    } else if right_dir {
        right = [&right[..], b"/", super::names::base_of(&left)].concat();
    }
    files(context, &given, &left, &right, false)
}

fn directories(context: &mut Context, given: &Given, left: &[u8], right: &[u8]) -> Outcome {
    let names = |directory: &[u8]| sorted_names(&context.path(directory)).unwrap_or_default();
    let mut all = names(left);
    all.extend(names(right));
    all.sort();
    all.dedup();
    let mut status = 0;
    for name in all {
        let name = path_bytes(Path::new(&name)).to_vec();
        let excluded = given.options.iter().any(|(letter, value)| {
            *letter == 'x' && value.as_deref().is_some_and(|glob| crate::pattern::Pattern::new(glob).matches(&name))
        });
        if excluded {
            continue;
        }
        let (a, b) = ([left, b"/", &name].concat(), [right, b"/", &name].concat());
        let (path_a, path_b) = (context.path(&a), context.path(&b));
        let found = match (path_a.exists(), path_b.exists()) {
            (true, true) if path_a.is_dir() && path_b.is_dir() => {
                if given.has('r') {
                    directories(context, given, &a, &b)?
                } else {
                    writeln!(context.stdout, "Common subdirectories: {} and {}", show(&a), show(&b))?;
                    0
                }
            }
            (true, true) if path_a.is_dir() != path_b.is_dir() => {
                let kind = |is_dir: bool| if is_dir { "directory" } else { "regular file" };
                writeln!(
                    context.stdout,
                    "File {} is a {} while file {} is a {}",
                    show(&a),
                    kind(path_a.is_dir()),
                    show(&b),
                    kind(path_b.is_dir())
                )?;
                1
            }
            (exists_a, exists_b)
                if exists_a && exists_b || (given.has('N') && !path_a.is_dir() && !path_b.is_dir()) =>
            {
                files(context, given, &a, &b, true)?
            }
            (exists_a, _) => {
                writeln!(context.stdout, "Only in {}: {}", show(if exists_a { left } else { right }), show(&name))?;
                1
            }
        };
        status = status.max(found);
    }
    Ok(status)
}

fn files(context: &mut Context, given: &Given, left: &[u8], right: &[u8], in_tree: bool) -> Outcome {
    let mut read = |operand: &[u8]| match context.read(operand) {
        Ok(bytes) => Ok(bytes),
        Err(_) if given.has('N') => Ok(Vec::new()),
        Err(error) => Err(Failure::usage(format!("{}: {}", show(operand), reason(&error)))),
    };
    let (a, b) = (read(left)?, read(right)?);
    if a == b {
        if given.has('s') {
            writeln!(context.stdout, "Files {} and {} are identical", show(left), show(right))?;
        }
        return Ok(0);
    }
    let lines_a: Vec<&[u8]> = a.split_inclusive(|&byte| byte == b'\n').collect();
    let lines_b: Vec<&[u8]> = b.split_inclusive(|&byte| byte == b'\n').collect();
    let normalised = |lines: &[&[u8]]| -> Vec<Vec<u8>> { lines.iter().map(|line| normal(line, given)).collect() };
    let changes = changes(&normalised(&lines_a), &normalised(&lines_b));
    let blank = |lines: &[&[u8]]| lines.iter().all(|line| line.trim_ascii().is_empty());
    let changes: Vec<Change> = changes
        .into_iter()
        .filter(|change| {
            !(given.has('B') && blank(&lines_a[change.a.0..change.a.1]) && blank(&lines_b[change.b.0..change.b.1]))
        })
        .collect();
    if changes.is_empty() {
        return Ok(0);
    }
    if given.has('q') {
        writeln!(context.stdout, "Files {} and {} differ", show(left), show(right))?;
        return Ok(1);
    }
    if !given.has('a') && (a.contains(&0) || b.contains(&0)) {
        writeln!(context.stdout, "Binary files {} and {} differ", show(left), show(right))?;
        return Ok(TROUBLE);
    }
    let unified = given.last_of("uUυ").is_some();
    if in_tree {
        let options: Vec<&[u8]> =
            context.args.iter().map(Vec::as_slice).filter(|arg| arg.len() > 1 && arg[0] == b'-').collect();
        context.stdout.write_all(&[b"diff ", &options.join(&b' ')[..], b" ", left, b" ", right, b"\n"].concat())?;
    }
    if unified {
        let around = given.value('U').or(given.value('υ')).and_then(number).unwrap_or(3);
        let labels: Vec<&[u8]> = given
            .options
            .iter()
            .filter(|(letter, _)| *letter == 'L')
            .filter_map(|(_, value)| value.as_deref())
            .collect();
        for (index, (sign, name)) in [("---", left), ("+++", right)].into_iter().enumerate() {
            let heading = match labels.get(index) {
                Some(label) => show(label).into_owned(),
                None => {
                    let time = kiln_guest::stat(&context.path(name), true).map_or(0, |stat| stat.mtime);
                    format!("{}\t{}", show(name), strftime("%Y-%m-%d %H:%M:%S.%N %z", time))
                }
            };
            writeln!(context.stdout, "{sign} {heading}")?;
        }
        unified_output(context, &changes, &lines_a, &lines_b, around)?;
    } else {
        normal_output(context, &changes, &lines_a, &lines_b)?;
    }
    Ok(1)
}

fn normal(line: &[u8], given: &Given) -> Vec<u8> {
    let mut text = line.to_vec();
    if given.has('w') {
        text.retain(|byte| !byte.is_ascii_whitespace());
    } else if given.has('b') {
        let words: Vec<&[u8]> = line.trim_ascii_end().split(u8::is_ascii_whitespace).collect();
        let mut joined = Vec::new();
        for (index, word) in words.iter().enumerate() {
            if index > 0 && !joined.ends_with(b" ") {
                joined.push(b' ');
            }
            joined.extend_from_slice(word);
        }
        text = joined;
    }
    if given.has('i') { text.to_ascii_lowercase() } else { text }
}

/// Lines of one text in the place of lines of another: half-open ranges from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    a: (usize, usize),
    b: (usize, usize),
}

/// The shortest way from one text to the other (Myers), as changes in order.
fn changes(a: &[Vec<u8>], b: &[Vec<u8>]) -> Vec<Change> {
    // Lines as numbers, which compare fast.
    let mut numbers: BTreeMap<&[u8], u32> = BTreeMap::new();
    let mut a_numbers = Vec::with_capacity(a.len());
    let mut b_numbers = Vec::with_capacity(b.len());
    for (lines, out) in [(a, &mut a_numbers), (b, &mut b_numbers)] {
        for line in lines {
            let next = numbers.len() as u32;
            out.push(*numbers.entry(line.as_slice()).or_insert(next));
        }
    }
    let prefix = a_numbers.iter().zip(&b_numbers).take_while(|(x, y)| x == y).count();
    let rest = a_numbers.len().min(b_numbers.len()) - prefix;
    let suffix = a_numbers.iter().rev().zip(b_numbers.iter().rev()).take(rest).take_while(|(x, y)| x == y).count();
    let a_middle = &a_numbers[prefix..a_numbers.len() - suffix];
    let b_middle = &b_numbers[prefix..b_numbers.len() - suffix];
    let mut keep = Vec::new();
    common(a_middle, b_middle, prefix, prefix, &mut keep);
    keep.push((a.len() - suffix, b.len() - suffix));
    let (mut i, mut j) = (prefix, prefix);
    let mut out: Vec<Change> = Vec::new();
    for (x, y) in keep {
        if x > i || y > j {
            out.push(Change { a: (i, x), b: (j, y) });
        }
        (i, j) = (x + 1, y + 1);
    }
    out
}

/// Notes the pairs of a longest common subsequence, by Myers' divide and conquer in linear space.
fn common(a: &[u32], b: &[u32], a_start: usize, b_start: usize, keep: &mut Vec<(usize, usize)>) {
    let prefix = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    keep.extend((0..prefix).map(|at| (a_start + at, b_start + at)));
    let (a, b, a_start, b_start) = (&a[prefix..], &b[prefix..], a_start + prefix, b_start + prefix);
    let suffix = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - suffix], &b[..b.len() - suffix]);
    if !a.is_empty() && !b.is_empty() {
        let (x, y) = middle(a, b);
        if (x, y) != (0, 0) && (x, y) != (a.len(), b.len()) {
            common(&a[..x], &b[..y], a_start, b_start, keep);
            common(&a[x..], &b[y..], a_start + x, b_start + y, keep);
        }
    }
    keep.extend((0..suffix).map(|at| (a_start + a.len() + at, b_start + b.len() + at)));
}

/// A point on a shortest way, found by searching from both ends.
fn middle(a: &[u32], b: &[u32]) -> (usize, usize) {
    let (n, m) = (a.len() as isize, b.len() as isize);
    let most = (n + m + 1) / 2 + 1;
    let offset = most + 1;
    let size = (2 * offset + 1) as usize;
    let (mut forward, mut backward) = (vec![0isize; size], vec![0isize; size]);
    let delta = n - m;
    for d in 0..=most {
        for k in (-d..=d).step_by(2) {
            let at = |k: isize| (k + offset) as usize;
            let mut x = if k == -d || (k != d && forward[at(k - 1)] < forward[at(k + 1)]) {
                forward[at(k + 1)]
            } else {
                forward[at(k - 1)] + 1
            };
            while x < n && x - k < m && x - k >= 0 && a[x as usize] == b[(x - k) as usize] {
                x += 1;
            }
            forward[at(k)] = x;
            let reverse = delta - k;
            if delta % 2 != 0 && reverse.abs() < d && x + backward[at(reverse)] >= n {
                return (x.clamp(0, n) as usize, (x - k).clamp(0, m) as usize);
            }
        }
        for k in (-d..=d).step_by(2) {
            let at = |k: isize| (k + offset) as usize;
            let mut x = if k == -d || (k != d && backward[at(k - 1)] < backward[at(k + 1)]) {
                backward[at(k + 1)]
            } else {
                backward[at(k - 1)] + 1
            };
            while x < n && x - k < m && x - k >= 0 && a[(n - 1 - x) as usize] == b[(m - 1 - (x - k)) as usize] {
                x += 1;
            }
            backward[at(k)] = x;
            let reverse = delta - k;
            if delta % 2 == 0 && reverse.abs() <= d && x + forward[at(reverse)] >= n {
                return ((n - x).clamp(0, n) as usize, (m - (x - k)).clamp(0, m) as usize);
            }
        }
    }
    (0, 0)
}

fn put_line(context: &mut Context, sign: &str, line: &[u8]) -> Result<(), Failure> {
    context.stdout.write_all(&[sign.as_bytes(), line].concat())?;
    if !line.ends_with(b"\n") {
        context.stdout.write_all(b"\n\\ No newline at end of file\n")?;
    }
    Ok(())
}

fn normal_output(context: &mut Context, changes: &[Change], a: &[&[u8]], b: &[&[u8]]) -> Result<(), Failure> {
    let range = |(start, end): (usize, usize)| match end - start {
        0 => start.to_string(),
        1 => (start + 1).to_string(),
        _ => format!("{},{end}", start + 1),
    };
    for change in changes {
        let letter = match (change.a.0 == change.a.1, change.b.0 == change.b.1) {
            (true, _) => 'a',
            (_, true) => 'd',
            _ => 'c',
        };
        writeln!(context.stdout, "{}{letter}{}", range(change.a), range(change.b))?;
        for line in &a[change.a.0..change.a.1] {
            put_line(context, "< ", line)?;
        }
        if letter == 'c' {
            context.stdout.write_all(b"---\n")?;
        }
        for line in &b[change.b.0..change.b.1] {
            put_line(context, "> ", line)?;
        }
    }
    Ok(())
}

fn unified_output(
    context: &mut Context,
    changes: &[Change],
    a: &[&[u8]],
    b: &[&[u8]],
    around: usize,
) -> Result<(), Failure> {
    let mut index = 0;
    while index < changes.len() {
        let mut last = index;
        while last + 1 < changes.len() && changes[last + 1].a.0 - changes[last].a.1 <= 2 * around {
            last += 1;
        }
        let lead = around.min(changes[index].a.0);
        let trail = around.min(a.len() - changes[last].a.1);
        let (a_range, b_range) = (
            (changes[index].a.0 - lead, changes[last].a.1 + trail),
            (changes[index].b.0 - lead, changes[last].b.1 + trail),
        );
        let range = |(start, end): (usize, usize)| match end - start {
            0 => format!("{start},0"),
            1 => (start + 1).to_string(),
            length => format!("{},{length}", start + 1),
        };
        writeln!(context.stdout, "@@ -{} +{} @@", range(a_range), range(b_range))?;
        let mut at = a_range.0;
        for change in &changes[index..=last] {
            for line in &a[at..change.a.0] {
                put_line(context, " ", line)?;
            }
            for line in &a[change.a.0..change.a.1] {
                put_line(context, "-", line)?;
            }
            for line in &b[change.b.0..change.b.1] {
                put_line(context, "+", line)?;
            }
            at = change.a.1;
        }
        for line in &a[at..a_range.1] {
            put_line(context, " ", line)?;
        }
        index = last + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Vec<u8>> {
        text.chars().map(|letter| vec![letter as u8]).collect()
    }

    #[test]
    fn finds_changes_that_lead_from_one_to_the_other() {
        for (a, b, count) in [
            ("abc", "abc", 0),
            ("", "abc", 1),
            ("abc", "", 1),
            ("abcabba", "cbabac", 5),
            ("abc", "axc", 2),
            ("abcdef", "abxdyf", 4),
            ("aaaa", "bbbb", 8),
        ] {
            let (left, right) = (lines(a), lines(b));
            let changes = changes(&left, &right);
            let (mut rebuilt, mut at) = (Vec::new(), 0);
            let mut edits = 0;
            for change in &changes {
                rebuilt.extend_from_slice(&left[at..change.a.0]);
                rebuilt.extend_from_slice(&right[change.b.0..change.b.1]);
                at = change.a.1;
                edits += change.a.1 - change.a.0 + change.b.1 - change.b.0;
            }
            rebuilt.extend_from_slice(&left[at..]);
            assert_eq!(rebuilt, right, "{a} {b}");
            if count != 1 {
                assert_eq!(edits, count, "{a} {b}");
            }
        }
    }
}
