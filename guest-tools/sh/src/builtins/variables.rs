//! Variables, options and arguments: `export`, `set`, `shift`, `local`, `unset`, `getopts`.

use kiln_tools::context::show;
use kiln_tools::options::number;

use super::io::print;
use crate::state::{OPTION_NAMES, Shell, Stop};
use crate::syntax::{is_name, print::quote};

/// `NAME` or `NAME=value`.
fn assignment(shell: &Shell, command: &str, text: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), Stop> {
    let (name, value) = match text.iter().position(|&byte| byte == b'=') {
        Some(at) => (&text[..at], Some(text[at + 1..].to_vec())),
        None => (text, None),
    };
    if !is_name(name) {
        return Err(shell.fail(&format!("{command}: {}: bad variable name", show(name))));
    }
    Ok((name.to_vec(), value))
}

fn declare(shell: &mut Shell, argv: &[Vec<u8>], mark: fn(&mut crate::state::Variable)) -> Result<u8, Stop> {
    let command = show(&argv[0]).into_owned();
    let args = argv[1..].iter().filter(|arg| arg.as_slice() != b"-p");
    let mut any = false;
    for arg in args {
        any = true;
        let (name, value) = assignment(shell, &command, arg)?;
        if let Some(value) = value {
            shell.assign(&name, value)?;
        }
        mark(shell.variables.entry(name).or_default());
    }
    if any {
        return Ok(0);
    }
    let mut out = Vec::new();
    for (name, variable) in &shell.variables {
        if if command == "export" { variable.exported } else { variable.readonly } {
            out.extend_from_slice(&[command.as_bytes(), b" ", name].concat());
            if let Some(value) = &variable.value {
                out.push(b'=');
                out.extend_from_slice(&quote(value));
            }
            out.push(b'\n');
        }
    }
    print(shell, &out)
}

pub(super) fn export(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    if argv.get(1).is_some_and(|arg| arg == b"-n") {
        for name in &argv[2..] {
            if let Some(variable) = shell.variables.get_mut(name) {
                variable.exported = false;
            }
        }
        return Ok(0);
    }
    declare(shell, argv, |variable| variable.exported = true)
}

pub(super) fn readonly(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    declare(shell, argv, |variable| variable.readonly = true)
}

pub(super) fn local(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    if shell.locals.is_empty() {
        return Err(shell.fail("local: not in a function"));
    }
    for arg in &argv[1..] {
        let (name, value) = assignment(shell, "local", arg)?;
        let hidden = shell.variables.get(&name).cloned();
        if let Some(locals) = shell.locals.last_mut()
            && !locals.iter().any(|(local, _)| *local == name)
        {
            locals.push((name.clone(), hidden));
        }
        // Without a value it keeps the outer one, as in dash.
        if let Some(value) = value {
            shell.assign(&name, value)?;
        }
    }
    Ok(0)
}

pub(super) fn unset(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut args = &argv[1..];
    let functions = args.first().is_some_and(|arg| arg == b"-f");
    if functions || args.first().is_some_and(|arg| arg == b"-v") {
        args = &args[1..];
    }
    for name in args {
        if functions {
            shell.functions.remove(name);
        } else if shell.variables.get(name).is_some_and(|variable| variable.readonly) {
            return Err(shell.fail(&format!("unset: {}: is read only", show(name))));
        } else {
            shell.variables.remove(name);
        }
    }
    Ok(0)
}

pub(super) fn shift(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let count = match argv.get(1) {
        None => 1,
        Some(text) => match number::<usize>(text) {
            Some(count) => count,
            None => return Err(shell.fail(&format!("shift: Illegal number: {}", show(text)))),
        },
    };
    if count > shell.positional.len() {
        return Err(shell.fail("shift: can't shift that many"));
    }
    shell.positional.drain(..count);
    Ok(0)
}

pub(crate) fn set_letter_option(shell: &mut Shell, letter: u8, on: bool) -> Result<(), Stop> {
    match OPTION_NAMES.iter().find(|(known, _)| *known == letter as char && letter != 0) {
        Some((_, name)) => {
            shell.options.set(name, on);
            Ok(())
        }
        None => Err(shell.fail(&format!("set: Illegal option -{}", letter as char))),
    }
}

pub(crate) fn set_named_option(shell: &mut Shell, name: &[u8], on: bool) -> Result<(), Stop> {
    if shell.options.set(&show(name), on) {
        return Ok(());
    }
    Err(shell.fail(&format!("set: Illegal option -o {}", show(name))))
}

pub(super) fn set(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    if argv.len() == 1 {
        let mut out = Vec::new();
        for (name, variable) in &shell.variables {
            if let Some(value) = &variable.value {
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
                shell.options.set("xtrace", false);
                shell.options.set("verbose", false);
            }
            Some((sign @ (b'-' | b'+'), letters)) if !letters.is_empty() => {
                for &letter in letters {
                    if letter != b'o' {
                        set_letter_option(shell, letter, *sign == b'-')?;
                        continue;
                    }
                    match args.next() {
                        Some(name) => set_named_option(shell, name, *sign == b'-')?,
                        None => return list_options(shell),
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

fn list_options(shell: &mut Shell) -> Result<u8, Stop> {
    let mut out = String::from("Current option settings\n");
    for (_, name) in OPTION_NAMES {
        let state = if shell.options.get(name) { "on" } else { "off" };
        out.push_str(&format!("{name:<16}{state}\n"));
    }
    print(shell, out.as_bytes())
}

pub(super) fn getopts(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let [_, spec, name, given @ ..] = argv else {
        return Err(shell.fail("getopts: Usage: getopts optstring var [arg...]"));
    };
    let args = if given.is_empty() { shell.positional.clone() } else { given.to_vec() };
    let variable = |shell: &Shell, name: &[u8]| shell.value(name).and_then(number::<usize>);
    let mut index = variable(shell, b"OPTIND").unwrap_or(1).max(1);
    // How far within a group of letters the last call came; a changed OPTIND starts anew.
    let state = shell.value(b"_OPTPOS").map(|text| show(text).into_owned()).unwrap_or_default();
    let mut offset = match state.split_once(':') {
        Some((at, offset)) if at.parse() == Ok(index) => offset.parse().unwrap_or(1),
        _ => 1usize,
    };
    let silent = spec.first() == Some(&b':');
    let finish = |shell: &mut Shell, index: usize, offset: usize| {
        shell.assign(b"OPTIND", index.to_string().into_bytes())?;
        shell.assign(b"_OPTPOS", format!("{index}:{offset}").into_bytes())
    };
    let Some(arg) = args.get(index - 1).filter(|arg| arg.len() > 1 && arg[0] == b'-' && *arg != b"--") else {
        let past = usize::from(args.get(index - 1).is_some_and(|arg| arg == b"--"));
        finish(shell, index + past, 1)?;
        shell.assign(name, b"?".to_vec())?;
        return Ok(1);
    };
    let letter = arg[offset.min(arg.len() - 1)];
    let at = spec.iter().position(|&known| known == letter && letter != b':');
    let takes_value = at.is_some_and(|at| spec.get(at + 1) == Some(&b':'));
    offset += 1;
    let mut result = letter;
    let mut value = None;
    if at.is_none() {
        result = b'?';
        if silent {
            value = Some(vec![letter]);
        } else {
            shell.complain(&format!("Illegal option -{}", letter as char));
        }
    } else if takes_value && offset < arg.len() {
        value = Some(arg[offset..].to_vec());
        offset = arg.len();
    } else if takes_value {
        index += 1;
        match args.get(index - 1) {
            Some(next) => value = Some(next.clone()),
            None if silent => {
                result = b':';
                value = Some(vec![letter]);
            }
            None => {
                result = b'?';
                shell.complain(&format!("No arg for -{} option", letter as char));
            }
        }
        offset = usize::MAX;
    }
    if offset >= arg.len() {
        index += 1;
        offset = 1;
    }
    finish(shell, index, offset)?;
    match value {
        Some(value) => shell.assign(b"OPTARG", value)?,
        None => {
            shell.variables.remove(&b"OPTARG"[..]);
        }
    }
    shell.assign(name, vec![result])?;
    Ok(0)
}
