//! `xargs`.

use super::system::run_program;
use crate::context::{Context, Failure, Outcome, show};
use crate::options::{Spec, number};

const SPEC: Spec = Spec {
    short: "0a:d:E:I:i::L:l::n:P:prs:tx",
    long: &[
        ("null", '0'),
        ("arg-file", 'a'),
        ("delimiter", 'd'),
        ("replace", 'I'),
        ("max-lines", 'L'),
        ("max-args", 'n'),
        ("max-procs", 'P'),
        ("no-run-if-empty", 'r'),
        ("verbose", 't'),
        ("max-chars", 's'),
        ("exit", 'x'),
    ],
    operands_last: true,
};

/// The arguments of one command, in bytes.
const MAX_BYTES: usize = 128 * 1024;

pub fn xargs(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    let positive = |letter| match given.value(letter) {
        Some(text) => match number::<usize>(text).filter(|number| *number > 0) {
            Some(number) => Ok(Some(number)),
            None => Err(Failure::new(format!("invalid number \"{}\" for -{letter} option", show(text)))),
        },
        None => Ok(None),
    };
    let text = match given.value('a') {
        Some(file) => context.read(file)?,
        None => {
            let mut text = Vec::new();
            context.stdin.read_to_end(&mut text)?;
            text
        }
    };
    let replace = match given.last_of("Ii") {
        Some('I') => given.value('I').map(<[u8]>::to_vec),
        Some(_) => Some(given.value('i').unwrap_or(b"{}").to_vec()),
        None => None,
    };
    let lines = if given.last_of("Ll").is_some() { Some(positive('L')?.unwrap_or(1)) } else { None };
    let separator = match given.value('d') {
        _ if given.has('0') => Some(0),
        Some(text) => crate::escapes::decode(text, crate::escapes::Style::Format).bytes.first().copied(),
        None => None,
    };
    let items: Vec<(Vec<u8>, usize)> = match separator {
        Some(separator) => {
            let list = super::lines::split_lines(&text, separator);
            list.into_iter().enumerate().map(|(line, item)| (item, line)).collect()
        }
        None if replace.is_some() => {
            let list = super::lines::split_lines(&text, b'\n');
            let list = list.into_iter().enumerate().filter(|(_, line)| !line.is_empty());
            list.map(|(line, item)| Ok((unquoted(item.trim_ascii_start())?, line))).collect::<Result<_, Failure>>()?
        }
        None => words(&text)?,
    };
    let end = given.value('E').filter(|end| !end.is_empty());
    let items: Vec<(Vec<u8>, usize)> = items.into_iter().take_while(|(item, _)| Some(item.as_slice()) != end).collect();
    let command = if given.operands.is_empty() { vec![b"echo".to_vec()] } else { given.operands.clone() };
    let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
    if let Some(mark) = replace {
        for (item, _) in &items {
            commands.push(command.iter().map(|word| replaced(word, &mark, item)).collect());
        }
    } else {
        let most = positive('n')?.unwrap_or(usize::MAX);
        let room = positive('s')?.unwrap_or(MAX_BYTES).min(MAX_BYTES);
        let base: usize = command.iter().map(|word| word.len() + 1).sum();
        let mut current: Vec<Vec<u8>> = Vec::new();
        let (mut bytes, mut first_line) = (base, 0);
        for (item, line) in items {
            let full = current.len() >= most
                || bytes + item.len() + 1 > room
                || lines.is_some_and(|lines| line >= first_line + lines);
            if full && !current.is_empty() {
                commands.push([command.clone(), std::mem::take(&mut current)].concat());
                bytes = base;
            }
            if current.is_empty() {
                first_line = line;
            }
            bytes += item.len() + 1;
            current.push(item);
        }
        if !current.is_empty() || (commands.is_empty() && !given.has('r')) {
            commands.push([command, current].concat());
        }
    }
    let mut result = 0;
    for argv in commands {
        if given.has('t') {
            writeln!(context.stderr, "{}", show(&argv.join(&b' ')))?;
        }
        let (env, cwd) = (context.env, context.cwd);
        match run_program(context, &argv, env, cwd)? {
            0 => {}
            255 => {
                return Err(
                    Failure::new(format!("{}: exited with status 255; aborting", show(&argv[0]))).with_status(124)
                );
            }
            _ => result = 123,
        }
    }
    Ok(result)
}

fn replaced(word: &[u8], mark: &[u8], item: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        if !mark.is_empty() && rest.starts_with(mark) {
            out.extend_from_slice(item);
            rest = &rest[mark.len()..];
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}

fn unquoted(line: &[u8]) -> Result<Vec<u8>, Failure> {
    let list = quoted_words(line, false)?;
    Ok(list.into_iter().next().map(|(word, _)| word).unwrap_or_default())
}

/// Blank-separated words with quotes and backslashes, and the line on which each begins.
pub(super) fn words(text: &[u8]) -> Result<Vec<(Vec<u8>, usize)>, Failure> {
    quoted_words(text, true)
}

fn quoted_words(text: &[u8], split: bool) -> Result<Vec<(Vec<u8>, usize)>, Failure> {
    let mut out = Vec::new();
    let mut current: Option<(Vec<u8>, usize)> = None;
    let mut line = 0;
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\n' => {
                out.extend(current.take());
                line += 1;
            }
            b' ' | b'\t' if split => out.extend(current.take()),
            b'\'' | b'"' => {
                let word = current.get_or_insert((Vec::new(), line));
                loop {
                    match bytes.next() {
                        Some(&end) if end == byte => break,
                        Some(b'\n') | None => {
                            let kind = if byte == b'"' { "double" } else { "single" };
                            return Err(Failure::new(format!(
                                "unmatched {kind} quote; by default quotes are special to xargs unless you use the -0 option"
                            )));
                        }
                        Some(&inner) => word.0.push(inner),
                    }
                }
            }
            b'\\' => {
                let word = current.get_or_insert((Vec::new(), line));
                word.0.extend(bytes.next());
            }
            _ => current.get_or_insert((Vec::new(), line)).0.push(byte),
        }
    }
    out.extend(current);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_words() {
        let found: Vec<String> = words(b"a 'b c' \\d\ne\"f g\"h\n")
            .expect("quoted well")
            .into_iter()
            .map(|(word, line)| format!("{line}{}", show(&word)))
            .collect();
        assert_eq!(found, ["0a", "0b c", "0d", "1ef gh"]);
        assert!(words(b"'a").is_err());
    }
}
