//! Runs the scripts of the text files here and compares what they print and their status; where dash is installed, its
//! answers too, or bash's for those that are meant for it.
//!
//! A case is `=== script`, the script, `--- STATUS`, what it prints on standard output. In the first line `input` says
//! that the script comes from standard input instead of `-c`, `unlike dash` that no other shell is asked, `like bash`
//! that bash is.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

struct Case {
    /// The shell that must agree.
    model: Option<&'static Path>,
    from_input: bool,
    script: String,
    status: i32,
    stdout: String,
}

fn cases() -> Vec<Case> {
    let text = [include_str!("scripts.txt"), include_str!("posix.txt"), include_str!("bash.txt")].concat();
    text.split("=== script")
        .skip(1)
        .map(|block| {
            let (tag, rest) = block.split_once('\n').expect("a script follows");
            let (script, rest) = rest.split_once("\n--- ").expect("a status follows");
            let (status, stdout) = rest.split_once('\n').expect("the status has a line");
            let model = match tag {
                tag if tag.contains("unlike dash") => None,
                tag if tag.contains("like bash") => Some("/usr/bin/bash"),
                _ => Some("/usr/bin/dash"),
            };
            Case {
                model: model.map(Path::new).filter(|shell| shell.exists()),
                from_input: tag.contains("input"),
                script: script.to_string(),
                status: status.parse().expect("a number"),
                stdout: stdout.to_string(),
            }
        })
        .collect()
}

fn run(shell: &Path, case: &Case, directory: &Path) -> (i32, String) {
    std::fs::create_dir_all(directory).expect("a directory to work in");
    let mut command = Command::new(shell);
    if !case.from_input {
        command.args(["-c", &case.script]);
    }
    let mut child = command
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/root")
        .env("PWD", directory)
        .env("LC_ALL", "C.UTF-8")
        .stdin(if case.from_input { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the shell runs");
    if let Some(mut input) = child.stdin.take() {
        // A script that exits early does not read all.
        let _ = writeln!(input, "{}", case.script);
    }
    let output = child.wait_with_output().expect("the shell ends");
    std::fs::remove_dir_all(directory).expect("nobody else uses the directory");
    let mut stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !stdout.is_empty() && !stdout.ends_with('\n') {
        stdout.push('\n');
    }
    (output.status.code().unwrap_or(-1), stdout)
}

#[test]
fn scripts_print_what_they_should() {
    let scratch = std::env::temp_dir().join(format!("kiln-sh-{}", std::process::id()));
    let mut wrong = Vec::new();
    for (index, case) in cases().iter().enumerate() {
        let expected = (case.status, case.stdout.clone());
        let found = run(Path::new(env!("CARGO_BIN_EXE_sh")), case, &scratch.join(index.to_string()));
        if found != expected {
            wrong.push(format!("{}\n  expected {expected:?}\n  found    {found:?}", case.script));
        }
        if let Some(model) = case.model {
            let found = run(model, case, &scratch.join(index.to_string()));
            if found != expected {
                wrong.push(format!("{}\n  recorded {expected:?}\n  {} {found:?}", case.script, model.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Starts a shell that reads commands from a pipe.
fn reading_shell(args: &[&str]) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_sh"))
        .args(args)
        .env_remove("PS1")
        .env_remove("PS2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the shell runs")
}

#[test]
fn each_command_runs_before_the_next_is_read() {
    let mut shell = reading_shell(&[]);
    let mut input = shell.stdin.take().expect("piped");
    let mut output = BufReader::new(shell.stdout.take().expect("piped")).lines();
    for (typed, answer) in [
        ("echo one\n", "one"),
        ("for i in a b\ndo echo \"$i\n$i\"\ndone | tr '\\n' .; echo\n", "a.a.b.b."),
        ("cat <<A; cat <<B\nx\nA\ny\nB\n", "x"),
        ("", "y"),
        ("read line; echo \"<$line>\"\n  what read gets \n", "<what read gets>"),
        ("head -n 1\nwhat a program gets\n", "what a program gets"),
        ("echo the \\\n last", "the last"),
    ] {
        input.write_all(typed.as_bytes()).expect("the shell reads");
        if typed.ends_with("last") {
            drop(input);
            assert_eq!(output.next().expect("an answer").expect("text"), answer);
            break;
        }
        assert_eq!(output.next().expect("an answer").expect("text"), answer, "{typed}");
    }
    assert!(shell.wait().expect("the shell ends").success());
}

#[test]
fn an_interactive_shell_prompts_and_survives_errors() {
    let mut shell = reading_shell(&["-i"]);
    let script = "\n# nothing\necho a\nif true\nthen echo b; fi\nfi\necho $?\n: ${x?unset}\nPS1='[$x] '\nset -u; x=1\n        shift 5\nexit 3\necho never\n";
    shell.stdin.take().expect("piped").write_all(script.as_bytes()).expect("the shell reads");
    let mut told = String::new();
    shell.stderr.take().expect("piped").read_to_string(&mut told).expect("text");
    let output = shell.wait_with_output().expect("the shell ends");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a\nb\n2\n");
    let prompts: Vec<&str> = told.lines().collect();
    assert_eq!(told.matches("$ ").count(), 8, "{prompts:?}");
    assert_eq!(told.matches("> ").count(), 1, "{prompts:?}");
    assert!(told.contains("Syntax error: \"fi\" unexpected") && told.contains("x: unset"), "{prompts:?}");
    assert!(told.contains("[] ") && told.ends_with("[1] "), "{prompts:?}");
}
