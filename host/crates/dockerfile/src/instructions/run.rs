//! RUN.

use super::{Input, mount};
use crate::diagnostic::quoted;
use crate::flags::{Flags, Takes};
use crate::{Diagnostic, Program, Run, Word, closest, heredoc};

pub(super) fn parse(input: &mut Input<'_>) -> Result<Run, Diagnostic> {
    let known =
        [("device", Takes::Values), ("mount", Takes::Values), ("network", Takes::Value), ("security", Takes::Value)];
    let mut flags = Flags::check(input, &known);
    let mut mounts = Vec::new();
    for word in flags.values("mount") {
        match mount::parse(&word) {
            Ok(mount) => mounts.push(mount),
            Err(problem) => input.problems.push(problem),
        }
    }
    let network = flags.value("network");
    let security = flags.value("security");
    for (flag, value, known) in
        [("network", &network, &["default", "none", "host"][..]), ("security", &security, &["sandbox", "insecure"])]
    {
        if let Some(value) = value.as_ref().filter(|value| !value.contains('$')) {
            check_choice(input, &format!("--{flag}"), value, known);
        }
    }
    Ok(Run { program: program(input)?, mounts, network, security, devices: flags.values("device") })
}

fn check_choice(input: &mut Input<'_>, what: &str, value: &Word, known: &[&str]) {
    if known.iter().any(|choice| value.eq_ignore_ascii_case(choice)) {
        return;
    }
    let hint = match closest(value, known.iter().copied()) {
        Some(guess) => format!("did you mean {guess}?"),
        None => format!("known are {}", known.join(", ")),
    };
    let message = format!("{what} cannot be {}", quoted(value));
    input.problems.push(Diagnostic::error("invalid-flag-value", value.span, message).hint(hint));
}

fn program(input: &mut Input<'_>) -> Result<Program, Diagnostic> {
    let text = input.text();
    if let [first, ..] = &input.heredocs[..] {
        // A heredoc and nothing else: its content is the script. Otherwise the shell gets the heredocs as they are.
        if !matches!(heredoc::announced(text), Ok(Some(_))) {
            let bodies = input.heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.body, heredoc.name));
            return Ok(Program::Shell(text.to_owned() + &bodies.collect::<String>()));
        }
        let heredoc = first.resolved();
        let script = heredoc.content.starts_with("#!");
        return Ok(if script { Program::Script(heredoc) } else { Program::Shell(heredoc.content) });
    }
    match input.exec_form(input.arguments.clone())? {
        Some(arguments) if arguments.is_empty() => {
            Err(Diagnostic::error("missing-argument", input.arguments_span(), "RUN needs a program")
                .hint("e.g. RUN [\"program\", \"argument\"]"))
        }
        Some(arguments) => Ok(Program::Exec(arguments)),
        None => Ok(Program::Shell(text.to_owned())),
    }
}
