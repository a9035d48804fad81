//! `set` and `shopt`.

use kiln_tools::context::show;

use super::io::print;
use crate::options::{Flag, SET_OPTIONS, SHOPT_OPTIONS, lettered, named};
use crate::state::{Shell, Stop};
use crate::syntax::print::quote;

/// Names of `shopt` that ask for what this shell does anyway, or for what only people at a prompt would notice.
const ACCEPTED: [&str; 12] = [
    "cdspell",
    "checkhash",
    "checkwinsize",
    "cmdhist",
    "expand_aliases",
    "extquote",
    "force_fignore",
    "histappend",
    "inherit_errexit",
    "interactive_comments",
    "lastpipe",
    "sourcepath",
];

pub(crate) fn set_letter_option(shell: &mut Shell, letter: u8, on: bool) -> Result<(), Stop> {
    match lettered(letter) {
        Some(flag) => {
            shell.options.set(flag, on);
            Ok(())
        }
        // Options of bash about history and debugging, which change nothing here.
        None if b"HTPkpt".contains(&letter) => Ok(()),
        None => Err(shell.fail(&format!("set: Illegal option -{}", letter as char))),
    }
}

pub(crate) fn set_named_option(shell: &mut Shell, name: &[u8], on: bool) -> Result<(), Stop> {
    match named(name) {
        Some(flag) => shell.options.set(flag, on),
        None if matches!(name, b"posix" | b"functrace" | b"physical" | b"history" | b"histexpand" | b"ignoreeof") => {}
        None => return Err(shell.fail(&format!("set: Illegal option -o {}", show(name)))),
    }
    Ok(())
}

pub(super) fn set(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    if argv.len() == 1 {
        let mut out = Vec::new();
        for (name, variable) in shell.variables.iter() {
            if let Some(value) = variable.plain() {
                out.extend_from_slice(&[name, &b"="[..], &quote(value), b"\n"].concat());
            }
        }
        return print(shell, &out);
    }
    let mut args = argv[1..].iter();
    while let Some(arg) = args.next() {
        match arg.split_first() {
            Some((b'-', b"-")) => {
                shell.positional = args.cloned().collect();
                return Ok(0);
            }
            Some((b'-', b"")) => {
                shell.options.set(Flag::XTrace, false);
                shell.options.set(Flag::Verbose, false);
            }
            Some((sign @ (b'-' | b'+'), letters)) if !letters.is_empty() => {
                for &letter in letters {
                    if letter != b'o' {
                        set_letter_option(shell, letter, *sign == b'-')?;
                        continue;
                    }
                    match args.next() {
                        Some(name) => set_named_option(shell, name, *sign == b'-')?,
                        None => return list_options(shell, *sign == b'-'),
                    }
                }
            }
            _ => {
                shell.positional = std::iter::once(arg).chain(args).cloned().collect();
                return Ok(0);
            }
        }
    }
    Ok(0)
}

/// For people, or as commands that a shell reads.
fn list_options(shell: &mut Shell, for_people: bool) -> Result<u8, Stop> {
    let mut out = String::new();
    if for_people {
        out.push_str("Current option settings\n");
    }
    for (flag, _, name) in SET_OPTIONS.iter().filter(|(flag, ..)| *flag != Flag::Interactive) {
        match (for_people, shell.options.get(*flag)) {
            (true, on) => out.push_str(&format!("{name:<16}{}\n", if on { "on" } else { "off" })),
            (false, true) => out.push_str(&format!("set -o {name}\n")),
            (false, false) => out.push_str(&format!("set +o {name}\n")),
        }
    }
    print(shell, out.as_bytes())
}

pub(super) fn shopt(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut args = &argv[1..];
    let (mut on, mut quiet, mut of_set) = (None, false, false);
    while let Some((arg, rest)) = args.split_first().filter(|(arg, _)| arg.len() > 1 && arg[0] == b'-') {
        for letter in &arg[1..] {
            match letter {
                b's' => on = Some(true),
                b'u' => on = Some(false),
                b'q' => quiet = true,
                b'o' => of_set = true,
                b'p' => {}
                _ => return Err(shell.fail(&format!("shopt: Illegal option {}", show(arg)))),
            }
        }
        args = rest;
    }
    let mut status = 0;
    let mut out = String::new();
    for name in args {
        let flag = match SHOPT_OPTIONS.iter().find(|(_, known)| known.as_bytes() == name) {
            _ if of_set => named(name),
            Some((flag, _)) => Some(*flag),
            None => None,
        };
        let accepted = ACCEPTED.iter().any(|known| known.as_bytes() == name);
        match (flag, on) {
            (Some(flag), Some(on)) => shell.options.set(flag, on),
            (None, Some(_)) if accepted => {}
            (Some(_), None) | (None, None) if flag.is_some() || accepted => {
                let is_on = flag.is_none_or(|flag| shell.options.get(flag));
                status |= u8::from(!is_on);
                out.push_str(&format!("{:<15}\t{}\n", show(name), if is_on { "on" } else { "off" }));
            }
            _ => {
                shell.complain(&format!("shopt: {}: not an option of this shell", show(name)));
                status = 1;
            }
        }
    }
    if args.is_empty() {
        for (flag, name) in SHOPT_OPTIONS {
            let is_on = shell.options.get(flag);
            if on.is_none_or(|on| on == is_on) {
                out.push_str(&format!("{name:<15}\t{}\n", if is_on { "on" } else { "off" }));
            }
        }
    }
    if quiet { Ok(status) } else { print(shell, out.as_bytes()).map(|printed| printed.max(status)) }
}
