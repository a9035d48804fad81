//! CMD, ENTRYPOINT and SHELL.

use super::Input;
use crate::{Command, Diagnostic};

/// Without arguments it is the shell form of an empty command, as BuildKit has it.
pub(super) fn command(input: &mut Input<'_>) -> Result<Command, Diagnostic> {
    input.no_flags();
    Ok(match input.exec_form(input.arguments.clone())? {
        Some(arguments) => Command::Exec(arguments),
        None => Command::Shell(input.text().to_owned()),
    })
}

pub(super) fn shell(input: &mut Input<'_>) -> Result<Vec<String>, Diagnostic> {
    const EXAMPLE: &str = "[\"/bin/bash\", \"-c\"]";
    input.no_flags();
    input.require_arguments(EXAMPLE)?;
    let array = input.array(input.arguments.clone())?;
    if let Some(shell) = array.as_ref().filter(|shell| !shell.is_empty()) {
        return Ok(shell.clone());
    }
    let flaw = if array.is_none() { input.flaw(input.arguments.clone(), false) } else { None };
    let (span, reason) = flaw.unzip();
    let message = if array.is_some() { "SHELL needs a program" } else { "SHELL takes a JSON array" };
    Err(Diagnostic::error("shell-not-json", span.unwrap_or(input.arguments_span()), message)
        .hint(format!("write SHELL {EXAMPLE}"))
        .maybe_hint(reason))
}
