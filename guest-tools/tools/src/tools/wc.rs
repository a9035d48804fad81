//! `wc`.

use crate::context::{Context, Outcome};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "lwcmL",
    long: &[("lines", 'l'), ("words", 'w'), ("bytes", 'c'), ("chars", 'm'), ("max-line-length", 'L')],
    operands_last: false,
};

#[derive(Clone, Copy, Default)]
struct Counts {
    lines: u64,
    words: u64,
    characters: u64,
    bytes: u64,
    longest: u64,
}

pub fn wc(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let chosen = |letter: char| given.has(letter) || (given.options.is_empty() && "lwc".contains(letter));
    let columns: Vec<char> = "lwmcL".chars().filter(|letter| chosen(*letter)).collect();
    let standard = [b"-".to_vec()];
    let operands = if given.operands.is_empty() { &standard[..] } else { &given.operands };
    let mut rows: Vec<(Counts, Vec<u8>)> = Vec::new();
    let mut total = Counts::default();
    let mut status = 0;
    for operand in operands {
        let counted = match context.open(operand) {
            Ok(mut input) => count(&mut input),
            Err(error) => Err(error),
        };
        match counted {
            Ok(counts) => {
                total.lines += counts.lines;
                total.words += counts.words;
                total.characters += counts.characters;
                total.bytes += counts.bytes;
                total.longest = total.longest.max(counts.longest);
                let name = if given.operands.is_empty() { Vec::new() } else { operand.clone() };
                rows.push((counts, name));
            }
            Err(error) => {
                context.complain_of(operand, &error);
                status = 1;
            }
        }
    }
    if operands.len() > 1 {
        rows.push((total, b"total".to_vec()));
    }
    // As wide as the greatest number; 7 where standard input has no size that could be known before.
    let width = if rows.len() == 1 && columns.len() == 1 {
        1
    } else if operands.iter().any(|operand| operand == b"-") {
        7
    } else {
        total.bytes.to_string().len()
    };
    for (counts, name) in rows {
        let numbers: Vec<String> = columns
            .iter()
            .map(|column| match column {
                'l' => counts.lines,
                'w' => counts.words,
                'm' => counts.characters,
                'c' => counts.bytes,
                _ => counts.longest,
            })
            .map(|number| format!("{number:>width$}"))
            .collect();
        let gap = if name.is_empty() { "" } else { " " };
        context.stdout.write_all(&[numbers.join(" ").as_bytes(), gap.as_bytes(), &name, b"\n"].concat())?;
    }
    Ok(status)
}

fn count(input: &mut dyn std::io::Read) -> std::io::Result<Counts> {
    let mut counts = Counts::default();
    let mut in_word = false;
    let mut length = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = input.read(&mut buffer)?;
        if read == 0 {
            counts.longest = counts.longest.max(length);
            return Ok(counts);
        }
        counts.bytes += read as u64;
        for &byte in &buffer[..read] {
            // Continuation bytes of UTF-8 begin no character.
            let begins = byte & 0xc0 != 0x80;
            counts.characters += u64::from(begins);
            let space = byte.is_ascii_whitespace() || byte == 11;
            counts.words += u64::from(!space && !in_word);
            in_word = !space;
            match byte {
                b'\n' => {
                    counts.lines += 1;
                    counts.longest = counts.longest.max(length);
                    length = 0;
                }
                b'\t' => length = length / 8 * 8 + 8,
                _ => length += u64::from(begins && byte >= b' '),
            }
        }
    }
}
