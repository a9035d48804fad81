//! `head`, `tail`.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};

use crate::context::{Context, Failure, Outcome, show};
use crate::options::{Given, Spec, size};

const LONG: &[(&str, char)] = &[
    ("lines", 'n'),
    ("bytes", 'c'),
    ("quiet", 'q'),
    ("silent", 'q'),
    ("verbose", 'v'),
    ("zero-terminated", 'z'),
    ("follow", 'ω'),
];

/// How much, and counted from which end.
struct Amount {
    count: u64,
    /// `-n -5` of head, `-n +5` of tail.
    other_end: bool,
    bytes: bool,
    end: u8,
}

/// `-5` as `-n 5`.
fn modern(args: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut out = args.to_vec();
    if let Some(first) = out.first_mut() {
        let digits = first.get(1..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if first.first() == Some(&b'-') && digits > 0 && digits + 1 == first.len() {
            *first = [b"-n", &first[1..]].concat();
        }
    }
    out
}

fn amount(given: &Given, sign: u8) -> Result<Amount, Failure> {
    let bytes = given.last_of("nc") == Some('c');
    let text = given.value(if bytes { 'c' } else { 'n' }).unwrap_or(b"10");
    let other_end = text.first() == Some(&sign);
    let digits = if matches!(text.first(), Some(b'+' | b'-')) { &text[1..] } else { text };
    let what = if bytes { "bytes" } else { "lines" };
    let count = size(digits).ok_or_else(|| Failure::new(format!("invalid number of {what}: '{}'", show(text))))?;
    Ok(Amount { count, other_end, bytes, end: if given.has('z') { 0 } else { b'\n' } })
}

fn each_file(
    context: &mut Context,
    given: &Given,
    amount: &Amount,
    print: fn(&mut dyn Read, &mut dyn Write, &Amount) -> std::io::Result<()>,
) -> Outcome {
    let standard = [b"-".to_vec()];
    let operands = if given.operands.is_empty() { &standard[..] } else { &given.operands };
    let headers = match given.last_of("qv") {
        Some(letter) => letter == 'v',
        None => operands.len() > 1,
    };
    let mut status = 0;
    let mut first = true;
    for operand in operands {
        let problem = match context.open_with_output(operand) {
            Ok((mut input, output)) => {
                if headers {
                    let name = if operand == b"-" { b"standard input" } else { operand.as_slice() };
                    let gap: &[u8] = if first { b"" } else { b"\n" };
                    output.write_all(&[gap, b"==> ", name, b" <==\n"].concat())?;
                }
                first = false;
                print(&mut input, output, amount)?;
                None
            }
            Err(error) => Some(error),
        };
        if let Some(error) = problem {
            context.complain(format!(
                "cannot open '{}' for reading: {}",
                show(operand),
                crate::context::reason(&error)
            ));
            status = 1;
        }
    }
    Ok(status)
}

pub fn head(context: &mut Context) -> Outcome {
    let given = Spec { short: "n:c:qvz", long: LONG, operands_last: false }.parse(&modern(context.args))?;
    let amount = amount(&given, b'-')?;
    each_file(context, &given, &amount, |input, output, amount| match (amount.other_end, amount.bytes) {
        (false, true) => crate::context::copy(&mut input.take(amount.count), output).map(drop),
        (false, false) => first_lines(input, output, amount),
        (true, _) => {
            let mut text = Vec::new();
            input.read_to_end(&mut text)?;
            output.write_all(&text[..last_start(&text, amount)])
        }
    })
}

fn first_lines(input: &mut dyn Read, output: &mut dyn Write, amount: &Amount) -> std::io::Result<()> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    for _ in 0..amount.count {
        line.clear();
        if input.read_until(amount.end, &mut line)? == 0 {
            break;
        }
        output.write_all(&line)?;
    }
    Ok(())
}

/// Where the last lines or bytes begin.
fn last_start(text: &[u8], amount: &Amount) -> usize {
    let count = usize::try_from(amount.count).unwrap_or(usize::MAX);
    if amount.bytes {
        return text.len().saturating_sub(count);
    }
    if count == 0 {
        return text.len();
    }
    let body = text.strip_suffix(&[amount.end]).unwrap_or(text);
    let mut ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == amount.end);
    ends.nth(count - 1).map_or(0, |(at, _)| at + 1)
}

pub fn tail(context: &mut Context) -> Outcome {
    let mut args = modern(context.args);
    if let Some(first) = args.first_mut()
        && first.len() > 1
        && first[0] == b'+'
        && first[1..].iter().all(u8::is_ascii_digit)
    {
        *first = [b"-n", first.as_slice()].concat();
    }
    let given = Spec { short: "n:c:qvzfF", long: LONG, operands_last: false }.parse(&args)?;
    if given.last_of("fFω").is_some() {
        return Err(Failure::new("following a file would never end in a build step"));
    }
    let amount = amount(&given, b'+')?;
    each_file(context, &given, &amount, |input, output, amount| {
        if amount.other_end {
            return from_position(input, output, amount);
        }
        // Of a long stream only what may be printed is kept.
        let mut kept: VecDeque<u8> = VecDeque::new();
        let mut buffer = vec![0; 64 * 1024];
        let mut trimmed_at = 1 << 20;
        loop {
            let count = input.read(&mut buffer)?;
            kept.extend(&buffer[..count]);
            if count == 0 || kept.len() > trimmed_at {
                let text = kept.make_contiguous();
                let start = last_start(text, amount);
                kept.drain(..start);
                trimmed_at = kept.len() * 2 + (1 << 20);
            }
            if count == 0 {
                return output.write_all(kept.make_contiguous());
            }
        }
    })
}

fn from_position(input: &mut dyn Read, output: &mut dyn Write, amount: &Amount) -> std::io::Result<()> {
    let skipped = amount.count.saturating_sub(1);
    if amount.bytes {
        crate::context::copy(&mut input.take(skipped), &mut std::io::sink())?;
        return crate::context::copy(input, output).map(drop);
    }
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    for _ in 0..skipped {
        line.clear();
        if input.read_until(amount.end, &mut line)? == 0 {
            break;
        }
    }
    crate::context::copy(&mut input, output).map(drop)
}
