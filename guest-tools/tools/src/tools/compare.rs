//! `cmp`, `comm`, `join`.

use std::cmp::Ordering;
use std::io::{BufRead, BufReader, Read};

use super::lines::split_lines;
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::{Spec, number, size};

fn pair(operands: &[Vec<u8>]) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    match operands {
        [left, right] => Ok((left.clone(), right.clone())),
        [] => Err(Failure::misuse("missing operand")),
        [only] => Err(Failure::misuse(format!("missing operand after '{}'", show(only)))),
        [_, _, extra, ..] => Err(Failure::misuse(format!("extra operand '{}'", show(extra)))),
    }
}

fn both(context: &mut Context, operands: &(Vec<u8>, Vec<u8>)) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    let mut read = |operand: &[u8]| {
        context.read(operand).map_err(|error| Failure::usage(format!("{}: {}", show(operand), reason(&error))))
    };
    Ok((read(&operands.0)?, read(&operands.1)?))
}

pub fn cmp(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "lsbn:i:",
        long: &[("verbose", 'l'), ("quiet", 's'), ("silent", 's'), ("print-bytes", 'b'), ("bytes", 'n')],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    let mut operands = given.operands.clone();
    if operands.len() == 1 {
        operands.push(b"-".to_vec());
    }
    let names = pair(&operands)?;
    let most = given.value('n').and_then(size).unwrap_or(u64::MAX);
    let skipped = given.value('i').and_then(size).unwrap_or(0);
    let (cwd, mut stdin) = (context.cwd, Some(&mut *context.stdin));
    let mut open = |operand: &[u8]| -> Result<Box<dyn BufRead + '_>, Failure> {
        let mut input: Box<dyn BufRead> = if operand == b"-" {
            match stdin.take() {
                Some(stdin) => Box::new(BufReader::new(stdin)),
                None => Box::new(std::io::empty()),
            }
        } else {
            let file = std::fs::File::open(cwd.join(kiln_guest::path(operand)));
            Box::new(BufReader::new(file.map_err(|error| {
                let silent = given.has('s') && error.kind() == std::io::ErrorKind::NotFound;
                let message = format!("{}: {}", show(operand), reason(&error));
                Failure::usage(if silent { String::new() } else { message })
            })?))
        };
        crate::context::copy(&mut (&mut input).take(skipped), &mut std::io::sink())?;
        Ok(input)
    };
    let (mut left, mut right) = (open(&names.0)?, open(&names.1)?);
    let flags = CompareFlags { all: given.has('l'), silent: given.has('s') };
    compare(&mut left, &mut right, &names, &flags, most, context.stdout, context.stderr)
}

struct CompareFlags {
    all: bool,
    silent: bool,
}

fn compare(
    left: &mut dyn BufRead,
    right: &mut dyn BufRead,
    names: &(Vec<u8>, Vec<u8>),
    flags: &CompareFlags,
    most: u64,
    stdout: &mut dyn std::io::Write,
    stderr: &mut dyn std::io::Write,
) -> Outcome {
    let (mut position, mut line, mut differ) = (0u64, 1u64, false);
    while position < most {
        let (left_part, right_part) = (left.fill_buf()?, right.fill_buf()?);
        let length = left_part.len().min(right_part.len());
        if length == 0 {
            let ended = if left_part.len() > right_part.len() {
                &names.1
            } else if right_part.len() > left_part.len() {
                &names.0
            } else {
                break;
            };
            if !flags.silent {
                let at = if position == 0 {
                    " which is empty".into()
                } else {
                    format!(" after byte {position}, in line {line}")
                };
                writeln!(stderr, "cmp: EOF on {}{at}", show(ended))?;
            }
            return Ok(1);
        }
        for index in 0..length {
            position += 1;
            if position > most {
                break;
            }
            let (a, b) = (left_part[index], right_part[index]);
            if a != b {
                differ = true;
                if flags.silent {
                    return Ok(1);
                }
                if !flags.all {
                    writeln!(stdout, "{} {} differ: char {position}, line {line}", show(&names.0), show(&names.1))?;
                    return Ok(1);
                }
                writeln!(stdout, "{position} {a:>3o} {b:>3o}")?;
            }
            line += u64::from(a == b'\n');
        }
        left.consume(length);
        right.consume(length);
    }
    Ok(u8::from(differ))
}

pub fn comm(context: &mut Context) -> Outcome {
    let given = Spec::short("123z").parse(context.args)?;
    let names = pair(&given.operands)?;
    let (left, right) = both(context, &names)?;
    let (left, right) = (split_lines(&left, b'\n'), split_lines(&right, b'\n'));
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let (column, line) = match (left.peek(), right.peek()) {
            (None, None) => return Ok(0),
            (Some(_), None) => ('1', left.next()),
            (None, Some(_)) => ('2', right.next()),
            (Some(a), Some(b)) => match a.cmp(b) {
                Ordering::Less => ('1', left.next()),
                Ordering::Greater => ('2', right.next()),
                Ordering::Equal => {
                    left.next();
                    ('3', right.next())
                }
            },
        };
        if !given.has(column) {
            let tabs =
                "123".chars().take_while(|before| *before != column).filter(|before| !given.has(*before)).count();
            context.stdout.write_all(&[&vec![b'\t'; tabs][..], line.map_or(b"", Vec::as_slice), b"\n"].concat())?;
        }
    }
}

pub fn join(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec { short: "t:1:2:j:a:v:o:e:i", long: &[("ignore-case", 'i')], operands_last: false };
    let given = SPEC.parse(context.args)?;
    let names = pair(&given.operands)?;
    let (left, right) = both(context, &names)?;
    let separator = given.value('t').and_then(|text| text.first().copied());
    let field = |letter| {
        let text = given.value(letter).or(given.value('j'));
        text.map_or(Some(1), number::<usize>).filter(|field| *field > 0)
    };
    let (Some(left_field), Some(right_field)) = (field('1'), field('2')) else {
        return Err(Failure::new("invalid field number"));
    };
    let rows = |text: &[u8]| -> Vec<Vec<Vec<u8>>> {
        let lines = split_lines(text, b'\n');
        lines
            .iter()
            .map(|line| match separator {
                Some(separator) => line.split(|&byte| byte == separator).map(<[u8]>::to_vec).collect(),
                None => line
                    .split(|byte| matches!(byte, b' ' | b'\t'))
                    .filter(|f| !f.is_empty())
                    .map(<[u8]>::to_vec)
                    .collect(),
            })
            .collect()
    };
    let (left, right) = (rows(&left), rows(&right));
    let key = |row: &Vec<Vec<u8>>, field: usize| {
        let key = row.get(field - 1).cloned().unwrap_or_default();
        if given.has('i') { key.to_ascii_lowercase() } else { key }
    };
    let unpaired = |file: u8| {
        let shown = |letter: char| {
            given.options.iter().any(|(given, value)| *given == letter && value.as_deref() == Some(&[file]))
        };
        shown('a') || shown('v')
    };
    let empty = given.value('e').unwrap_or_default();
    let gap = [separator.unwrap_or(b' ')];
    let mut out: Vec<u8> = Vec::new();
    let mut put = |left: Option<&Vec<Vec<u8>>>, right: Option<&Vec<Vec<u8>>>| {
        let common = left.map(|row| (row, left_field)).or(right.map(|row| (row, right_field)));
        let cell = |row: Option<&Vec<Vec<u8>>>, field: usize| {
            let cell = row.and_then(|row| row.get(field - 1)).filter(|cell| !cell.is_empty());
            cell.map_or(empty.to_vec(), Clone::clone)
        };
        let first = common.map(|(row, field)| cell(Some(row), field)).unwrap_or_default();
        let mut cells = Vec::new();
        match given.value('o') {
            Some(format) => {
                for item in format.split(|byte| matches!(byte, b',' | b' ')) {
                    cells.push(match item {
                        b"0" => first.clone(),
                        [b'1', b'.', field @ ..] => cell(left, number(field).unwrap_or(1)),
                        [b'2', b'.', field @ ..] => cell(right, number(field).unwrap_or(1)),
                        _ => Vec::new(),
                    });
                }
            }
            None => {
                cells.push(first);
                for (row, key_field) in [(left, left_field), (right, right_field)] {
                    let others = row.into_iter().flatten().enumerate().filter(|(index, _)| index + 1 != key_field);
                    cells.extend(others.map(|(_, cell)| cell.clone()));
                }
            }
        }
        out.extend(cells.join(&gap[..]));
        out.push(b'\n');
    };
    let paired = !given.has('v');
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        let ordering = match (left.get(i), right.get(j)) {
            (Some(a), Some(b)) => key(a, left_field).cmp(&key(b, right_field)),
            (Some(_), None) => Ordering::Less,
            _ => Ordering::Greater,
        };
        match ordering {
            Ordering::Less => {
                if unpaired(b'1') {
                    put(Some(&left[i]), None);
                }
                i += 1;
            }
            Ordering::Greater => {
                if unpaired(b'2') {
                    put(None, Some(&right[j]));
                }
                j += 1;
            }
            Ordering::Equal => {
                let same = key(&left[i], left_field);
                let left_end = i + left[i..].iter().take_while(|row| key(row, left_field) == same).count();
                let right_end = j + right[j..].iter().take_while(|row| key(row, right_field) == same).count();
                for a in left[i..left_end].iter().filter(|_| paired) {
                    for b in &right[j..right_end] {
                        put(Some(a), Some(b));
                    }
                }
                (i, j) = (left_end, right_end);
            }
        }
    }
    context.stdout.write_all(&out)?;
    Ok(0)
}
