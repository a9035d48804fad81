//! `xxd`: bytes as hexadecimal text, and back (`-r`).

use std::io::Read;

use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::{Spec, size};

const SPEC: Spec = Spec {
    short: "prul:s:c:g:i",
    long: &[("plain", 'p'), ("ps", 'p'), ("reverse", 'r'), ("len", 'l'), ("cols", 'c'), ("include", 'i')],
    operands_last: false,
};

pub fn xxd(context: &mut Context) -> Outcome {
    // `-ps` is one option.
    let args: Vec<Vec<u8>> =
        context.args.iter().map(|arg| if arg == b"-ps" { b"-p".to_vec() } else { arg.clone() }).collect();
    let given = SPEC.parse(&args)?;
    let count = |letter: char, default: usize| match given.value(letter) {
        Some(text) => match size(text).and_then(|number| usize::try_from(number).ok()) {
            Some(number) => Ok(number),
            None => Err(Failure::misuse(format!("invalid number '{}'", show(text)))),
        },
        None => Ok(default),
    };
    let operand = given.operands.first().map_or(&b"-"[..], Vec::as_slice).to_vec();
    let (most, skipped) = (count('l', usize::MAX)?, count('s', 0)?);
    let mut bytes = Vec::new();
    let read = context
        .open(&operand)
        .and_then(|input| input.take(most.saturating_add(skipped) as u64).read_to_end(&mut bytes));
    read.map_err(|error| Failure::new(format!("{}: {}", show(&operand), reason(&error))).with_status(2))?;
    let bytes = bytes.get(skipped..).unwrap_or_default();
    let upper = given.has('u');
    if given.has('r') {
        context.stdout.write_all(&reversed(bytes, given.has('p')))?;
    } else if given.has('p') {
        for line in bytes.chunks(count('c', 30)?.max(1)) {
            writeln!(context.stdout, "{}", hexadecimal(line, upper))?;
        }
    } else if given.has('i') {
        include(context, &operand, bytes, count('c', 12)?.max(1))?;
    } else {
        let (columns, group) = (count('c', 16)?.max(1), count('g', 2)?);
        let group = if group == 0 { columns } else { group };
        let width = columns * 2 + columns.div_ceil(group);
        for (index, line) in bytes.chunks(columns).enumerate() {
            let groups: Vec<String> = line.chunks(group).map(|group| hexadecimal(group, upper)).collect();
            let shown: String =
                line.iter().map(|byte| if (b' '..=b'~').contains(byte) { *byte as char } else { '.' }).collect();
            writeln!(context.stdout, "{:08x}: {:<width$} {shown}", skipped + index * columns, groups.join(" "))?;
        }
    }
    Ok(0)
}

fn hexadecimal(bytes: &[u8], upper: bool) -> String {
    bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
}

/// A dump's bytes. Where it is no plain one, addresses and the characters behind two spaces are passed over.
fn reversed(text: &[u8], plain: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        let mut digits = line;
        if !plain {
            digits =
                line.iter().position(|&byte| byte == b':').map_or(&b""[..], |at| line[at + 1..].trim_ascii_start());
            digits = digits.windows(2).position(|pair| pair == b"  ").map_or(digits, |at| &digits[..at]);
        }
        let digits: Vec<u8> =
            digits.iter().filter_map(|&byte| (byte as char).to_digit(16)).map(|digit| digit as u8).collect();
        bytes.extend(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
    }
    bytes
}

/// As an array of C.
fn include(context: &mut Context, operand: &[u8], bytes: &[u8], columns: usize) -> Result<(), Failure> {
    let lines: Vec<String> = bytes
        .chunks(columns)
        .map(|line| format!("  {}", line.iter().map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(", ")))
        .collect();
    let body = lines.join(",\n");
    if operand == b"-" {
        writeln!(context.stdout, "{body}")?;
        return Ok(());
    }
    let mut name: String = show(operand).chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.insert_str(0, "__");
    }
    writeln!(context.stdout, "unsigned char {name}[] = {{\n{body}\n}};\nunsigned int {name}_len = {};", bytes.len())?;
    Ok(())
}
