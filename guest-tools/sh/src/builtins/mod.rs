//! The shell's own commands.

mod declare;
mod directories;
mod io;
mod names;
mod options;
mod process;
mod read;
mod variables;

use std::io::ErrorKind;

use kiln_tools::{Tool, context, expression, printf, tools};

use crate::state::{Shell, Stop};
use crate::streams::{Capture, Stream};
use crate::syntax::Parser;
use crate::syntax::ast::Subscript;
use crate::trap;

pub(crate) use options::{set_letter_option, set_named_option};

pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Shell, &[Vec<u8>]) -> Result<u8, Stop>,
    /// One whose assignments stay and whose errors end the shell.
    pub(crate) special: bool,
    /// One that reads nothing and changes nothing, so that it can run before its pipeline does.
    pub(crate) only_prints: bool,
}

const fn special(name: &'static str, run: fn(&mut Shell, &[Vec<u8>]) -> Result<u8, Stop>) -> Builtin {
    Builtin { name, run, special: true, only_prints: false }
}

const fn regular(name: &'static str, run: fn(&mut Shell, &[Vec<u8>]) -> Result<u8, Stop>) -> Builtin {
    Builtin { name, run, special: false, only_prints: false }
}

const fn printing(name: &'static str, run: fn(&mut Shell, &[Vec<u8>]) -> Result<u8, Stop>) -> Builtin {
    Builtin { name, run, special: false, only_prints: true }
}

static BUILTINS: &[Builtin] = &[
    special(":", |_, _| Ok(0)),
    special(".", process::dot),
    special("break", process::break_),
    special("continue", process::continue_),
    special("eval", process::eval),
    special("exec", process::exec),
    special("exit", process::exit),
    special("export", declare::export),
    special("readonly", declare::readonly),
    special("return", process::return_),
    special("set", options::set),
    special("shift", variables::shift),
    special("times", |shell, _| io::print(shell, b"0m0.00s 0m0.00s\n0m0.00s 0m0.00s\n")),
    special("trap", trap::trap),
    special("unset", variables::unset),
    printing("[", |shell, argv| shell.run_test(argv)),
    printing("test", |shell, argv| shell.run_test(argv)),
    printing("echo", echo),
    printing("printf", print_formatted),
    printing("true", |_, _| Ok(0)),
    printing("false", |_, _| Ok(1)),
    printing("pwd", directories::pwd),
    printing("type", names::type_),
    regular("command", names::command),
    regular("cd", directories::cd),
    regular("getopts", variables::getopts),
    regular("hash", |_, _| Ok(0)),
    regular("jobs", |_, _| Ok(0)),
    regular("kill", process::kill),
    regular("local", declare::local),
    regular("read", read::read),
    regular("umask", io::umask),
    regular("ulimit", |shell, _| io::print(shell, b"unlimited\n")),
    regular("wait", process::wait),
    regular("alias", names::alias),
    regular("unalias", names::unalias),
    regular("bg", |_, _| Ok(0)),
    regular("fg", |_, _| Ok(0)),
    regular("source", process::dot),
    regular("builtin", names::builtin),
    regular("declare", declare::declare),
    printing("dirs", directories::dirs),
    regular("disown", |_, _| Ok(0)),
    regular("let", variables::let_),
    regular("logout", process::exit),
    regular("mapfile", read::mapfile),
    regular("popd", directories::popd),
    regular("pushd", directories::pushd),
    regular("readarray", read::mapfile),
    regular("shopt", options::shopt),
    regular("typeset", declare::declare),
];

pub(crate) fn find(name: &[u8]) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name.as_bytes() == name)
}

/// Under the name bash it takes escapes literally.
fn echo(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    shell.run_tool(if shell.is_bash { tools::echo::echo } else { tools::echo::shell_echo }, argv)
}

/// `printf`, and `printf -v NAME`, which assigns.
fn print_formatted(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let [name, option, variable, rest @ ..] = argv else { return shell.run_tool(printf::printf, argv) };
    if option != b"-v" {
        return shell.run_tool(printf::printf, argv);
    }
    let Some((target, subscript)) = Parser::reference(variable) else {
        return Err(shell.fail(&format!("printf: {}: bad variable name", context::show(variable))));
    };
    let capture = Capture::default();
    let stdout = shell.streams.insert(1, Stream::Capture(capture.clone()));
    let status = shell.run_tool(printf::printf, &[std::slice::from_ref(name), rest].concat());
    match stdout {
        Some(stdout) => shell.streams.insert(1, stdout),
        None => shell.streams.remove(&1),
    };
    let key = match subscript {
        Some(Subscript::One(word)) => Some(shell.key(&target, &word)?),
        _ => None,
    };
    shell.assign_to(&target, key, capture.take(), false)?;
    status
}

/// Utilities that are cheap enough to be part of the shell, so that common steps load nothing else.
pub(crate) fn in_process_tool(name: &[u8]) -> Option<Tool> {
    Some(match name {
        b"basename" => tools::names::basename,
        b"cat" => tools::cat::cat,
        b"chmod" => tools::chmod::chmod,
        b"cp" => tools::cp::cp,
        b"dirname" => tools::names::dirname,
        b"ln" => tools::ln::ln,
        b"mkdir" => tools::mkdir::mkdir,
        b"mv" => tools::mv::mv,
        b"rm" => tools::rm::rm,
        b"rmdir" => tools::rm::rmdir,
        b"sleep" => tools::small::sleep,
        b"touch" => tools::touch::touch,
        _ => return None,
    })
}

/// Why a script could not be read, in the shell's words.
pub(crate) fn why_not_open(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "No such file".to_string(),
        _ => context::reason(error),
    }
}

impl Shell {
    /// `test` complains by its own name, without ending the shell.
    fn run_test(&mut self, argv: &[Vec<u8>]) -> Result<u8, Stop> {
        let args = match argv {
            [name, args @ .., last] if name == b"[" && last == b"]" => &argv[..=args.len()],
            [name, ..] if name == b"[" => {
                self.complain("[: missing ]");
                return Ok(2);
            }
            _ => argv,
        };
        // Variables are known to the shell only.
        if let [_, operator, name] = args
            && operator == b"-v"
        {
            return Ok(u8::from(!self.is_set(name)?));
        }
        self.run_tool(expression::test_without_bracket, args)
    }
}
