//! Small utilities that work line by line: `uniq`, `tac`, `rev`, `nl`, `fold`, `paste`, `tee`.

use std::fs::OpenOptions;
use std::io::Write;

use crate::context::{Context, Failure, Outcome, show};
use crate::escapes::{Style, decode};
use crate::options::{Spec, number};

pub fn uniq(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "cdDuif:s:w:z",
        long: &[
            ("count", 'c'),
            ("repeated", 'd'),
            ("all-repeated", 'D'),
            ("unique", 'u'),
            ("ignore-case", 'i'),
            ("skip-fields", 'f'),
            ("skip-chars", 's'),
            ("check-chars", 'w'),
            ("zero-terminated", 'z'),
        ],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    let count = |letter| match given.value(letter) {
        Some(text) => {
            number::<usize>(text).ok_or_else(|| Failure::new(format!("{}: invalid number", show(text)))).map(Some)
        }
        None => Ok(None),
    };
    let (fields, skipped, compared) = (count('f')?.unwrap_or(0), count('s')?.unwrap_or(0), count('w')?);
    let end = if given.has('z') { 0 } else { b'\n' };
    let key = |line: &[u8]| {
        let mut rest = line;
        for _ in 0..fields {
            let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let word = rest[blanks..].iter().take_while(|byte| !matches!(byte, b' ' | b'\t')).count();
            rest = &rest[blanks + word..];
        }
        rest = &rest[skipped.min(rest.len())..];
        let rest = &rest[..compared.unwrap_or(rest.len()).min(rest.len())];
        if given.has('i') { rest.to_ascii_lowercase() } else { rest.to_vec() }
    };
    let put = |output: &mut dyn Write, group: &[Vec<u8>], times: u64| -> Result<(), Failure> {
        let wanted = match (given.has('d') || given.has('D'), given.has('u')) {
            (true, true) => false,
            (true, false) => times > 1,
            (false, true) => times == 1,
            (false, false) => true,
        };
        for line in group.iter().filter(|_| wanted) {
            if given.has('c') {
                write!(output, "{times:>7} ")?;
            }
            output.write_all(line)?;
            output.write_all(&[end])?;
        }
        Ok(())
    };
    let (inputs, target) = match given.operands.as_slice() {
        [input, output] => (vec![input.clone()], Some(context.path(output))),
        [_, _, extra, ..] => return Err(Failure::misuse(format!("extra operand '{}'", show(extra)))),
        inputs => (inputs.to_vec(), None),
    };
    let mut target = match target {
        Some(path) => Some(std::fs::File::create(path)?),
        None => None,
    };
    let mut group: Vec<Vec<u8>> = Vec::new();
    let mut group_key = Vec::new();
    let mut times = 0;
    let status = context.for_each_line(&inputs, end, |output, line, _| {
        let output: &mut dyn Write = match &mut target {
            Some(file) => file,
            None => output,
        };
        let line_key = key(line);
        if times > 0 && line_key == group_key {
            times += 1;
            if given.has('D') {
                group.push(line.to_vec());
            }
            return Ok(true);
        }
        if times > 0 {
            put(output, &group, times)?;
        }
        (group, group_key, times) = (vec![line.to_vec()], line_key, 1);
        Ok(true)
    })?;
    if times > 0 {
        match &mut target {
            Some(file) => put(file, &group, times)?,
            None => put(context.stdout, &group, times)?,
        }
    }
    Ok(status)
}

pub fn tac(context: &mut Context) -> Outcome {
    let given = Spec::short("").parse(context.args)?;
    context.for_each_input(&given.operands, |context, _, text| {
        let mut end = text.len();
        while end > 0 {
            let start = text[..end - 1].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            context.stdout.write_all(&text[start..end])?;
            end = start;
        }
        Ok(())
    })
}

pub fn rev(context: &mut Context) -> Outcome {
    let given = Spec::short("").parse(context.args)?;
    context.for_each_line(&given.operands, b'\n', |output, line, ended| {
        match std::str::from_utf8(line) {
            Ok(text) => output.write_all(text.chars().rev().collect::<String>().as_bytes())?,
            Err(_) => output.write_all(&line.iter().rev().copied().collect::<Vec<u8>>())?,
        }
        if ended {
            output.write_all(b"\n")?;
        }
        Ok(true)
    })
}

pub fn nl(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "b:w:s:v:i:n:",
        long: &[
            ("body-numbering", 'b'),
            ("number-width", 'w'),
            ("number-separator", 's'),
            ("starting-line-number", 'v'),
            ("line-increment", 'i'),
            ("number-format", 'n'),
        ],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    let integer = |letter, default: i64| match given.value(letter) {
        Some(text) => number(text).ok_or_else(|| Failure::new(format!("invalid number: '{}'", show(text)))),
        None => Ok(default),
    };
    let (mut line_number, step) = (integer('v', 1)?, integer('i', 1)?);
    let width = usize::try_from(integer('w', 6)?).unwrap_or(6).min(1000);
    let separator = given.value('s').unwrap_or(b"\t").to_vec();
    let style = given.value('b').unwrap_or(b"t").to_vec();
    let format = given.value('n').unwrap_or(b"rn").to_vec();
    context.for_each_line(&given.operands, b'\n', |output, line, _| {
        let counts = match style.as_slice() {
            b"a" => true,
            b"n" => false,
            _ => !line.is_empty(),
        };
        if counts {
            let text = match format.as_slice() {
                b"ln" => format!("{line_number:<width$}"),
                b"rz" => format!("{line_number:0width$}"),
                _ => format!("{line_number:>width$}"),
            };
            output.write_all(&[text.as_bytes(), &separator, line, b"\n"].concat())?;
            line_number += step;
        } else {
            let blank = vec![b' '; width + separator.len()];
            output.write_all(&[&blank, line, b"\n"].concat())?;
        }
        Ok(true)
    })
}

pub fn fold(context: &mut Context) -> Outcome {
    const SPEC: Spec =
        Spec { short: "bsw:", long: &[("bytes", 'b'), ("spaces", 's'), ("width", 'w')], operands_last: false };
    let given = SPEC.parse(context.args)?;
    let width = match given.value('w') {
        Some(text) => number::<usize>(text).filter(|width| *width > 0),
        None => Some(80),
    };
    let Some(width) = width else { return Err(Failure::new("invalid number of columns")) };
    context.for_each_line(&given.operands, b'\n', |output, line, ended| {
        let mut rest = line;
        while rest.len() > width {
            let space = if given.has('s') { rest[..width].iter().rposition(|&byte| byte == b' ') } else { None };
            let at = space.map_or(width, |space| space + 1);
            output.write_all(&rest[..at])?;
            output.write_all(b"\n")?;
            rest = &rest[at..];
        }
        output.write_all(rest)?;
        if ended {
            output.write_all(b"\n")?;
        }
        Ok(true)
    })
}

pub fn paste(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "d:sz",
        long: &[("delimiters", 'd'), ("serial", 's'), ("zero-terminated", 'z')],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    let end = if given.has('z') { 0 } else { b'\n' };
    let delimiters = decode(given.value('d').unwrap_or(b"\t"), Style::Format).bytes;
    let standard = [b"-".to_vec()];
    let operands = if given.operands.is_empty() { &standard[..] } else { &given.operands };
    // Several `-` share standard input line by line.
    let dashes = operands.iter().filter(|operand| *operand == b"-").count();
    let mut standard_lines: Vec<Vec<u8>> = Vec::new();
    if dashes > 0 {
        let text = context.read(b"-")?;
        standard_lines = split_lines(&text, end);
    }
    let mut columns: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut dash = 0;
    for operand in operands {
        if operand == b"-" {
            if given.has('s') {
                columns.push(std::mem::take(&mut standard_lines));
            } else {
                columns.push(standard_lines.iter().skip(dash).step_by(dashes).cloned().collect());
            }
            dash += 1;
        } else {
            let text = context
                .read(operand)
                .map_err(|error| Failure::new(format!("{}: {}", show(operand), crate::context::reason(&error))))?;
            columns.push(split_lines(&text, end));
        }
    }
    let rows: Vec<Vec<Vec<u8>>> = if given.has('s') {
        columns
    } else {
        let height = columns.iter().map(Vec::len).max().unwrap_or(0);
        (0..height)
            .map(|row| columns.iter().map(|column| column.get(row).cloned().unwrap_or_default()).collect())
            .collect()
    };
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if index > 0 && !delimiters.is_empty() {
                let delimiter = delimiters[(index - 1) % delimiters.len()];
                // `\0` in the list stands for nothing.
                if delimiter != 0 {
                    context.stdout.write_all(&[delimiter])?;
                }
            }
            context.stdout.write_all(cell)?;
        }
        context.stdout.write_all(&[end])?;
    }
    Ok(0)
}

/// The lines of a text without their ends.
pub fn split_lines(text: &[u8], end: u8) -> Vec<Vec<u8>> {
    if text.is_empty() {
        return Vec::new();
    }
    let body = text.strip_suffix(&[end]).unwrap_or(text);
    body.split(|&byte| byte == end).map(<[u8]>::to_vec).collect()
}

pub fn tee(context: &mut Context) -> Outcome {
    const SPEC: Spec =
        Spec { short: "aip", long: &[("append", 'a'), ("ignore-interrupts", 'i')], operands_last: false };
    let given = SPEC.parse(context.args)?;
    let append = given.has('a');
    let mut files = Vec::new();
    let mut status = 0;
    for operand in &given.operands {
        let path = context.path(operand);
        match OpenOptions::new().create(true).write(!append).append(append).truncate(!append).open(&path) {
            Ok(file) => files.push(file),
            Err(error) => {
                context.complain_of(operand, &error);
                status = 1;
            }
        }
    }
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = context.stdin.read(&mut buffer)?;
        if count == 0 {
            return Ok(status);
        }
        context.stdout.write_all(&buffer[..count])?;
        for file in &mut files {
            file.write_all(&buffer[..count])?;
        }
    }
}
