//! `grep`, `egrep`, `fgrep`.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use super::chmod::sorted_names;
use crate::context::{Context, Failure, Outcome, path_bytes, reason, show};
use crate::options::{Given, Spec, number};
use crate::pattern::Pattern;
use crate::regex::{Flags, Regex, TooComplex};
use crate::search;

const SPEC: Spec = Spec {
    short: "EFGPe:f:ivwxcLlm:oqsbHhnzA:B:C:rRaIUyTZ",
    long: &[
        ("extended-regexp", 'E'),
        ("fixed-strings", 'F'),
        ("basic-regexp", 'G'),
        ("perl-regexp", 'P'),
        ("regexp", 'e'),
        ("file", 'f'),
        ("ignore-case", 'i'),
        ("invert-match", 'v'),
        ("word-regexp", 'w'),
        ("line-regexp", 'x'),
        ("count", 'c'),
        ("files-without-match", 'L'),
        ("files-with-matches", 'l'),
        ("max-count", 'm'),
        ("only-matching", 'o'),
        ("quiet", 'q'),
        ("silent", 'q'),
        ("no-messages", 's'),
        ("byte-offset", 'b'),
        ("with-filename", 'H'),
        ("no-filename", 'h'),
        ("line-number", 'n'),
        ("null-data", 'z'),
        ("null", 'Z'),
        ("after-context", 'A'),
        ("before-context", 'B'),
        ("context", 'C'),
        ("recursive", 'r'),
        ("dereference-recursive", 'R'),
        ("text", 'a'),
        ("include", 'Ι'),
        ("exclude", 'Ε'),
        ("exclude-dir", 'Δ'),
        ("color", 'κ'),
        ("colour", 'κ'),
        ("line-buffered", 'λ'),
    ],
    operands_last: false,
};

struct Search<'a> {
    given: &'a Given,
    patterns: Vec<Regex>,
    end: u8,
    names: bool,
    most: u64,
    before: usize,
    after: usize,
}

const ERROR: u8 = 2;
/// Of one file: it matches, and is nothing to print.
const BINARY: u8 = 3;

pub fn grep(context: &mut Context) -> Outcome {
    let mut args = context.args.to_vec();
    args.retain(|arg| !arg.starts_with(b"--color") && !arg.starts_with(b"--colour"));
    // `-5` is `-C 5`.
    for arg in &mut args {
        if arg.len() > 1 && arg[0] == b'-' && arg[1..].iter().all(u8::is_ascii_digit) {
            *arg = [b"-C", &arg[1..]].concat();
        }
    }
    let mut given = SPEC.parse(&args)?;
    let mut texts: Vec<Vec<u8>> = Vec::new();
    let mut any = false;
    for (letter, value) in &given.options {
        match (letter, value) {
            ('e', Some(text)) => {
                any = true;
                texts.extend(text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec));
            }
            ('f', Some(file)) => {
                any = true;
                let bytes = context
                    .read(file)
                    .map_err(|error| Failure::usage(format!("{}: {}", show(file), reason(&error))))?;
                texts.extend(super::lines::split_lines(&bytes, b'\n'));
            }
            _ => {}
        }
    }
    if !any {
        if given.operands.is_empty() {
            return Err(Failure::usage("usage: grep [OPTION]... PATTERNS [FILE]..."));
        }
        let first = given.operands.remove(0);
        texts.extend(first.split(|&byte| byte == b'\n').map(<[u8]>::to_vec));
    }
    let kind = given.last_of("EFGP").unwrap_or(match context.name {
        "egrep" => 'E',
        "fgrep" => 'F',
        _ => 'G',
    });
    let ignore_case = given.last_of("iy").is_some();
    let flags = Flags { extended: kind == 'E', ignore_case, perl: kind == 'P', ..Flags::default() };
    let mut patterns = Vec::new();
    for text in &texts {
        patterns.push(match kind {
            'F' => Regex::literal(text, flags),
            _ => Regex::new(text, flags).map_err(Failure::usage)?,
        });
    }
    let count = |letters: &str| match given.last_of(letters).and_then(|letter| given.value(letter)) {
        Some(text) => {
            number(text).ok_or_else(|| Failure::usage(format!("{}: invalid context length argument", show(text))))
        }
        None => Ok(0),
    };
    let recursive = given.last_of("rR").is_some();
    let operands = match (given.operands.is_empty(), recursive) {
        (true, true) => vec![b".".to_vec()],
        (true, false) => vec![b"-".to_vec()],
        _ => given.operands.clone(),
    };
    let names = match given.last_of("hH") {
        Some(letter) => letter == 'H',
        None => operands.len() > 1 || recursive,
    };
    let most = match given.value('m') {
        Some(text) => number(text).ok_or_else(|| Failure::usage("invalid max count"))?,
        None => u64::MAX,
    };
    let search = Search {
        given: &given,
        patterns,
        end: if given.has('z') { 0 } else { b'\n' },
        names,
        most,
        before: count("BC")?,
        after: count("AC")?,
    };
    let mut status = 1;
    let implied = given.operands.is_empty() && recursive;
    for operand in &operands {
        let path = context.path(operand);
        let found = if recursive && operand != b"-" && path.is_dir() {
            search.tree(context, &path, if implied { b"" } else { operand })
        } else {
            search.file(context, operand)
        }?;
        status = match (status, found) {
            (_, ERROR) if !(given.has('q') && status == 0) => ERROR,
            (1, 0) => 0,
            (status, _) => status,
        };
        if given.has('q') && status == 0 {
            break;
        }
    }
    Ok(status)
}

/// How much of the beginning is lines that do not hold the text.
fn without(lines: &[u8], text: &[u8], end: u8) -> usize {
    let until = search::find(lines, text).unwrap_or(lines.len());
    lines[..until].iter().rposition(|&byte| byte == end).map_or(0, |at| at + 1)
}

fn too_complex(_: TooComplex) -> Failure {
    Failure::usage("the expression is too complex")
}

impl Search<'_> {
    fn tree(&self, context: &mut Context, directory: &Path, name: &[u8]) -> Outcome {
        let globs = |letter: char| -> Vec<Pattern> {
            let values = self.given.options.iter().filter(|(given, _)| *given == letter);
            values.filter_map(|(_, value)| value.as_deref().map(Pattern::new)).collect()
        };
        let (include, exclude, exclude_directories) = (globs('Ι'), globs('Ε'), globs('Δ'));
        let mut status = 1;
        for entry in sorted_names(directory)? {
            let entry_name = path_bytes(Path::new(&entry));
            let path = directory.join(&entry);
            let shown = match name {
                b"" => entry_name.to_vec(),
                _ if name.ends_with(b"/") => [name, entry_name].concat(),
                _ => [name, b"/", entry_name].concat(),
            };
            let matches = |globs: &[Pattern]| globs.iter().any(|glob| glob.matches(entry_name));
            let meta = std::fs::symlink_metadata(&path)?;
            let found = if meta.is_dir() {
                if matches(&exclude_directories) { 1 } else { self.tree(context, &path, &shown)? }
            } else if (meta.is_symlink() && !self.given.has('R'))
                || matches(&exclude)
                || !(include.is_empty() || matches(&include))
            {
                1
            } else {
                self.file(context, &shown)?
            };
            status = match (status, found) {
                (_, ERROR) => ERROR,
                (1, 0) => 0,
                (status, _) => status,
            };
        }
        Ok(status)
    }

    /// The matches in a line, by start; the first only, unless `all`.
    fn find(&self, line: &[u8], all: bool) -> Result<Vec<(usize, usize)>, Failure> {
        let mut found = Vec::new();
        let mut from = 0;
        while from <= line.len() {
            let mut best: Option<(usize, usize)> = None;
            for pattern in &self.patterns {
                let candidate = self.find_one(pattern, line, from)?;
                best = match (best, candidate) {
                    (Some(best), Some(new)) if new.0 < best.0 || (new.0 == best.0 && new.1 > best.1) => Some(new),
                    (None, new) => new,
                    (best, _) => best,
                };
                if best.is_some() && !all {
                    break;
                }
            }
            let Some(best) = best else { break };
            found.push(best);
            if !all {
                break;
            }
            from = if best.1 > best.0 { best.1 } else { best.1 + 1 };
        }
        Ok(found)
    }

    /// Whether the line is one to print, where it does not matter what in it matches.
    fn is_match(&self, line: &[u8]) -> Result<bool, Failure> {
        for pattern in &self.patterns {
            if pattern.is_match(line).map_err(too_complex)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn find_one(&self, pattern: &Regex, line: &[u8], from: usize) -> Result<Option<(usize, usize)>, Failure> {
        let mut from = from;
        loop {
            let captures = pattern.find_whole(line, from).map_err(too_complex)?;
            let Some((start, end)) = captures.map(|captures| captures.whole()) else { return Ok(None) };
            let is_word = |at: Option<usize>| {
                at.and_then(|at| line.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            };
            let fits = match (self.given.has('x'), self.given.has('w')) {
                (true, _) => start == 0 && end == line.len(),
                (_, true) => !is_word(start.checked_sub(1)) && !is_word(Some(end)),
                _ => true,
            };
            if fits {
                return Ok(Some((start, end)));
            }
            from = start + 1;
            if from > line.len() {
                return Ok(None);
            }
        }
    }

    fn file(&self, context: &mut Context, operand: &[u8]) -> Outcome {
        let given = self.given;
        let name = if operand == b"-" { b"(standard input)" } else { operand };
        let opened = match context.open_with_output(operand) {
            Ok((input, output)) => self.stream(input, output, name),
            Err(error) => Ok(Err(error)),
        }?;
        match opened {
            Ok(BINARY) => {
                context.stdout.flush()?;
                context.complain(format!("{}: binary file matches", show(name)));
                Ok(0)
            }
            Ok(status) => Ok(status),
            Err(error) => {
                if !given.has('s') {
                    context.complain_of(operand, &error);
                }
                Ok(ERROR)
            }
        }
    }

    fn stream(
        &self,
        input: Box<dyn Read + '_>,
        output: &mut dyn Write,
        name: &[u8],
    ) -> Result<std::io::Result<u8>, Failure> {
        let given = self.given;
        let listing = given.last_of("lL");
        let silent = given.has('q') || listing.is_some() || given.has('c');
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let binary = !given.has('a') && !given.has('z') && input.fill_buf().is_ok_and(|start| start.contains(&0));
        let mut line = Vec::new();
        let (mut matched, mut number, mut offset) = (0u64, 0u64, 0u64);
        let mut earlier: std::collections::VecDeque<(u64, u64, Vec<u8>)> = Default::default();
        let mut trailing = 0;
        let mut last_printed = 0;
        let exact = given.last_of("wx").is_some();
        let contexts = given.last_of("ABC").is_some();
        let required = match self.patterns.as_slice() {
            [pattern] if !given.has('v') && !contexts => pattern.required(),
            _ => b"",
        };
        while matched < self.most || trailing > 0 {
            line.clear();
            if !required.is_empty()
                && let Ok(buffered) = input.fill_buf()
            {
                let skipped = without(buffered, required, self.end);
                if given.has('n') {
                    number += buffered[..skipped].iter().filter(|&&byte| byte == self.end).count() as u64;
                }
                input.consume(skipped);
                offset += skipped as u64;
            }
            match input.read_until(self.end, &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Ok(Err(error)),
            }
            number += 1;
            let start = offset;
            offset += line.len() as u64;
            let text = line.strip_suffix(&[self.end]).unwrap_or(&line);
            let wants_all = given.has('o') && !given.has('v');
            let selected = matched < self.most
                && given.has('v') != if exact { !self.find(text, false)?.is_empty() } else { self.is_match(text)? };
            if selected {
                matched += 1;
                if given.has('q') || listing == Some('l') {
                    break;
                }
            }
            if silent {
                continue;
            }
            if binary && selected {
                return Ok(Ok(BINARY));
            }
            if selected {
                if contexts && last_printed > 0 && number - earlier.len() as u64 > last_printed + 1 {
                    output.write_all(b"--\n")?;
                }
                for (number, start, text) in earlier.drain(..) {
                    self.print(output, name, number, start, &text, b'-')?;
                }
                if given.has('o') {
                    for (from, to) in self.find(text, wants_all)?.into_iter().filter(|(from, to)| to > from) {
                        self.print(output, name, number, start + from as u64, &text[from..to], b':')?;
                    }
                } else {
                    self.print(output, name, number, start, text, b':')?;
                }
                last_printed = number;
                trailing = self.after;
            } else if trailing > 0 {
                trailing -= 1;
                self.print(output, name, number, start, text, b'-')?;
                last_printed = number;
            } else if self.before > 0 {
                if earlier.len() == self.before {
                    earlier.pop_front();
                }
                earlier.push_back((number, start, text.to_vec()));
            }
        }
        if given.has('c') && !given.has('q') && listing.is_none() {
            if self.names {
                output.write_all(&[name, b":"].concat())?;
            }
            writeln!(output, "{matched}")?;
        }
        if listing.is_some_and(|letter| (letter == 'l') == (matched > 0)) && !given.has('q') {
            output.write_all(name)?;
            output.write_all(if given.has('Z') { b"\0" } else { b"\n" })?;
        }
        let success = if listing == Some('L') { matched == 0 } else { matched > 0 };
        Ok(Ok(u8::from(!success)))
    }

    fn print(
        &self,
        output: &mut dyn Write,
        name: &[u8],
        number: u64,
        offset: u64,
        text: &[u8],
        sign: u8,
    ) -> std::io::Result<()> {
        let mut line = Vec::with_capacity(text.len() + 16);
        if self.names {
            line.extend_from_slice(name);
            line.push(if self.given.has('Z') { 0 } else { sign });
        }
        if self.given.has('n') {
            line.extend_from_slice(number.to_string().as_bytes());
            line.push(sign);
        }
        if self.given.has('b') {
            line.extend_from_slice(offset.to_string().as_bytes());
            line.push(sign);
        }
        line.extend_from_slice(text);
        line.push(self.end);
        output.write_all(&line)
    }
}
