//! A directory to work in, a store, and the other programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::kiln::{Kiln, skip};

pub(crate) struct Work {
    pub(crate) kiln: Kiln,
    place: tempfile::TempDir,
}

impl Work {
    pub(crate) fn new() -> Self {
        Self { kiln: Kiln::new(), place: tempfile::tempdir().expect("a temporary directory") }
    }

    /// `None`, with a word about it, where this machine has not all of these programs.
    #[track_caller]
    pub(crate) fn with(programs: &[&str]) -> Option<Self> {
        let without = |program: &&&str| Command::new(program).arg("--version").output().is_err();
        if let Some(program) = programs.iter().find(without) {
            skip(&format!("there is no {program}"));
            return None;
        }
        Some(Self::new())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Builds the image `name`: two layers and some configuration.
    #[track_caller]
    pub(crate) fn build(&self, name: &str, options: &[&str]) -> String {
        let context = self.path("context");
        fs::create_dir_all(&context).expect("ours");
        fs::write(context.join("one"), "first\n".repeat(3000)).expect("ours");
        fs::write(context.join("two"), "second\n").expect("ours");
        let dockerfile = "FROM scratch\nCOPY one /dir/\nCOPY --chmod=755 --chown=7:8 two /dir/\nENV A=b\n\
                          EXPOSE 80\nLABEL l=v\nCMD [\"/dir/two\"]\n";
        fs::write(context.join("Dockerfile"), dockerfile).expect("ours");
        let mut arguments = vec!["build", "-q", "-t", name];
        arguments.extend(options);
        arguments.push("context");
        self.kiln(&arguments)
    }

    /// What kiln says, in the working directory.
    #[track_caller]
    pub(crate) fn kiln(&self, arguments: &[&str]) -> String {
        self.kiln_of(&self.kiln, arguments)
    }

    /// The same with another store.
    #[track_caller]
    pub(crate) fn kiln_of(&self, kiln: &Kiln, arguments: &[&str]) -> String {
        told(kiln.command().args(arguments).current_dir(self.place.path()))
    }

    #[track_caller]
    pub(crate) fn skopeo(&self, arguments: &[&str]) -> String {
        told(Command::new("skopeo").arg("--insecure-policy").args(arguments).current_dir(self.place.path()))
    }

    #[track_caller]
    pub(crate) fn podman(&self, arguments: &[&str]) -> String {
        let policy = self.path("policy.json");
        fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).expect("ours");
        let mut command = Command::new("podman");
        for (option, folder) in [("--root", "podman"), ("--runroot", "podman-run"), ("--tmpdir", "podman-tmp")] {
            command.arg(option).arg(self.path(folder));
        }
        command.args(["--storage-driver", "vfs", "--events-backend", "none"]);
        let takes_policy = matches!(arguments.first(), Some(&"load"));
        command.args(&arguments[..1]);
        if takes_policy {
            command.arg("--signature-policy").arg(&policy);
        }
        told(command.args(&arguments[1..]).current_dir(self.place.path()))
    }

    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> String {
        told(Command::new("sh").args(["-c", script]).current_dir(self.place.path()))
    }

    /// The full id that kiln has for a name.
    #[track_caller]
    pub(crate) fn id(&self, kiln: &Kiln, name: &str) -> String {
        let text = self.kiln_of(kiln, &["inspect", name]);
        let inspected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        inspected[0]["Id"].as_str().expect("an id").to_owned()
    }

    /// Whether the path of something below the working directory exists.
    pub(crate) fn has(&self, path: impl AsRef<Path>) -> bool {
        self.place.path().join(path).exists()
    }
}

/// What a program that succeeds writes to standard output.
#[track_caller]
pub(crate) fn told(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let Output { status, stdout, stderr } = &output;
    let (stdout, stderr) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
    assert!(status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout.trim_end().to_owned()
}
