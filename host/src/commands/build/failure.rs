//! How a failed build is told, with the place in the Dockerfile, and the exit code that follows from it.

use std::process::ExitCode;

use kiln_build::{Error, Request, StepFailure};
use kiln_dockerfile::Diagnostic;

use super::platforms::Failed;
use crate::report::failure::FAILED;
use crate::report::problem::{Place, Problem};

/// More would only scroll the first ones away.
const MOST_SHOWN: usize = 20;

/// `remedy_for_one_id` helps where root is the only user there is.
pub(super) fn show(failed: &Failed, request: &Request, remedy_for_one_id: Option<&str>) -> ExitCode {
    let Failed { error, step, platform } = failed;
    let place = |span| Place::new(&request.dockerfile_name, &request.dockerfile, span);
    let of = platform.as_ref().map(|platform| format!(" for {platform}")).unwrap_or_default();
    let label = step.as_ref().map(|step| format!("step {step}{of}"));
    match error {
        Error::Dockerfile(diagnostics) => show_diagnostics(diagnostics, &request.dockerfile_name, &request.dockerfile),
        Error::Instruction(located) => {
            let mut problem = Problem::error(located.message.as_str());
            problem.causes_of(located.as_ref());
            problem.code = Some(located.code);
            problem.hints.extend(located.hint.clone());
            problem.place = Some(place(located.span).label(label));
            problem.show();
        }
        Error::Step(failure) => {
            let mut problem = Problem::error(failure.to_string());
            problem.code = Some("step-failed");
            problem.place = Some(place(failure.span).label(label));
            problem.causes.extend(failure.reason.clone());
            match &failure.remedy {
                Some(remedy) => problem.hints.push(remedy.clone()),
                None => problem.hints.extend(look_around(failure)),
            }
            if failure.kept {
                problem.hints.push("open this step: kiln debug".to_owned());
            }
            if failure.reason.is_none()
                && let Some(remedy) = remedy_for_one_id
            {
                problem.hints.push(format!("if it was to give files to another user than root: {remedy}"));
            }
            problem.show();
            return ExitCode::from(exit_code(failure.code));
        }
        Error::Cancelled
        | Error::NoArtifact { .. }
        | Error::Store(_)
        | Error::Context { .. }
        | Error::Archive(_)
        | Error::Fetch(_)
        | Error::NoHeader(_)
        | Error::Ignore(_)
        | Error::UnknownTarget { .. }
        | Error::Threads(_) => {
            Problem::chain(error).show();
        }
    }
    ExitCode::from(FAILED)
}

fn look_around(failure: &StepFailure) -> Option<String> {
    let before = failure.before?.short();
    Some(format!("look around in the image as it was before this step: kiln run -it {before} sh"))
}

/// Whatever a process can answer, except success.
fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).ok().filter(|&code| code != 0).unwrap_or(FAILED)
}

pub(super) fn show_diagnostics(diagnostics: &[Diagnostic], name: &str, dockerfile: &[u8]) {
    for diagnostic in diagnostics.iter().take(MOST_SHOWN) {
        let problem = Problem {
            warning: false,
            code: Some(diagnostic.code),
            message: diagnostic.message.clone(),
            place: Some(Place::new(name, dockerfile, diagnostic.span)),
            causes: Vec::new(),
            hints: diagnostic.hint.iter().cloned().collect(),
        };
        problem.show();
    }
    if diagnostics.len() > MOST_SHOWN {
        Problem::error(format!("{} more problems like these", diagnostics.len() - MOST_SHOWN)).show();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_never_a_success() {
        for (code, exit) in [(1, 1), (7, 7), (127, 127), (137, 137), (256, 1), (0, 1), (-1, 255)] {
            assert_eq!(exit_code(code), exit, "{code}");
        }
    }
}
