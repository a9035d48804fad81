//! `echo`.

use crate::context::{Context, Outcome};
use crate::escapes::{Style, decode};

/// Escapes are decoded without being asked for, as the shells that usually are /bin/sh do; `-e` is accepted and
/// changes nothing, `-E` takes them literally.
pub fn echo(context: &mut Context) -> Outcome {
    let mut args = context.args;
    let (mut newline, mut escapes) = (true, true);
    while let Some((first, rest)) = args.split_first() {
        match first.as_slice() {
            b"-n" => newline = false,
            b"-e" => escapes = true,
            b"-E" => escapes = false,
            b"-ne" | b"-en" => newline = false,
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
