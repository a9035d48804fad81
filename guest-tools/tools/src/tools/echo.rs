//! `echo`.

use crate::context::{Context, Outcome};
use crate::escapes::{Style, decode};

/// Takes escapes literally unless `-e` is given.
pub fn echo(context: &mut Context) -> Outcome {
    print(context, false)
}

/// As the shells that usually are /bin/sh have it: escapes are decoded unless `-E` is given.
pub fn shell_echo(context: &mut Context) -> Outcome {
    print(context, true)
}

fn print(context: &mut Context, mut escapes: bool) -> Outcome {
    let mut args = context.args;
    let mut newline = true;
    while let Some((first, rest)) = args.split_first() {
        match first.as_slice() {
            b"-n" => newline = false,
            b"-e" => escapes = true,
            b"-E" => escapes = false,
            b"-ne" | b"-en" => (newline, escapes) = (false, true),
            _ => break,
        }
        args = rest;
    }
    let mut text = args.join(&b' ');
    if escapes && text.contains(&b'\\') {
        let decoded = decode(&text, Style::Echo);
        text = decoded.bytes;
        newline &= !decoded.stop;
    }
    if newline {
        text.push(b'\n');
    }
    context.stdout.write_all(&text)?;
    Ok(0)
}
