//! Runs the scripts of `scripts.txt` and compares what they print and their status; where dash is installed, its
//! answers too, except for the scripts marked as meant otherwise.
//!
//! A case is `=== script`, the script, `--- STATUS`, what it prints on standard output.

use std::path::Path;
use std::process::{Command, Stdio};

struct Case {
    unlike_dash: bool,
    script: String,
    status: i32,
    stdout: String,
}

fn cases() -> Vec<Case> {
    let text = include_str!("scripts.txt");
    text.split("=== ")
        .skip(1)
        .map(|block| {
            let (tag, rest) = block.split_once('\n').expect("a script follows");
            let (script, rest) = rest.split_once("\n--- ").expect("a status follows");
            let (status, stdout) = rest.split_once('\n').expect("the status has a line");
            Case {
                unlike_dash: tag.contains("unlike dash"),
                script: script.to_string(),
                status: status.parse().expect("a number"),
                stdout: stdout.to_string(),
            }
        })
        .collect()
}

fn run(shell: &Path, script: &str, directory: &Path) -> (i32, String) {
    std::fs::create_dir_all(directory).expect("a directory to work in");
    let output = Command::new(shell)
        .args(["-c", script])
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/root")
        .env("PWD", directory)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .expect("the shell runs");
    std::fs::remove_dir_all(directory).expect("nobody else uses the directory");
    let mut stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !stdout.is_empty() && !stdout.ends_with('\n') {
        stdout.push('\n');
    }
    (output.status.code().unwrap_or(-1), stdout)
}

#[test]
fn scripts_print_what_they_should() {
    let dash = Path::new("/usr/bin/dash");
    if !dash.exists() {
        println!("dash is not installed: the scripts are compared with their recorded results only");
    }
    let scratch = std::env::temp_dir().join(format!("kiln-sh-{}", std::process::id()));
    let mut wrong = Vec::new();
    for (index, case) in cases().iter().enumerate() {
        let expected = (case.status, case.stdout.clone());
        let found = run(Path::new(env!("CARGO_BIN_EXE_sh")), &case.script, &scratch.join(index.to_string()));
        if found != expected {
            wrong.push(format!("{}\n  expected {expected:?}\n  found    {found:?}", case.script));
        }
        if dash.exists() && !case.unlike_dash {
            let found = run(dash, &case.script, &scratch.join(index.to_string()));
            if found != expected {
                wrong.push(format!("{}\n  recorded {expected:?}\n  dash     {found:?}", case.script));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
