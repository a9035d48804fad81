//! Variables and arguments: `unset`, `shift`, `getopts`, `let`.

use std::rc::Rc;

use kiln_tools::context::show;
use kiln_tools::options::number;

use crate::state::{Shell, Stop};
use crate::syntax::Parser;
use crate::syntax::ast::Subscript;
use crate::variables::{Key, Value};

pub(super) fn unset(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut args = &argv[1..];
    let (mut functions, mut variables) = (false, false);
    while let Some(arg) = args.first().filter(|arg| matches!(arg.as_slice(), b"-f" | b"-v" | b"--" | b"-n")) {
        functions |= arg == b"-f";
        variables |= arg == b"-v";
        args = &args[1..];
    }
    for arg in args {
        if functions {
            Rc::make_mut(&mut shell.functions).remove(arg);
            continue;
        }
        let Some((name, subscript)) = Parser::reference(arg) else {
            return Err(shell.fail(&format!("unset: {}: bad variable name", show(arg))));
        };
        let known = shell.variables.get(&name);
        if known.is_some_and(|variable| variable.readonly) {
            return Err(shell.fail(&format!("unset: {}: is read only", show(&name))));
        }
        if known.is_none() && !variables && shell.is_bash {
            Rc::make_mut(&mut shell.functions).remove(&name);
        }
        match subscript {
            Some(Subscript::One(word)) => {
                let key = shell.key(&name, &word)?;
                remove_element(shell, &name, &key);
            }
            _ if known.is_some() => shell.restore_variable(name, None),
            _ => {}
        }
    }
    Ok(0)
}

fn remove_element(shell: &mut Shell, name: &[u8], key: &Key) {
    match (&mut shell.variable_mut(name).value, key) {
        (Some(Value::Indexed(elements)), Key::Index(index)) => {
            let last = elements.last_key_value().map_or(-1, |(last, _)| *last);
            elements.remove(&if *index < 0 { last.saturating_add(1).saturating_add(*index) } else { *index });
        }
        (Some(Value::Associative(elements)), Key::Name(name)) => {
            elements.remove(name);
        }
        (value @ Some(Value::Text(_)), Key::Index(0)) => *value = None,
        _ => {}
    }
}

/// The status says whether the last expression is not zero.
pub(super) fn let_(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut value = 0;
    for expression in &argv[1..] {
        value = match shell.arithmetic(expression) {
            Ok(value) => value,
            Err(Stop::Error) => return Ok(1),
            Err(stop) => return Err(stop),
        };
    }
    Ok(u8::from(value == 0))
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
            shell.restore_variable(b"OPTARG".to_vec(), None);
        }
    }
    shell.assign(name, vec![result])?;
    Ok(0)
}
