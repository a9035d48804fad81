//! `command`, `type`, `alias`.

use kiln_tools::context::{path_bytes, show};

use super::io::print;
use crate::state::{Shell, Stop};

const RESERVED: [&[u8]; 16] = [
    b"!", b"{", b"}", b"case", b"do", b"done", b"elif", b"else", b"esac", b"fi", b"for", b"if", b"in", b"then",
    b"until", b"while",
];

enum Meaning {
    Reserved,
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
    describe(shell, &argv[1..])
}

fn describe(shell: &mut Shell, names: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut status = 0;
    for name in names {
        let text = match meaning(shell, name) {
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
                Some(_) => args[0].clone(),
            };
            print(shell, &[&line[..], b"\n"].concat())
        }
        None => {
            // As if no function of that name were there.
            let function = shell.functions.remove(&args[0]);
            let result = shell.run_words(args);
            if let Some(function) = function {
                shell.functions.entry(args[0].clone()).or_insert(function);
            }
            result
        }
    }
}

pub(super) fn alias(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    // Aliases are for people at a prompt; pretending to define one would make later lines mean something else.
    if argv.len() > 1 {
        shell.complain("alias: not available in this shell; use a function");
        return Ok(1);
    }
    Ok(0)
}
