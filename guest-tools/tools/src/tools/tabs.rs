//! `expand`, `unexpand`.

use std::io::Write;

use crate::context::{Context, Failure, Outcome, show};
use crate::options::{Given, Spec, number};

/// Where the tab stops are.
enum Stops {
    Every(usize),
    /// In rising order; beyond the last one there are none.
    At(Vec<usize>),
}

impl Stops {
    fn given(given: &Given) -> Result<Stops, Failure> {
        let mut columns: Vec<usize> = Vec::new();
        for text in given.options.iter().filter(|(letter, _)| *letter == 't').filter_map(|(_, value)| value.as_ref()) {
            for word in text.split(|byte| matches!(byte, b',' | b' ')).filter(|word| !word.is_empty()) {
                let column = number::<usize>(word)
                    .ok_or_else(|| Failure::new(format!("tab size contains invalid character(s): '{}'", show(word))))?;
                if column == 0 {
                    return Err(Failure::new("tab size cannot be 0"));
                }
                if columns.last().is_some_and(|last| *last >= column) {
                    return Err(Failure::new("tab sizes must be ascending"));
                }
                columns.push(column);
            }
        }
        Ok(match columns.as_slice() {
            [] => Stops::Every(8),
            [every] => Stops::Every(*every),
            _ => Stops::At(columns),
        })
    }

    /// The first stop after a column.
    fn after(&self, column: usize) -> Option<usize> {
        match self {
            Stops::Every(size) => Some((column / size + 1).saturating_mul(*size)),
            Stops::At(columns) => columns.iter().copied().find(|stop| *stop > column),
        }
    }
}

pub fn expand(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec { short: "it:", long: &[("initial", 'i'), ("tabs", 't')], operands_last: false };
    let given = SPEC.parse(&with_dashed_sizes(context.args))?;
    let stops = Stops::given(&given)?;
    let initial = given.has('i');
    context.for_each_line(&given.operands, b'\n', |output, line, ended| {
        let mut column = 0usize;
        let mut converts = true;
        for &byte in line {
            match byte {
                b'\t' if converts => {
                    let stop = stops.after(column).unwrap_or(column + 1);
                    write!(output, "{:1$}", "", stop - column)?;
                    column = stop;
                    continue;
                }
                0x08 => column = column.saturating_sub(1),
                _ => column += 1,
            }
            output.write_all(&[byte])?;
            converts &= !initial || matches!(byte, b' ' | b'\t');
        }
        end(output, ended)
    })
}

pub fn unexpand(context: &mut Context) -> Outcome {
    const SPEC: Spec =
        Spec { short: "aft:", long: &[("all", 'a'), ("first-only", 'f'), ("tabs", 't')], operands_last: false };
    let given = SPEC.parse(context.args)?;
    let stops = Stops::given(&given)?;
    let all = (given.has('a') || given.has('t')) && !given.has('f');
    context.for_each_line(&given.operands, b'\n', |output, line, ended| {
        let mut column = 0usize;
        let mut rest = line;
        while !rest.is_empty() {
            let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let (run, after) = rest.split_at(blanks);
            column = put_blanks(output, &stops, run, column)?;
            let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let length = if all { after.iter().position(is_blank).unwrap_or(after.len()) } else { after.len() };
            let (text, next) = after.split_at(length);
            output.write_all(text)?;
            for byte in text {
                column = if *byte == 0x08 { column.saturating_sub(1) } else { column + 1 };
            }
            rest = next;
        }
        end(output, ended)
    })
}

/// Prints blanks that begin in a column with as many tabs as possible; returns the column after them.
fn put_blanks(output: &mut dyn Write, stops: &Stops, run: &[u8], start: usize) -> Result<usize, Failure> {
    let mut column = start;
    let mut stop = stops.after(column);
    // Spaces that may yet become a tab.
    let mut waiting = 0;
    for (index, &byte) in run.iter().enumerate() {
        let Some(next) = stop else {
            // Beyond the last stop everything stays as it is.
            output.write_all(&b" ".repeat(waiting))?;
            output.write_all(&run[index..])?;
            return Ok(column + run.len() - index);
        };
        column = if byte == b'\t' { next } else { column + 1 };
        waiting += 1;
        if column == next {
            stop = stops.after(column);
            // POSIX: one space between words stays a space even where a tab would do.
            let single = index == 0 && start > 0 && byte == b' ' && (run.len() == 1 || stop.is_none());
            output.write_all(if single { b" " } else { b"\t" })?;
            waiting = 0;
        }
    }
    output.write_all(&b" ".repeat(waiting))?;
    Ok(column)
}

fn end(output: &mut dyn Write, ended: bool) -> Result<bool, Failure> {
    if ended {
        output.write_all(b"\n")?;
    }
    Ok(true)
}

/// `expand -4` and `expand -4,8` are an old way to write `-t 4` and `-t 4,8`.
fn with_dashed_sizes(args: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let sizes = |arg: &Vec<u8>| arg.len() > 1 && arg[1..].iter().all(|byte| byte.is_ascii_digit() || *byte == b',');
    let dashed = |arg: &Vec<u8>| arg.starts_with(b"-") && sizes(arg);
    let mut out: Vec<Vec<u8>> = args.to_vec();
    for arg in out.iter_mut().take_while(|arg| *arg != b"--").filter(|arg| dashed(arg)) {
        arg.splice(1..1, [b't']);
    }
    out
}
