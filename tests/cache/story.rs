//! Reads and plays one story.
//!
//! ```text
//! # Prose.
//! needs: root
//!
//! $ kiln build .
//! miss COPY one /
//! miss RUN cat /one
//! $ echo two > one
//! > touch three
//! $ kiln build . --target x
//! hit  COPY one /
//! fail RUN cat /two
//! ```
//!
//! Commands are run by a shell in a copy of the story's folder, where `$EXECUTOR` is the one in use; they go on in lines
//! that begin with `> `. A build is followed by what became of each step after its FROM: `hit`, `miss` or `fail`. Where one
//! command makes several builds at once, their lines stand sorted.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::kiln::Kiln;

const COLUMN: usize = 58;

pub(crate) struct Story {
    pub(crate) needs: Vec<String>,
    acts: Vec<Act>,
}

struct Act {
    line: usize,
    command: String,
    /// Of a build.
    expected: Vec<String>,
}

impl Story {
    pub(crate) fn parse(text: &str) -> Self {
        let mut story = Self { needs: Vec::new(), acts: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            if let Some(command) = line.strip_prefix("$ ") {
                story.acts.push(Act { line: at + 1, command: command.to_owned(), expected: Vec::new() });
            } else if let Some(need) = line.strip_prefix("needs: ") {
                story.needs.push(need.to_owned());
            } else if !line.is_empty() && !line.starts_with("# ") {
                let act = story.acts.last_mut().unwrap_or_else(|| panic!("line {}: no command before it", at + 1));
                match line.strip_prefix('>') {
                    Some(more) => {
                        let more = more.strip_prefix(' ').unwrap_or(more);
                        act.command.push('\n');
                        act.command.push_str(more);
                    }
                    None => act.expected.push(line.to_owned()),
                }
            }
        }
        assert!(!story.acts.is_empty(), "a story without a command");
        story
    }

    #[track_caller]
    pub(crate) fn play(&self, folder: &Path, kiln: &Kiln, base: &str, executor: &str) {
        let place = tempfile::tempdir().expect("a temporary directory");
        let context = place.path().join("context");
        copy(folder, &context);
        let program = Path::new(env!("CARGO_BIN_EXE_kiln")).parent().expect("a program is in a folder");
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        for act in &self.acts {
            let builds = act.command.contains("kiln build");
            let script = act.command.replace("kiln build", &format!("kiln build --build-arg BASE={base}"));
            let mut shell = Command::new("sh");
            for (name, value) in kiln.command().get_envs() {
                match value {
                    Some(value) => shell.env(name, value),
                    None => shell.env_remove(name),
                };
            }
            shell.args(["-euc", &script]).current_dir(&context).env("PATH", &path).env("EXECUTOR", executor);
            let output = shell.stdin(Stdio::null()).output().expect("sh starts");
            let (text, errors) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned());
            let may_fail = act.expected.last().is_some_and(|line| line.starts_with("fail "));
            let place = format!("{}/story.txt:{}: $ {}", folder.display(), act.line, act.command);
            assert!(output.status.success() || may_fail, "{place}\nunder {executor}: failed\n{text}{errors}");
            let found = if builds { outcomes(&text, output.status.success()) } else { Vec::new() };
            assert!(found == act.expected, "{place}\nunder {executor}:\n{}{errors}", columns(&act.expected, &found));
        }
    }
}

/// Whether this machine has what a story needs.
pub(crate) fn is_met(need: &str) -> bool {
    match need {
        "root" => rustix::process::geteuid().is_root(),
        other => panic!("no story can need `{other}`"),
    }
}

/// A line for each step in what plain progress says, without FROM and what stands before it.
fn outcomes(text: &str, success: bool) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut steps, mut triggers, mut builds) = (false, false, 0);
    for line in text.lines() {
        if line.starts_with("Step ") {
            let (_, step) = line.split_once(" : ").unwrap_or_else(|| panic!("not a step: {line}"));
            steps = (steps && !step.starts_with("ARG BASE=")) || step.starts_with("FROM ");
            triggers = false;
            if steps && !step.starts_with("FROM ") {
                found.push(format!("miss {step}"));
            }
        } else if line.starts_with("# Executing ") {
            triggers = true;
        } else if line == " ---> Using cache" && !triggers {
            let last = found.last_mut().expect("a step is told before its result");
            *last = last.replacen("miss", "hit ", 1);
        } else if line.starts_with("Successfully built ") {
            builds += 1;
        }
    }
    if !success && let Some(last) = found.last_mut() {
        *last = last.replacen("miss", "fail", 1);
    }
    if builds > 1 {
        found.sort();
    }
    found
}

/// Side by side, with a mark where they differ.
fn columns(expected: &[String], found: &[String]) -> String {
    let mut text = format!("  {:COLUMN$} found\n", "expected");
    for at in 0..expected.len().max(found.len()) {
        let (left, right) = (expected.get(at), found.get(at));
        let mark = if left == right { ' ' } else { '!' };
        let cut = |line: Option<&String>| line.map_or(String::new(), |line| line.chars().take(COLUMN - 1).collect());
        let _ = writeln!(text, "{mark} {:COLUMN$} {}", cut(left), cut(right));
    }
    text
}

/// The story itself is no part of the context.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new directory");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else if entry.file_name() != "story.txt" {
            fs::copy(&path, &target).expect("it can be copied");
        }
    }
}
