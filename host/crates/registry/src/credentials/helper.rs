//! Credential helpers: programs `docker-credential-NAME` that keep secrets, by the protocol of docker-credential-helpers.
//!
//! ```text
//! get     stdin: server                                    stdout: {"ServerURL": …, "Username": …, "Secret": …}
//! store   stdin: {"ServerURL": …, "Username": …, "Secret": …}
//! erase   stdin: server
//! ```

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Credential;
use crate::{Error, Result};

/// A helper may ask its user for a password.
const PATIENCE: Duration = Duration::from_secs(120);
const TICK: Duration = Duration::from_millis(10);
const LONGEST_ANSWER: u64 = 1 << 20;
/// In place of a user's name: the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// What helpers say where they have nothing. There is no code for it.
const NOTHING: &str = "credentials not found";

pub(super) struct Helper<'a> {
    name: String,
    environment: &'a [(OsString, OsString)],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    username: String,
    secret: String,
}

impl<'a> Helper<'a> {
    pub(super) fn new(name: &str, environment: &'a [(OsString, OsString)]) -> Self {
        Self { name: name.to_owned(), environment }
    }

    pub(super) fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    pub(super) fn get(&self, server: &str) -> Result<Option<Credential>> {
        let (status, answer) = self.run("get", server.as_bytes())?;
        if !status.success() {
            return if answer.contains(NOTHING) { Ok(None) } else { Err(self.unsuccessful(status, answer)) };
        }
        let entry: Entry = serde_json::from_str(&answer).map_err(|_| self.failed("its answer makes no sense"))?;
        if entry.username.is_empty() || entry.secret.is_empty() {
            return Ok(None);
        }
        let is_identity_token = entry.username == TOKEN_USER;
        Ok(Some(Credential { user: entry.username, secret: entry.secret, is_identity_token }))
    }

    pub(super) fn store(&self, server: &str, credential: &Credential) -> Result<()> {
        let user = if credential.is_identity_token { TOKEN_USER } else { &credential.user };
        let entry =
            Entry { server_url: server.to_owned(), username: user.to_owned(), secret: credential.secret.clone() };
        let text = serde_json::to_vec(&entry).map_err(|error| self.failed(error.to_string()))?;
        self.expect_success("store", &text)
    }

    pub(super) fn erase(&self, server: &str) -> Result<()> {
        self.expect_success("erase", server.as_bytes())
    }

    fn expect_success(&self, action: &str, input: &[u8]) -> Result<()> {
        let (status, answer) = self.run(action, input)?;
        if status.success() { Ok(()) } else { Err(self.unsuccessful(status, answer)) }
    }

    /// How it ended, and what it said.
    fn run(&self, action: &str, input: &[u8]) -> Result<(ExitStatus, String)> {
        // The name comes from a file: it must not lead to programs of other names.
        if !self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(self.failed("that is no name of a program"));
        }
        let failed = |error: io::Error| self.failed(error.to_string());
        let mut child = Command::new(self.program())
            .arg(action)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => self.failed("there is no such program"),
                _ => failed(error),
            })?;
        let mut stdin = child.stdin.take().expect("it is piped");
        // A helper that does not want its input need not read it.
        match stdin.write_all(input).and_then(|()| stdin.write_all(b"\n")) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(failed(error)),
            _ => drop(stdin),
        }
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, answer) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let read = stdout.take(LONGEST_ANSWER).read_to_end(&mut text);
            // Nobody waits any more where it took too long.
            let _ = sender.send(read.map(|_| text));
        });
        let end = Instant::now() + PATIENCE;
        let answer = answer.recv_timeout(PATIENCE);
        let status = wait(&mut child, end).map_err(failed)?;
        match (answer, status) {
            (Ok(text), Some(status)) => {
                let text = text.map_err(failed)?;
                Ok((status, String::from_utf8_lossy(&text).trim().to_owned()))
            }
            _ => Err(self.failed(format!("it did not answer within {} seconds", PATIENCE.as_secs()))),
        }
    }

    fn unsuccessful(&self, status: ExitStatus, answer: String) -> Error {
        let silent = || format!("it does not say why on its standard output ({status})");
        self.failed(if answer.is_empty() { silent() } else { answer })
    }

    fn failed(&self, reason: impl Into<String>) -> Error {
        let reason: String = reason.into();
        // What it printed is somebody else's.
        let reason = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect::<String>();
        Error::CredentialHelper { program: self.program(), reason }
    }
}

/// How it ended; `None` where it had to be killed.
fn wait(child: &mut Child, end: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(TICK);
    }
}
