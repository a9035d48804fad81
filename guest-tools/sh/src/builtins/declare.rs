//! `declare`, `typeset`, `local`, `export`, `readonly`.

use std::collections::BTreeMap;

use kiln_tools::context::show;

use super::io::print;
use crate::state::{Shell, Stop};
use crate::syntax::ast::Subscript;
use crate::syntax::print::{self, quote};
use crate::syntax::{Parser, is_name};
use crate::variables::{Form, Value, Variable};

/// What the letters ask for; `None` leaves a mark as it is.
#[derive(Clone, Copy, Default)]
struct Marks {
    exported: Option<bool>,
    readonly: bool,
    form: Option<Form>,
    indexed: bool,
    associative: bool,
    global: bool,
    print: bool,
    functions: bool,
    function_names: bool,
}

impl Marks {
    fn any(self) -> bool {
        self.exported.is_some() || self.readonly || self.form.is_some() || self.indexed || self.associative
    }

    fn fits(self, variable: &Variable) -> bool {
        self.exported.is_none_or(|exported| variable.exported == exported)
            && (!self.readonly || variable.readonly)
            && self.form.is_none_or(|form| variable.form == form)
            && (!self.indexed || matches!(variable.value, Some(Value::Indexed(_))))
            && (!self.associative || matches!(variable.value, Some(Value::Associative(_))))
    }
}

/// The options before the names.
fn options<'a>(shell: &Shell, argv: &'a [Vec<u8>], mut marks: Marks) -> Result<(Marks, &'a [Vec<u8>]), Stop> {
    let mut args = &argv[1..];
    while let Some((arg, rest)) = args.split_first().filter(|(arg, _)| arg.len() > 1 && b"-+".contains(&arg[0])) {
        args = rest;
        if arg == b"--" {
            break;
        }
        let on = arg[0] == b'-';
        for letter in &arg[1..] {
            match letter {
                b'x' => marks.exported = Some(on),
                b'n' if argv[0] == b"export" => marks.exported = Some(!on),
                b'r' => marks.readonly = on,
                b'i' => marks.form = Some(if on { Form::Integer } else { Form::AsItIs }),
                b'l' => marks.form = Some(if on { Form::Lower } else { Form::AsItIs }),
                b'u' => marks.form = Some(if on { Form::Upper } else { Form::AsItIs }),
                b'a' => marks.indexed = on,
                b'A' => marks.associative = on,
                b'g' => marks.global = true,
                b'p' => marks.print = true,
                b'f' => marks.functions = true,
                b'F' => marks.function_names = true,
                // Tracing functions one by one.
                b't' => {}
                _ => return Err(shell.fail(&format!("{}: Illegal option {}", show(&argv[0]), show(arg)))),
            }
        }
    }
    Ok((marks, args))
}

pub(super) fn declare(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let (marks, names) = options(shell, argv, Marks::default())?;
    if marks.functions || marks.function_names {
        return print_functions(shell, names, marks.function_names);
    }
    if names.is_empty() || marks.print {
        return print_variables(shell, names, marks);
    }
    let local = !shell.calls.is_empty() && !marks.global;
    each(shell, argv, names, marks, local)
}

pub(super) fn local(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    if shell.calls.is_empty() {
        return Err(shell.fail("local: not in a function"));
    }
    let (marks, names) = options(shell, argv, Marks::default())?;
    each(shell, argv, names, marks, true)
}

pub(super) fn export(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let (marks, names) = options(shell, argv, Marks { exported: Some(true), ..Marks::default() })?;
    if marks.functions {
        shell.complain("export: functions cannot be exported; put them into a file and read it with `.`");
        return Ok(1);
    }
    if names.is_empty() {
        return print_marked(shell, "export", |variable| variable.exported);
    }
    each(shell, argv, names, marks, false)
}

pub(super) fn readonly(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let (marks, names) = options(shell, argv, Marks { readonly: true, ..Marks::default() })?;
    if names.is_empty() {
        return print_marked(shell, "readonly", |variable| variable.readonly);
    }
    each(shell, argv, names, marks, false)
}

/// `NAME`, `NAME=value`, `NAME+=value`, `NAME[subscript]=value`, or a name whose elements were set aside.
fn each(shell: &mut Shell, argv: &[Vec<u8>], args: &[Vec<u8>], marks: Marks, local: bool) -> Result<u8, Stop> {
    for arg in args {
        let (target, value) = match arg.iter().position(|&byte| byte == b'=') {
            Some(at) => (&arg[..at], Some(arg[at + 1..].to_vec())),
            None => (arg.as_slice(), None),
        };
        let (target, append) = match target.strip_suffix(b"+") {
            Some(target) if value.is_some() => (target, true),
            _ => (target, false),
        };
        let Some((name, subscript)) = Parser::reference(target).filter(|(name, _)| is_name(name)) else {
            return Err(shell.fail(&format!("{}: {}: bad variable name", show(&argv[0]), show(target))));
        };
        if local {
            shell.hide_in_function(&name);
        }
        declare_one(shell, &name, marks)?;
        if let Some(index) = shell.elements.iter().position(|given| given.name == name) {
            let given = shell.elements.remove(index);
            shell.assign_elements(&name, given.append, given.elements)?;
        }
        if let Some(value) = value {
            let key = match subscript {
                Some(Subscript::One(word)) => Some(shell.key(&name, &word)?),
                _ => None,
            };
            shell.assign_to(&name, key, value, append)?;
        }
        let variable = shell.variable_mut(&name);
        variable.exported = marks.exported.unwrap_or(variable.exported);
        variable.readonly |= marks.readonly;
    }
    Ok(0)
}

/// The marks that decide how a value is assigned.
fn declare_one(shell: &mut Shell, name: &[u8], marks: Marks) -> Result<(), Stop> {
    let variable = shell.variable_mut(name);
    if let Some(form) = marks.form {
        variable.form = form;
    }
    let wrong = match &mut variable.value {
        value @ None if marks.associative => {
            *value = Some(Value::Associative(BTreeMap::new()));
            false
        }
        value @ None if marks.indexed => {
            *value = Some(Value::Indexed(BTreeMap::new()));
            false
        }
        Some(Value::Text(text)) if marks.indexed => {
            variable.value = Some(Value::Indexed([(0, std::mem::take(text))].into()));
            false
        }
        Some(Value::Text(text)) if marks.associative => {
            variable.value = Some(Value::Associative([(b"0".to_vec(), std::mem::take(text))].into()));
            false
        }
        Some(Value::Indexed(_)) => marks.associative,
        Some(Value::Associative(_)) => marks.indexed,
        _ => false,
    };
    if wrong {
        return Err(shell.fail(&format!("{}: is an array of the other kind", show(name))));
    }
    Ok(())
}

impl Shell {
    /// What the function does to the variable ends with it.
    fn hide_in_function(&mut self, name: &[u8]) {
        let hidden = self.variables.get(name).cloned();
        let Some(call) = self.calls.last_mut() else { return };
        if call.locals.iter().any(|(local, _)| local == name) {
            return;
        }
        call.locals.push((name.to_vec(), hidden));
        let fresh = self.is_bash || self.variables.get(name).is_some_and(Variable::has_attributes);
        // Without a value a local keeps the outer one, as in dash; bash begins anew.
        if fresh && self.variables.get(name).is_none_or(|variable| !variable.readonly) {
            *self.variable_mut(name) = Variable::default();
        }
    }
}

fn print_functions(shell: &mut Shell, names: &[Vec<u8>], only_names: bool) -> Result<u8, Stop> {
    let mut out = Vec::new();
    let mut status = 0;
    let all: Vec<Vec<u8>> = shell.functions.keys().cloned().collect();
    for name in if names.is_empty() { &all } else { names } {
        match shell.functions.get(name) {
            Some(_) if only_names && names.is_empty() => {
                out.extend_from_slice(&[b"declare -f ", &name[..], b"\n"].concat());
            }
            Some(_) if only_names => out.extend_from_slice(&[&name[..], b"\n"].concat()),
            Some(body) => out.extend_from_slice(&[&name[..], b"() ", &print::command(body)].concat()),
            None => status = 1,
        }
    }
    print(shell, &out)?;
    Ok(status)
}

fn print_variables(shell: &mut Shell, names: &[Vec<u8>], marks: Marks) -> Result<u8, Stop> {
    let mut out = Vec::new();
    let mut status = 0;
    for name in names {
        match shell.variables.get(name) {
            Some(variable) => out.extend_from_slice(&variable.declaration(name)),
            None => {
                shell.complain(&format!("declare: {}: not found", show(name)));
                status = 1;
            }
        }
    }
    if names.is_empty() {
        for (name, variable) in shell.variables.iter() {
            if !marks.any() || marks.fits(variable) {
                out.extend_from_slice(&variable.declaration(name));
            }
        }
    }
    print(shell, &out)?;
    Ok(status)
}

/// As POSIX has it: `export NAME='value'`.
fn print_marked(shell: &mut Shell, command: &str, marked: fn(&Variable) -> bool) -> Result<u8, Stop> {
    let mut out = Vec::new();
    for (name, variable) in shell.variables.iter().filter(|(_, variable)| marked(variable)) {
        out.extend_from_slice(&[command.as_bytes(), b" ", name].concat());
        if let Some(value) = variable.plain() {
            out.push(b'=');
            out.extend_from_slice(&quote(value));
        }
        out.push(b'\n');
    }
    print(shell, &out)
}
