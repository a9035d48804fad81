//! `cat`.

use std::io::Read;

use crate::context::{Context, Outcome};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "nbsEvTAetu",
    long: &[
        ("number", 'n'),
        ("number-nonblank", 'b'),
        ("squeeze-blank", 's'),
        ("show-ends", 'E'),
        ("show-nonprinting", 'v'),
        ("show-tabs", 'T'),
        ("show-all", 'A'),
    ],
    operands_last: false,
};

struct Style {
    number: bool,
    number_nonblank: bool,
    squeeze: bool,
    ends: bool,
    tabs: bool,
    nonprinting: bool,
}

#[derive(Default)]
struct Position {
    line: u64,
    blank_lines: u32,
    within_line: bool,
}

pub fn cat(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let has = |letters: &str| given.last_of(letters).is_some();
    let style = Style {
        number: has("n"),
        number_nonblank: has("b"),
        squeeze: has("s"),
        ends: has("EAe"),
        tabs: has("TAt"),
        nonprinting: has("vAet"),
    };
    let plain = given.options.iter().all(|(letter, _)| *letter == 'u');
    let standard = [b"-".to_vec()];
    let operands = if given.operands.is_empty() { &standard[..] } else { &given.operands };
    let mut status = 0;
    let mut position = Position::default();
    let mut buffer = vec![0; 64 * 1024];
    for operand in operands {
        let complaint = match context.open_with_output(operand) {
            Ok((mut input, output)) => loop {
                let count = match input.read(&mut buffer) {
                    Ok(0) => break None,
                    Ok(count) => count,
                    Err(error) => break Some(error),
                };
                if plain {
                    output.write_all(&buffer[..count])?;
                } else {
                    output.write_all(&style.apply(&buffer[..count], &mut position))?;
                }
            },
            Err(error) => Some(error),
        };
        if let Some(error) = complaint {
            context.complain_of(operand, &error);
            status = 1;
        }
    }
    Ok(status)
}

impl Style {
    fn apply(&self, bytes: &[u8], position: &mut Position) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() * 2);
        for &byte in bytes {
            if !position.within_line {
                position.blank_lines = if byte == b'\n' { position.blank_lines + 1 } else { 0 };
                if self.squeeze && position.blank_lines > 1 {
                    continue;
                }
                if if self.number_nonblank { byte != b'\n' } else { self.number } {
                    position.line += 1;
                    out.extend_from_slice(format!("{:>6}\t", position.line).as_bytes());
                }
                position.within_line = true;
            }
            match byte {
                b'\n' => {
                    if self.ends {
                        out.push(b'$');
                    }
                    out.push(b'\n');
                    position.within_line = false;
                }
                b'\t' if self.tabs => out.extend_from_slice(b"^I"),
                b'\t' => out.push(b'\t'),
                _ if self.nonprinting => visible(byte, &mut out),
                _ => out.push(byte),
            }
        }
        out
    }
}

/// The byte in `^X` and `M-X` notation.
fn visible(byte: u8, out: &mut Vec<u8>) {
    let low = byte & 0x7f;
    if byte >= 0x80 {
        out.extend_from_slice(b"M-");
    }
    match low {
        0x7f => out.extend_from_slice(b"^?"),
        0..=0x1f => out.extend_from_slice(&[b'^', low + 64]),
        _ => out.push(low),
    }
}
