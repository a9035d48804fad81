//! CMD, ENTRYPOINT and SHELL.

use super::Input;
use crate::{Command, Diagnostic};

pub(super) fn command(input: &mut Input<'_>) -> Result<Command, Diagnostic> {
    input.no_flags();
    input.require_arguments("[\"program\", \"argument\"]")?;
    Ok(match input.exec_form(input.arguments.clone())? {
        Some(arguments) => Command::Exec(arguments),
        None => Command::Shell(input.text().to_owned()),
    })
}

pub(super) fn shell(input: &mut Input<'_>) -> Result<Vec<String>, Diagnostic> {
    const EXAMPLE: &str = "[\"/bin/bash\", \"-c\"]";
    input.no_flags();
    input.require_arguments(EXAMPLE)?;
    let warnings = input.problems.len();
    match input.exec_form(input.arguments.clone())? {
        Some(shell) if !shell.is_empty() => Ok(shell),
        form => {
            // What would be a warning elsewhere tells here where the array is wrong.
            let flaw = input.problems.split_off(warnings).pop();
            let span = flaw.as_ref().map_or(input.arguments_span(), |flaw| flaw.span);
            let message = if form.is_some() { "SHELL needs a program" } else { "SHELL takes a JSON array" };
            Err(Diagnostic::error("shell-not-json", span, message)
                .hint(format!("write SHELL {EXAMPLE}"))
                .maybe_hint(flaw.and_then(|flaw| flaw.hint)))
        }
    }
}
