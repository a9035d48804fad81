//! Starting another instance of this shell that goes on with this one's state, as a fork would.
//!
//! Exported variables travel in the environment, everything else as shell text in one argument:
//! `sh --state TEXT -c COMMAND NAME ARGUMENT…`.

use kiln_guest::{Pid, SpawnError};

use crate::options::{Flag, SET_OPTIONS, SHOPT_OPTIONS};
use crate::redirect::FIRST_INHERITABLE;
use crate::state::Shell;
use crate::streams::{CapturePipes, Streams};
use crate::syntax::print;
use crate::variables::Value;

/// Where a shell that stands in for a missing one finds itself.
const OWN_PATHS: [&[u8]; 3] = [b"/.kiln/bin/sh", b"sh", b"/bin/sh"];

impl Shell {
    /// Spawns an instance that runs `source`.
    pub(crate) fn spawn_self(
        &self,
        source: Vec<u8>,
        streams: &Streams,
        pipes: &mut CapturePipes,
    ) -> Result<Pid, SpawnError> {
        let mut state = self.state_text();
        let mut child_streams = streams.clone();
        for number in 3..FIRST_INHERITABLE {
            if let Some(stream) = child_streams.remove(&number) {
                let free = (100..).find(|free| !child_streams.contains_key(free)).unwrap_or(100);
                child_streams.insert(free, stream);
                state.extend_from_slice(format!("exec {number}>&{free} {free}>&-\n").as_bytes());
            }
        }
        let open: Vec<String> = child_streams.keys().map(u32::to_string).collect();
        let last = self.last_background.map(|pid| pid.to_string()).unwrap_or_default();
        let header = format!("{} {} {} {last} {}\n", self.pid, self.status, self.line, open.join(","));
        let mut result = Err(SpawnError::NotFound);
        for path in own_paths() {
            let mut argv = vec![path, b"--state".to_vec(), [header.as_bytes(), &state].concat(), b"-c".to_vec()];
            argv.push(source.clone());
            argv.push(self.name.clone());
            argv.extend_from_slice(&self.positional);
            result = self.spawn(&argv, &self.environment(), &child_streams, pipes);
            if !matches!(result, Err(SpawnError::NotFound)) {
                break;
            }
        }
        result
    }

    fn state_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, variable) in self.variables.iter() {
            // What is exported travels in the environment.
            match &variable.value {
                _ if variable.has_attributes() => text.extend_from_slice(&variable.declaration(name)),
                None if variable.exported => text.extend_from_slice(&variable.declaration(name)),
                Some(Value::Text(value)) if !variable.exported => {
                    text.extend_from_slice(&[name, &b"="[..], &print::quote(value), b"\n"].concat());
                }
                _ => {}
            }
        }
        for (name, body) in self.functions.iter() {
            text.extend_from_slice(name);
            text.extend_from_slice(b"() ");
            text.extend_from_slice(&print::command(body));
        }
        for (name, alias) in self.aliases.iter() {
            text.extend_from_slice(&[b"alias -- ", &name[..], b"=", &print::quote(alias), b"\n"].concat());
        }
        for (name, action) in &self.traps {
            if action.is_empty() || (name == "ERR" && self.options.get(Flag::ErrTrace)) {
                text.extend_from_slice(
                    &[b"trap -- ", &print::quote(action)[..], b" ", name.as_bytes(), b"\n"].concat(),
                );
            }
        }
        for (flag, name) in SHOPT_OPTIONS {
            if self.options.get(flag) {
                text.extend_from_slice(format!("shopt -s {name}\n").as_bytes());
            }
        }
        for (flag, _, name) in SET_OPTIONS {
            if self.options.get(flag) && !(flag == Flag::ErrExit && self.tested > 0) {
                text.extend_from_slice(format!("set -o {name}\n").as_bytes());
            }
        }
        text
    }

    /// Takes over the state that `spawn_self` handed over.
    pub(crate) fn restore(&mut self, text: &[u8]) -> Option<()> {
        let end = text.iter().position(|&byte| byte == b'\n')?;
        let header = std::str::from_utf8(&text[..end]).ok()?;
        let mut words = header.split(' ');
        let pid = words.next()?.parse().ok()?;
        let status = words.next()?.parse().ok()?;
        let line = words.next()?.parse().ok()?;
        self.last_background = words.next()?.parse().ok();
        let open: Vec<u32> = words.next()?.split(',').filter_map(|number| number.parse().ok()).collect();
        self.streams.retain(|number, _| open.contains(number));
        for number in open {
            self.streams
                .entry(number)
                .or_insert_with(|| crate::streams::Stream::file(kiln_guest::standard_file(number)));
        }
        let list = crate::syntax::Parser::whole(&text[end + 1..], 1).ok()?;
        // Each line sets one thing; none can fail in a way that should end the shell.
        let _ = self.list(&list);
        (self.pid, self.status, self.line) = (pid, status, line);
        Some(())
    }
}

#[cfg(target_os = "wasi")]
fn own_paths() -> Vec<Vec<u8>> {
    OWN_PATHS.iter().map(|path| path.to_vec()).collect()
}

/// In tests the running program is the shell.
#[cfg(not(target_os = "wasi"))]
fn own_paths() -> Vec<Vec<u8>> {
    use kiln_guest::OsStrExt;
    let own = std::env::current_exe().ok().map(|path| path.as_os_str().as_bytes().to_vec());
    own.into_iter().chain(OWN_PATHS.iter().map(|path| path.to_vec())).collect()
}
