//! Running `git` so that neither the repository nor this machine's configuration makes it do anything else.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Error, Result, Settings};

/// Most bytes of an answer that is read as a whole.
const LONGEST_ANSWER: u64 = 64 << 20;
/// What git says about a failure; the end of it tells why.
const LONGEST_COMPLAINT: usize = 4 << 10;
const TICK: Duration = Duration::from_millis(20);

/// Settings that come before every command: transports are allowed one by one, nothing is executed, nobody is asked.
const SAFE: [&str; 11] = [
    "protocol.allow=never",
    "protocol.http.allow=always",
    "protocol.https.allow=always",
    "protocol.git.allow=always",
    "protocol.ssh.allow=always",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "credential.helper=",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
];

/// One command of git.
pub(super) struct Invocation<'a> {
    settings: &'a Settings,
    command: Command,
    action: &'static str,
    remote: String,
    /// A directory that must not become larger than the limit.
    bounded: Option<PathBuf>,
}

/// A command that is running; killed with all its children where it is dropped.
pub(super) struct Running {
    pub(super) child: Child,
}

impl<'a> Invocation<'a> {
    /// `action` and `remote` say in errors what was tried. `local`: repositories of this machine may be read.
    pub(super) fn new(settings: &'a Settings, action: &'static str, remote: &str, local: bool) -> Self {
        let mut command = Command::new(&settings.program);
        command.env_clear().envs(settings.environment.iter().map(|(name, value)| (name, value)));
        let fixed = [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
            ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("LC_ALL", "C"),
        ];
        command.envs(fixed);
        for setting in SAFE {
            command.args(["-c", setting]);
        }
        // A server that sends nothing for a minute is given up.
        command.args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"]);
        if local {
            command.args(["-c", "protocol.file.allow=always"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Self { settings, command, action, remote: super::reference::shown(remote), bounded: None }
    }

    pub(super) fn repository(mut self, directory: &Path) -> Self {
        self.command.arg("--git-dir").arg(directory);
        self
    }

    /// In the work tree of a repository whose owner is of no interest: nothing of it is executed.
    pub(super) fn directory(mut self, directory: &Path) -> Self {
        self.command.args(["-c", "safe.directory=*", "-C"]).arg(directory);
        self
    }

    /// Whatever the repository's configuration says, nothing is fetched.
    pub(super) fn offline(mut self) -> Self {
        self.command.envs([("GIT_NO_LAZY_FETCH", "1"), ("GIT_ALLOW_PROTOCOL", "none")]);
        self
    }

    pub(super) fn args<'s>(mut self, args: impl IntoIterator<Item = &'s str>) -> Self {
        self.command.args(args);
        self
    }

    pub(super) fn path(mut self, path: &Path) -> Self {
        self.command.arg(path);
        self
    }

    /// Whatever the other side sends, no more than the limit is put into that directory.
    pub(super) fn bounded(mut self, directory: PathBuf) -> Self {
        self.bounded = Some(directory);
        self
    }

    pub(super) fn with_input(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    pub(super) fn start(&mut self) -> Result<Running> {
        match self.command.spawn() {
            Ok(child) => Ok(Running { child }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoGit),
            Err(error) => Err(Error::Run(error)),
        }
    }

    /// Its whole output.
    pub(super) fn output(mut self) -> Result<Vec<u8>> {
        let mut running = self.start()?;
        let stdout = running.child.stdout.take().expect("it was asked for");
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.take(LONGEST_ANSWER + 1).read_to_end(&mut bytes).map(|_| bytes)
        });
        let finished = self.finish(running);
        if let Err(error @ (Error::Cancelled | Error::TooLarge { .. })) = finished {
            // Whoever holds the other end may not let go of it.
            return Err(error);
        }
        let bytes = reader.join().expect("reading does not panic").map_err(Error::Run)?;
        // Git fails, too, when nobody reads on.
        if bytes.len() as u64 > LONGEST_ANSWER {
            return Err(Error::TooLarge { remote: self.remote, limit: LONGEST_ANSWER });
        }
        finished.map(|()| bytes)
    }

    pub(super) fn text(self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.output()?).trim_end().to_owned())
    }

    /// Waits for the end; its output is for others to read.
    pub(super) fn finish(&self, mut running: Running) -> Result<()> {
        let stderr = running.child.stderr.take().expect("it was asked for");
        let complaint = thread::spawn(move || last_of(stderr));
        let status = loop {
            if let Some(status) = running.child.try_wait().map_err(Error::Run)? {
                break status;
            }
            if (self.settings.cancelled)() {
                return Err(Error::Cancelled);
            }
            if self.bounded.as_deref().is_some_and(|directory| size(directory) > self.settings.limit) {
                return Err(Error::TooLarge { remote: self.remote.clone(), limit: self.settings.limit });
            }
            thread::sleep(TICK);
        };
        if status.success() {
            return Ok(());
        }
        let said = complaint.join().expect("reading does not panic");
        Err(Error::Failed { action: self.action, remote: self.remote.clone(), said: meaningful(&said) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Git has helpers for transports, which would go on.
        #[cfg(unix)]
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the files in a directory have; those that come and go meanwhile count or do not.
fn size(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn last_of(mut input: impl Read) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut block = [0; 4096];
    while let Ok(read @ 1..) = input.read(&mut block) {
        kept.extend_from_slice(&block[..read]);
        let excess = kept.len().saturating_sub(LONGEST_COMPLAINT);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// What it says is wrong, on one line.
fn meaningful(said: &str) -> String {
    /// Said of whatever a remote does not like.
    const ADVICE: [&str; 2] = ["Please make sure you have the correct access rights", "and the repository exists."];
    let lines = said.lines().map(|line| line.trim_matches(['\r', ' '])).filter(|line| !line.is_empty());
    let plain = lines.filter(|line| !ADVICE.contains(line));
    let plain = plain.map(|line| line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(line));
    let text = plain.collect::<Vec<_>>().join("; ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(600).collect();
    if text.is_empty() { "it gives no reason".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_cut_to_what_they_say() {
        let said = "ssh: no such host\nfatal: Could not read\n\nand the repository exists.\n";
        assert_eq!(meaningful(said), "ssh: no such host; Could not read");
        assert_eq!(meaningful("remote: hi\n\u{1b}[31mwhat\n"), "remote: hi; [31mwhat");
        assert_eq!(meaningful(""), "it gives no reason");
        assert_eq!(last_of(&vec![b'x'; 100_000][..]).len(), LONGEST_COMPLAINT);
    }
}
