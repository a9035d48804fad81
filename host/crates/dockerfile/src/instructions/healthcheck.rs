//! HEALTHCHECK.

use super::Input;
use crate::diagnostic::quoted;
use crate::flags::{Flags, Takes};
use crate::{Command, Diagnostic, Healthcheck, closest, duration, words};
use std::time::Duration;

const TIMES: [&str; 4] = ["interval", "timeout", "start-period", "start-interval"];

pub(super) fn parse(input: &mut Input<'_>) -> Result<Healthcheck, Diagnostic> {
    let known: Vec<_> = TIMES.into_iter().chain(["retries"]).map(|name| (name, Takes::Value)).collect();
    let mut flags = Flags::check(input, &known);
    input.require_arguments("CMD command")?;
    let (kind, rest) = words::first(&input.line.text, input.arguments.clone());
    let kind = input.word(kind);
    if kind.eq_ignore_ascii_case("NONE") {
        if !rest.is_empty() {
            let message = "HEALTHCHECK NONE takes no arguments";
            return Err(Diagnostic::error("unexpected-argument", input.line.span(rest), message).hint("remove them"));
        }
        return Ok(Healthcheck::None);
    }
    if !kind.eq_ignore_ascii_case("CMD") {
        let hint = match closest(&kind, ["CMD", "NONE"]) {
            Some(guess) => format!("did you mean {guess}?"),
            None => "write HEALTHCHECK CMD command, or HEALTHCHECK NONE".to_owned(),
        };
        let message = format!("unknown kind of HEALTHCHECK {}", quoted(&kind));
        return Err(Diagnostic::error("unknown-healthcheck", kind.span, message).hint(hint));
    }
    let command = match input.exec_form(rest.clone())? {
        _ if rest.is_empty() => None,
        Some(arguments) if arguments.is_empty() => None,
        Some(arguments) => Some(Command::Exec(arguments)),
        None => Some(Command::Shell(input.line.text[rest].to_owned())),
    };
    let command = command.ok_or_else(|| {
        Diagnostic::error("missing-argument", input.arguments_span(), "HEALTHCHECK CMD needs a command")
            .hint("e.g. HEALTHCHECK CMD true")
    })?;
    let [interval, timeout, start_period, start_interval] = TIMES.map(|name| time(input, &mut flags, name));
    let retries = retries(input, &mut flags);
    Ok(Healthcheck::Check { command, interval, timeout, start_period, start_interval, retries })
}

fn time(input: &mut Input<'_>, flags: &mut Flags, name: &str) -> Duration {
    let Some(word) = flags.value(name).filter(|word| !word.is_empty()) else { return Duration::ZERO };
    let problem = match duration::parse(&word) {
        Ok(time) if time.is_zero() || time >= Duration::from_millis(1) => return time,
        Ok(_) => "is less than 1ms",
        Err(problem) => problem,
    };
    let message = format!("--{name} {problem}: {}", quoted(&word));
    let hint = "write a duration such as 30s, 1m30s or 500ms";
    input.problems.push(Diagnostic::error("invalid-duration", word.span, message).hint(hint));
    Duration::ZERO
}

fn retries(input: &mut Input<'_>, flags: &mut Flags) -> u32 {
    let Some(word) = flags.value("retries").filter(|word| !word.is_empty()) else { return 0 };
    match word.parse::<i32>().ok().and_then(|retries| u32::try_from(retries).ok()) {
        Some(retries) => retries,
        None => {
            let message = format!("--retries cannot be {}", quoted(&word));
            input
                .problems
                .push(Diagnostic::error("invalid-flag-value", word.span, message).hint("write a number, 0 or more"));
            0
        }
    }
}
