//! Somebody at a machine of their own: a store, a home and configuration that nobody else has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::kiln::Kiln;

/// What the tests' own machine might be configured with.
const FOREIGN: [&str; 14] = [
    "DOCKER_CONFIG",
    "KILN_CA_FILE",
    "KILN_STORE_MAX_SIZE",
    "REGISTRY_AUTH_FILE",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

pub(crate) struct User {
    kiln: Kiln,
    home: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
    options: Vec<String>,
}

impl User {
    pub(crate) fn new() -> Self {
        let user = Self {
            kiln: Kiln::new(),
            home: tempfile::tempdir().expect("ours"),
            variables: Vec::new(),
            options: Vec::new(),
        };
        user.configure("");
        user.write("daemon.json", b"{}");
        user
    }

    pub(crate) fn with_variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// An option before every command.
    pub(crate) fn with_option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Writes config.toml.
    pub(crate) fn configure(&self, text: &str) {
        self.write("config.toml", text.as_bytes());
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file of the home.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().expect("below the home")).expect("ours");
        fs::write(&path, bytes).expect("ours");
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.kiln.command();
        command.args(&self.options).args(arguments);
        self.at_home(&mut command);
        command
    }

    /// Another program, with the same home.
    pub(crate) fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        self.at_home(&mut command);
        command
    }

    fn at_home(&self, command: &mut Command) {
        let home = self.home.path();
        FOREIGN.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.env("HOME", home).env("KILN_CONFIG", home.join("config.toml"));
        command.env("KILN_DAEMON_JSON", home.join("daemon.json")).current_dir(home);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// What it says on both streams; it must succeed.
    #[track_caller]
    pub(crate) fn kiln(&self, arguments: &[&str]) -> String {
        successful(&self.command(arguments).output().expect("kiln starts"))
    }

    /// What it says when it fails, with the exit code 1.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("kiln starts");
        let text = both(&output);
        assert_eq!(output.status.code(), Some(1), "kiln {arguments:?}:\n{text}");
        text
    }

    /// Another program's output; it must succeed.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        successful(&self.program(program, arguments).output().expect("it starts"))
    }

    /// Starts kiln; what it says can be had at its end.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kiln starts")
    }

    /// Builds an image with a layer for each of these contents.
    #[track_caller]
    pub(crate) fn image(&self, name: &str, layers: &[&[u8]]) {
        let context = tempfile::tempdir().expect("a temporary directory");
        let mut dockerfile = "FROM scratch\n".to_owned();
        for (number, bytes) in layers.iter().enumerate() {
            fs::write(context.path().join(format!("file{number}")), bytes).expect("ours");
            dockerfile += &format!("COPY file{number} /\n");
        }
        dockerfile += "CMD [\"/file0\"]\n";
        fs::write(context.path().join("Dockerfile"), dockerfile).expect("ours");
        self.kiln(&["build", "-q", "-t", name, context.path().to_str().expect("UTF-8")]);
    }

    /// What `inspect` says of an image.
    #[track_caller]
    pub(crate) fn inspect(&self, image: &str) -> Value {
        let text = self.kiln(&["inspect", image]);
        let mut found: Value = serde_json::from_str(&text).expect("JSON");
        found[0].take()
    }

    #[track_caller]
    pub(crate) fn id(&self, image: &str) -> String {
        self.inspect(image)["Id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn has(&self, image: &str) -> bool {
        self.command(&["inspect", image]).output().expect("kiln starts").status.success()
    }

    /// Every layer is read and hashed once more.
    #[track_caller]
    pub(crate) fn check_content(&self, image: &str) {
        self.kiln(&["save", "-o", self.home().join("saved.tar").to_str().expect("UTF-8"), image]);
    }
}

/// Both streams.
pub(crate) fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
pub(crate) fn successful(output: &Output) -> String {
    let text = both(output);
    assert!(output.status.success(), "{}:\n{text}", output.status);
    text
}

/// The digest in the line that tells it: `Digest: sha256:…`, or `1.0: digest: sha256:… size: 528`.
#[track_caller]
pub(crate) fn digest(said: &str) -> String {
    let line = said.lines().find(|line| line.to_ascii_lowercase().contains("digest: sha256:"));
    let line = line.unwrap_or_else(|| panic!("no digest in:\n{said}"));
    line[line.find("sha256:").expect("just found")..].split(' ').next().expect("a word").to_owned()
}

/// Bytes that no compression makes fewer.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
