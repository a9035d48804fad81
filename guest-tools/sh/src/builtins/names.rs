//! `command`, `builtin`, `type`, `alias`.

use std::rc::Rc;

use kiln_tools::context::{path_bytes, show};

use super::io::print;
use crate::state::{Shell, Stop};
use crate::syntax::RESERVED;
use crate::syntax::print::quote;

enum Meaning {
    Reserved,
    Alias(Vec<u8>),
    Special,
    Builtin,
    Function,
    Path(Vec<u8>),
}

fn meaning(shell: &Shell, name: &[u8]) -> Option<Meaning> {
    if name.contains(&b'/') {
        let stat = kiln_guest::stat(&shell.path(name), true).ok()?;
        return (stat.is_file() && stat.mode & 0o111 != 0).then(|| Meaning::Path(name.to_vec()));
    }
    let builtin = super::find(name);
    if let Some(text) = shell.aliases.get(name) {
        return Some(Meaning::Alias(text.clone()));
    }
    if RESERVED.contains(&name) {
        return Some(Meaning::Reserved);
    }
    if builtin.is_some_and(|builtin| builtin.special) {
        return Some(Meaning::Special);
    }
    if shell.functions.contains_key(name) {
        return Some(Meaning::Function);
    }
    if builtin.is_some() {
        return Some(Meaning::Builtin);
    }
    match shell.find_program(name) {
        Some(path) => Some(Meaning::Path(path_bytes(&path).to_vec())),
        None => super::in_process_tool(name).map(|_| Meaning::Builtin),
    }
}

pub(super) fn type_(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let args = &argv[1..];
    match args.split_first() {
        Some((option, names)) if matches!(option.as_slice(), b"-t" | b"-p" | b"-P") => briefly(shell, option[1], names),
        Some((option, names)) if option == b"-a" || option == b"-f" => describe(shell, names),
        _ => describe(shell, args),
    }
}

/// `type -t` and `type -p`.
fn briefly(shell: &mut Shell, letter: u8, names: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut status = 0;
    for name in names {
        let text = match (meaning(shell, name), letter) {
            (None, _) => {
                status = 1;
                continue;
            }
            (Some(Meaning::Path(path)), b'p' | b'P') => path,
            (_, b'P') => match shell.find_program(name) {
                Some(path) => path_bytes(&path).to_vec(),
                None => {
                    status = 1;
                    continue;
                }
            },
            (_, b'p') => continue,
            (Some(Meaning::Reserved), _) => b"keyword".to_vec(),
            (Some(Meaning::Alias(_)), _) => b"alias".to_vec(),
            (Some(Meaning::Special | Meaning::Builtin), _) => b"builtin".to_vec(),
            (Some(Meaning::Function), _) => b"function".to_vec(),
            (Some(Meaning::Path(_)), _) => b"file".to_vec(),
        };
        print(shell, &[&text[..], b"\n"].concat())?;
    }
    Ok(status)
}

fn describe(shell: &mut Shell, names: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut status = 0;
    for name in names {
        let text = match meaning(shell, name) {
            Some(Meaning::Alias(text)) => format!("is an alias for {}", show(&text)),
            Some(Meaning::Reserved) => "is a shell keyword".to_string(),
            Some(Meaning::Special) => "is a special shell builtin".to_string(),
            Some(Meaning::Builtin) => "is a shell builtin".to_string(),
            Some(Meaning::Function) => "is a shell function".to_string(),
            Some(Meaning::Path(path)) => format!("is {}", show(&path)),
            None => {
                status = 127;
                ": not found".to_string()
            }
        };
        let space = if text.starts_with(':') { "" } else { " " };
        print(shell, &[name, space.as_bytes(), text.as_bytes(), b"\n"].concat())?;
    }
    Ok(status)
}

pub(super) fn command(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut args = &argv[1..];
    let mut verbose = None;
    while let Some(arg) = args.first().filter(|arg| arg.len() > 1 && arg[0] == b'-') {
        match arg.as_slice() {
            b"-v" | b"-V" => verbose = Some(arg[1]),
            b"-p" | b"--" => {}
            _ => return Err(shell.fail(&format!("command: Illegal option {}", show(arg)))),
        }
        args = &args[1..];
        if argv[argv.len() - args.len() - 1] == b"--" {
            break;
        }
    }
    if args.is_empty() {
        return Ok(0);
    }
    match verbose {
        Some(b'V') => describe(shell, args),
        Some(_) => {
            let line = match meaning(shell, &args[0]) {
                None => return Ok(127),
                Some(Meaning::Path(path)) => path,
                Some(Meaning::Alias(text)) => alias_line(&args[0], &text, b"alias "),
                Some(_) => args[0].clone(),
            };
            print(shell, &[&line[..], b"\n"].concat())
        }
        None => {
            // As if no function of that name were there.
            let function = Rc::make_mut(&mut shell.functions).remove(&args[0]);
            let mut result = shell.run_words(args);
            // Errors of a special builtin do not end the shell here.
            if matches!(result, Err(Stop::Error)) && super::find(&args[0]).is_some_and(|builtin| builtin.special) {
                result = Ok(2);
            }
            if let Some(function) = function {
                Rc::make_mut(&mut shell.functions).entry(args[0].clone()).or_insert(function);
            }
            result
        }
    }
}

pub(super) fn builtin(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    match argv.get(1).map(|name| (name, super::find(name))) {
        None => Ok(0),
        Some((_, Some(builtin))) => (builtin.run)(shell, &argv[1..]),
        Some((name, None)) => {
            shell.complain(&format!("builtin: {}: not a shell builtin", show(name)));
            Ok(1)
        }
    }
}

fn alias_line(name: &[u8], text: &[u8], prefix: &[u8]) -> Vec<u8> {
    [prefix, name, b"=", &quote(text)].concat()
}

pub(super) fn alias(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let args = &argv[1..];
    let args = if args.first().is_some_and(|arg| arg == b"--" || arg == b"-p") { &args[1..] } else { args };
    let mut status = 0;
    let mut out = Vec::new();
    if args.is_empty() {
        for (name, text) in shell.aliases.iter() {
            out.extend_from_slice(&[alias_line(name, text, b""), b"\n".to_vec()].concat());
        }
    }
    for arg in args {
        match arg.iter().skip(1).position(|&byte| byte == b'=') {
            Some(at) => {
                let (name, text) = (arg[..=at].to_vec(), arg[at + 2..].to_vec());
                Rc::make_mut(&mut shell.aliases).insert(name, text);
            }
            None => match shell.aliases.get(arg) {
                Some(text) => out.extend_from_slice(&[alias_line(arg, text, b""), b"\n".to_vec()].concat()),
                None => {
                    shell.complain(&format!("alias: {} not found", show(arg)));
                    status = 1;
                }
            },
        }
    }
    print(shell, &out).map(|printed| printed.max(status))
}

pub(super) fn unalias(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut status = 0;
    for arg in &argv[1..] {
        if arg == b"-a" {
            shell.aliases = Rc::default();
        } else if arg != b"--" && Rc::make_mut(&mut shell.aliases).remove(arg).is_none() {
            shell.complain(&format!("unalias: {} not found", show(arg)));
            status = 1;
        }
    }
    Ok(status)
}
