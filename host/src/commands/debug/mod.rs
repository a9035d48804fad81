//! `kiln debug`: a command in the step that a build failed with.

mod list;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use kiln_build::{CannotOpen, FailedStep, Left, Opening};
use kiln_exec::wasi::Limits;
use kiln_exec::{Cancel, Io, Output, Root, Status, Stdin};
use kiln_store::Failed;

use super::arguments;
use super::build::given;
use super::run::{refused, terminal};
use crate::cli::debug::Debug;
use crate::report::failure::Failure;
use crate::report::problem::Problem;
use crate::report::{age, table};
use crate::session::{PassedOn, Session};

pub(super) fn run(options: &Debug, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    let kept = store.failures::<FailedStep>()?;
    if options.list {
        list::write(options, &kept)?;
        return Ok(ExitCode::SUCCESS);
    }
    let failed = choose(&kept, options.id.as_deref(), &here())?;
    let secrets = given::secrets(&options.secrets)?;
    let agents = given::agents(&options.ssh)?;
    for (what, option) in failed.record.not_given(&secrets, &agents) {
        let mut problem = Problem::warning(format!("the step had {what}, which is not given now"));
        problem.hints.push(option);
        problem.show();
    }
    let mut env = arguments::read(&options.env)?;
    if std::io::stdin().is_terminal() && !env.iter().any(|(name, _)| name == "TERM") {
        env.push(("TERM".to_owned(), terminal()));
    }
    let opened = failed.record.open(&Opening {
        store: &store,
        before: options.before,
        command: &options.command,
        env,
        user: options.user.as_deref(),
        cwd: options.workdir.as_deref(),
        wanted: options.executor.into(),
        secrets: &secrets,
        agents: &agents,
    });
    let opened = match opened {
        Ok(opened) => opened,
        Err(CannotOpen::Command(error)) => return refused(error),
        Err(error) => return Err(error.into()),
    };
    if let Some(why) = &opened.only_before {
        Problem::warning(format!("these are the files from before the command: {why}")).show();
    }
    if options.command.is_empty() {
        introduce(failed, options.before || opened.only_before.is_some())?;
        if opened.choice.missing {
            Problem::warning(format!(
                "{}: this is kiln's own shell, which runs no Linux programs",
                opened.choice.reason
            ))
            .show();
        }
    }
    let scratch = store.scratch()?;
    let root = Root {
        view: opened.view.clone(),
        mounts: &opened.mounts,
        directories: &|layer| store.directory(layer).map_err(Into::into),
        scratch: scratch.path(),
        shared: scratch.shared(),
    };
    let io = |cancel| Io { stdin: Stdin::Inherit, output: Output::Inherit, cancel };
    let ended = if opened.choice.wasi {
        let limits = crate::cli::with_limits(Limits::FOREGROUND, &options.limits);
        let cancel = session.interrupts.catch()?;
        let finished = session.wasi_executor(&store, limits).run(&root, &opened.process, &io(&cancel));
        finished.map(|finished| (finished.status, finished.kept))
    } else {
        let signals = PassedOn::catch()?;
        let next_signal = || signals.next();
        let executor = session.namespace_executor();
        let status = executor.run_in_foreground(&root, &opened.process, &io(&Cancel::new()), &next_signal);
        status.map(|status| (status, Vec::new()))
    };
    match (ended, session.interrupts.code()) {
        (Ok((status, changed)), _) => {
            opened.write_back(changed, &store)?;
            Ok(code(status))
        }
        (Err(kiln_exec::Error::Cancelled), Some(code)) => Ok(ExitCode::from(code)),
        (Err(error), _) => refused(error),
    }
}

fn code(status: Status) -> ExitCode {
    ExitCode::from((status.code() & 0xff) as u8)
}

/// The failed step that is meant.
fn choose<'a>(kept: &'a [Failed<FailedStep>], id: Option<&str>, here: &str) -> Result<&'a Failed<FailedStep>, Failure> {
    let Some(id) = id else {
        return kept.iter().find(|failed| failed.record.directory == here).or(kept.first()).ok_or_else(|| {
            Failure::new("no failed step is kept")
                .hint("a build that fails with a RUN keeps that step, until a build succeeds or the cache is pruned")
        });
    };
    let text = id.strip_prefix("sha256:").unwrap_or(id);
    let mut matching = kept.iter().filter(|failed| !text.is_empty() && failed.name.hex().starts_with(text));
    match (matching.next(), matching.next()) {
        (Some(failed), None) => Ok(failed),
        (Some(_), Some(_)) => Err(Failure::new(format!("several failed steps begin with {id}"))
            .hint("write more of the id: kiln debug --list --no-trunc")),
        (None, _) => {
            Err(Failure::new(format!("no failed step {id} is kept")).hint("see those that are: kiln debug --list"))
        }
    }
}

/// Where a build is said to be asked for, and looked for here.
pub(super) fn here() -> String {
    std::env::current_dir().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Says which step this is, before somebody gets a prompt.
fn introduce(failed: &Failed<FailedStep>, before: bool) -> anyhow::Result<()> {
    let step = &failed.record;
    let mut out = std::io::stderr().lock();
    let ago = age::ago(failed.when.elapsed().map_or(0, |age| age.as_secs().cast_signed())).to_lowercase();
    let answered = step.code.map(|code| format!(" (answered {code})")).unwrap_or_default();
    writeln!(out, "{} of {}, failed {ago}: {}", step.step(), step.dockerfile, table::printable(&step.text))?;
    let files = match (&step.left, before) {
        (_, true) => "as they were before the command",
        (Left::Nothing, false) => "as before the command, which changed none",
        (_, false) => "as the command left them",
    };
    let argv: Vec<String> = step.command().iter().map(|word| quoted(&table::printable(word))).collect();
    writeln!(out, "command: {}{answered}", argv.join(" "))?;
    writeln!(out, "files: {files}")?;
    Ok(())
}

/// As one would write it for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, expected) in [("make", "make"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("-c", "-c")] {
            assert_eq!(quoted(word), expected);
        }
    }
}
