//! The real program with a store of its own.

/// Each folder as a test of `under_wasi` and of `under_namespace`, which the caller has.
macro_rules! under_both_executors {
    ($($name:ident = $folder:literal)*) => {
        const FOLDERS: &[&str] = &[$($folder),*];
        mod wasi {
            $(#[test] fn $name() { super::under_wasi($folder); })*
        }
        mod namespace {
            $(#[test] fn $name() { super::under_namespace($folder); })*
        }
    };
}

use std::path::Path;
use std::process::{Command, Output, Stdio};

pub(crate) struct Kiln {
    store: tempfile::TempDir,
}

/// What plain progress said.
pub(crate) struct Built {
    /// What RUN steps wrote.
    pub(crate) output: String,
    pub(crate) cached: usize,
    pub(crate) done: usize,
    /// The short id.
    pub(crate) image: String,
}

impl Kiln {
    pub(crate) fn new() -> Self {
        Self { store: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.env("KILN_ROOT", self.store.path());
        // Nor is this machine's configuration used.
        command.envs([("KILN_CONFIG", "/dev/null"), ("KILN_DAEMON_JSON", "/dev/null")]);
        for variable in ["KILN_EXECUTOR", "KILN_STORE_MAX_SIZE", "SOURCE_DATE_EPOCH"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub(crate) fn build(&self, context: &Path, options: &[&str]) -> Built {
        let output = self.command().arg("build").args(options).arg(context).output().expect("kiln starts");
        let text = successful(&output);
        let mut built = Built { output: String::new(), cached: 0, done: 0, image: String::new() };
        let mut running = false;
        for line in text.lines() {
            if line.starts_with(" ---> Running in ") {
                (running, built.done) = (true, built.done + 1);
            } else if line.starts_with("Removing intermediate container ") {
                running = false;
            } else if running && !line.starts_with("kiln: compil") {
                // How long a module takes to compile depends on the machine.
                built.output.push_str(line);
                built.output.push('\n');
            } else if line == " ---> Using cache" {
                built.cached += 1;
            } else if line.starts_with("Step ") && [": COPY ", ": ADD "].iter().any(|copy| line.contains(copy)) {
                // Not announced when done; when cached it is counted above.
                built.done += 1;
            } else if let Some(id) = line.strip_prefix("Successfully built ") {
                built.image = id.to_owned();
            }
        }
        let copies_cached = text.lines().zip(text.lines().skip(1)).filter(|(step, next)| {
            (step.contains(" : COPY ") || step.contains(" : ADD ")) && *next == " ---> Using cache"
        });
        built.done -= copies_cached.count();
        built
    }

    /// The digests of an image's layers.
    #[track_caller]
    pub(crate) fn layers(&self, image: &str) -> Vec<String> {
        let text = successful(&self.command().args(["inspect", image]).output().expect("kiln starts"));
        let inspected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let layers = inspected[0]["RootFS"]["Layers"].as_array().expect("a list").iter();
        layers.map(|layer| layer.as_str().expect("a digest").to_owned()).collect()
    }

    /// Makes the image `busybox`; if this machine cannot, the reason.
    pub(crate) fn no_busybox_image(&self) -> Option<String> {
        let info = self.command().args(["info", "--json"]).output().expect("kiln starts");
        let info: serde_json::Value = serde_json::from_slice(&info.stdout).expect("JSON");
        let executors = info["Executors"].as_array().expect("a list").iter();
        let available = executors.filter(|one| one["Name"] == "namespace" && one["Available"] == true).count() == 1;
        if !available {
            return Some("the namespace executor is not available".to_owned());
        }
        match std::fs::read("/bin/busybox") {
            Ok(bytes) if is_static(&bytes) => self.import_busybox(&bytes),
            Ok(_) => return Some("/bin/busybox is not static; Debian's package is busybox-static".to_owned()),
            Err(_) => return Some("there is no /bin/busybox; Debian's package is busybox-static".to_owned()),
        }
        None
    }

    fn import_busybox(&self, program: &[u8]) {
        let tar = self.store.path().join("busybox.tar");
        let mut archive = tar::Builder::new(std::fs::File::create(&tar).expect("ours"));
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(program.len() as u64);
        archive.append_data(&mut header, "bin/busybox", program).expect("ours");
        let tools = Command::new("/bin/busybox").arg("--list").output().expect("busybox runs").stdout;
        for tool in String::from_utf8(tools).expect("names").lines().filter(|&tool| tool != "busybox") {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, format!("bin/{tool}"), "busybox").expect("ours");
        }
        archive.into_inner().expect("ours");
        successful(&self.command().arg("import").arg(&tar).arg("busybox").output().expect("kiln starts"));
        std::fs::remove_file(tar).expect("ours");
    }
}

/// Whether a 64-bit ELF program names no dynamic linker (`PT_INTERP`).
fn is_static(program: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        program[at..at + length].iter().rev().fold(0usize, |number, &byte| number << 8 | usize::from(byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).all(|entry| number(table + entry * size, 4) != 3)
}

#[track_caller]
fn successful(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What is not tested must be said; where all can be had, it is a failure.
#[track_caller]
#[expect(clippy::print_stderr, reason = "who runs the tests has to know")]
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none(), "not tested: {reason}");
    eprintln!("skipped: {reason}");
}
