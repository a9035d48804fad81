//! Runs the command lines of `commands.txt` with the tools of this crate first on PATH. What they print was recorded
//! from GNU's tools (and mawk): a case is in the file because both agree.
//!
//! A case is `=== script`, the commands, `--- STATUS`, what they print on standard output.

use std::path::Path;
use std::process::{Command, Stdio};

#[cfg(unix)]
#[test]
fn commands_print_what_gnu_tools_do() {
    let shell = Path::new("/bin/sh");
    if !shell.exists() {
        println!("skipped: needs /bin/sh");
        return;
    }
    let scratch = std::env::temp_dir().join(format!("kiln-tools-{}", std::process::id()));
    let bin = scratch.join("bin");
    std::fs::create_dir_all(&bin).expect("a directory for links");
    let list = Command::new(env!("CARGO_BIN_EXE_tools")).arg("--list").output().expect("the tools run");
    let names = String::from_utf8(list.stdout).expect("names are text");
    assert!(names.lines().count() > 70, "{names}");
    for name in names.lines() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tools"), bin.join(name)).expect("a link");
    }
    let mut wrong = Vec::new();
    for (index, block) in include_str!("commands.txt").split("=== script\n").skip(1).enumerate() {
        let (script, rest) = block.split_once("\n--- ").expect("a status follows");
        let (status, expected) = rest.split_once('\n').expect("the status has a line");
        let directory = scratch.join(index.to_string());
        std::fs::create_dir_all(&directory).expect("a directory to work in");
        let output = Command::new(shell)
            .args(["-c", script])
            .current_dir(&directory)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", "/root")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .output()
            .expect("the shell runs");
        let mut stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !stdout.is_empty() && !stdout.ends_with('\n') {
            stdout.push('\n');
        }
        if stdout != expected || output.status.code() != status.parse().ok() {
            wrong.push(format!(
                "{script}\n  expected {status} {expected:?}\n  found {:?} {stdout:?}",
                output.status.code()
            ));
        }
    }
    std::fs::remove_dir_all(&scratch).expect("nobody else uses the directory");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
