//! `--check` and `--call`: what is said of a Dockerfile in place of building it, in the words and forms of buildx.

mod json;
mod sarif;
mod text;

use std::io::{self, Write};
use std::process::ExitCode;

use kiln_build::{Checked, Request};
use kiln_store::Store;

use super::failure;
use super::platforms::Failed;
use crate::cli::call::{Call, Form, Method};
use crate::report::failure::FAILED;
use crate::report::problem::Problem;
use crate::report::source::Lines;

pub(super) fn run(call: Call, request: &Request, store: &Store) -> anyhow::Result<ExitCode> {
    let mut out = crate::commands::stdout();
    let mut code = ExitCode::SUCCESS;
    let result = match call.method {
        Method::Build => Ok(Ok(())),
        Method::Check => kiln_build::check_plan(request, store).map(|checked| {
            if !checked.errors.is_empty() || !(checked.findings.warnings.is_empty() || call.ignore_status) {
                code = ExitCode::from(FAILED);
            }
            check(call, request, &checked, &mut out)
        }),
        Method::Outline => kiln_build::outline(request, store).map(|outline| match call.form {
            Form::Json => json::outline(&outline, request, &mut out),
            _ => text::outline(&outline, &mut out),
        }),
        Method::Targets => kiln_build::targets(request).map(|targets| match call.form {
            Form::Json => json::targets(&targets, request, &mut out),
            _ => text::targets(&targets, &mut out),
        }),
    };
    match result {
        Ok(written) => written?,
        Err(error) => return Ok(failure::show(&Failed { error, step: None, platform: None }, request, None)),
    }
    out.flush()?;
    Ok(code)
}

/// Warnings go where results go, errors where errors go.
fn check(call: Call, request: &Request, checked: &Checked, out: &mut impl Write) -> io::Result<()> {
    match call.form {
        Form::Json => json::check(checked, request, out)?,
        Form::Sarif => sarif::check(checked, request, out)?,
        Form::Text => text::check(checked, request, out)?,
    }
    out.flush()?;
    failure::show_diagnostics(&checked.errors, &request.dockerfile_name, &request.dockerfile);
    Ok(())
}

/// Ends the build before it begins where the Dockerfile wants its warnings to be errors.
pub(super) fn stop(checked: &Checked, request: &Request) -> io::Result<Option<ExitCode>> {
    if checked.findings.fatal.is_empty() || !checked.errors.is_empty() {
        return Ok(None);
    }
    let mut notes = io::stderr().lock();
    text::warnings(checked, request, &mut notes)?;
    drop(notes);
    let mut problem = Problem::error(format!("lint violation found for rules: {}", checked.findings.fatal.join(", ")));
    problem.code = Some("lint-violation");
    problem.hints.push("the check option error=true makes an error of these warnings".to_owned());
    problem.show();
    Ok(Some(ExitCode::from(FAILED)))
}

/// A line for each warning, after a build.
pub(super) fn summarise(checked: &Checked, request: &Request) -> io::Result<()> {
    let warnings = &checked.findings.warnings;
    let count = match warnings.len() {
        0 => return Ok(()),
        1 => "1 warning".to_owned(),
        more => format!("{more} warnings"),
    };
    let mut notes = io::stderr().lock();
    writeln!(notes, "\n {count} found (use --check to expand):")?;
    let lines = Lines::new(&request.dockerfile);
    for warning in warnings.iter().take(text::MOST_SHOWN) {
        let line = lines.of(warning.span);
        writeln!(notes, " - {}: {} (line {})", warning.rule, text::printable(&warning.detail), line.start())?;
    }
    if warnings.len() > text::MOST_SHOWN {
        writeln!(notes, " - and {} more", warnings.len() - text::MOST_SHOWN)?;
    }
    Ok(())
}
