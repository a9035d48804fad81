//! From `argv[0]` to the module that runs.

use kiln_image::Content;
use kiln_types::Digest;

use super::step::Step;
use crate::dispatch;
use crate::wasi::errno::Errno;
use crate::wasi::fs::{NodeId, Tree};
use crate::wasi::limits::{self, Reservation};
use crate::wasi::tools;

/// As Linux has it.
const INTERPRETERS: usize = 4;
/// The longest first line of a script that is read.
const FIRST_LINE: usize = 256;
/// Where Docker looks when the image says nothing.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A WebAssembly module in the step's filesystem.
pub(crate) struct Program {
    /// Where it was found, for messages.
    pub(crate) path: String,
    pub(crate) digest: Digest,
    pub(crate) content: Content,
    /// For bytes that the step has written itself, and then for their code, while the process lives.
    pub(crate) made_here: Option<Reservation>,
}

/// Why a program is not started.
#[derive(Debug)]
pub(crate) enum Refused {
    NotFound,
    Denied(String),
    NotExecutable(String),
    /// The step fails.
    Failed(Errno),
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::Io | Errno::NoSpace => Self::Failed(errno),
            Errno::Access => Self::Denied("it is not a regular file".to_owned()),
            Errno::Loop => Self::Denied("its path has too many levels of symbolic links".to_owned()),
            _ => Self::NotFound,
        }
    }
}

/// The module to run and the arguments it gets: scripts are followed to their interpreters.
pub(crate) fn find_program(
    step: &Step,
    mut argv: Vec<Vec<u8>>,
    env: &[Vec<u8>],
    cwd: NodeId,
) -> Result<(Program, Vec<Vec<u8>>), Refused> {
    let mut tree = step.filesystem.lock();
    let mut search = Search { tree: &mut tree, cwd, step };
    let name = argv.first().cloned().unwrap_or_default();
    let (mut path, mut node) = search.program(&name, env)?;
    for _ in 0..=INTERPRETERS {
        let mut head = [0; FIRST_LINE];
        let length = search.tree.read_at(node, &mut head, 0)?;
        let head = &head[..length];
        let Some(line) = head.strip_prefix(b"#!") else {
            return Ok((search.module(node, &path, head)?, argv));
        };
        let (interpreter, argument) = interpreter(line);
        argv[0] = path;
        argv.splice(0..0, [interpreter.clone()].into_iter().chain(argument));
        (path, node) = search.given(&interpreter)?;
    }
    Err(Refused::NotExecutable("its interpreters are scripts themselves, too many in a row".to_owned()))
}

/// The interpreter of a script, and everything after it as one argument.
fn interpreter(line: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    let argument = line[end..].trim_ascii();
    (line[..end].to_vec(), (!argument.is_empty()).then(|| argument.to_vec()))
}

struct Search<'a> {
    tree: &'a mut Tree,
    cwd: NodeId,
    step: &'a Step,
}

impl Search<'_> {
    fn program(&mut self, name: &[u8], env: &[Vec<u8>]) -> Result<(Vec<u8>, NodeId), Refused> {
        if name.contains(&b'/') {
            return self.given(name);
        }
        if name.is_empty() {
            return Err(Refused::NotFound);
        }
        let path = env.iter().rev().find_map(|entry| entry.strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH);
        let tools = self.step.guest_tools.then_some(tools::DIRECTORY);
        let mut refused = Refused::NotFound;
        for directory in path.split(|&byte| byte == b':').chain(tools) {
            let directory = if directory.is_empty() { b"." } else { directory };
            match self.executable(&[directory, b"/", name].concat()) {
                Ok(found) => return Ok(found),
                Err(Refused::NotFound) => {}
                // What can be executed further on comes first, as in shells.
                Err(other) => refused = other,
            }
        }
        Err(refused)
    }

    /// A program by its path. Where the image has no shell, kiln's tools stand in for `/bin/sh`, `/usr/bin/env` and all
    /// else that scripts expect in the usual places.
    fn given(&mut self, path: &[u8]) -> Result<(Vec<u8>, NodeId), Refused> {
        match (self.executable(path), self.usual(path)) {
            (Err(Refused::NotFound), Some(name)) => self.executable(&[tools::DIRECTORY, b"/", name].concat()),
            (found, _) => found,
        }
    }

    fn usual<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let border = path.iter().rposition(|&byte| byte == b'/')?;
        let usual = DEFAULT_PATH.split(|&byte| byte == b':').any(|directory| directory == &path[..border]);
        (self.step.guest_tools && usual).then_some(&path[border + 1..])
    }

    fn executable(&mut self, path: &[u8]) -> Result<(Vec<u8>, NodeId), Refused> {
        let node = self.tree.resolve(self.cwd, path, true)?.existing()?;
        let (mode, ..) = self.tree.program(node)?;
        if mode & 0o111 == 0 {
            let reason = "it has no execute permission; COPY --chmod=755 or chmod +x gives it one";
            return Err(Refused::Denied(reason.to_owned()));
        }
        Ok((path.to_vec(), node))
    }

    fn module(&mut self, node: NodeId, path: &[u8], head: &[u8]) -> Result<Program, Refused> {
        let refused = |reason: &str| Err(Refused::NotExecutable(reason.to_owned()));
        match head {
            [0, b'a', b's', b'm', header @ ..] => {
                if let Err(reason) = dispatch::check_version(header) {
                    return refused(&format!("it {reason}"));
                }
            }
            _ if head.starts_with(b"\x7fELF") => {
                return refused("it is a native program, which a WASI step cannot run");
            }
            _ => return refused("it is neither a WebAssembly module nor a script with an interpreter line"),
        }
        let (_, size, digest) = self.tree.program(node)?;
        if size > limits::MODULE {
            return refused("it is larger than 1 GiB");
        }
        let path = String::from_utf8_lossy(path).into_owned();
        match (digest, self.tree.unchanged(node)?) {
            (Some(digest), Some(content)) => Ok(Program { path, digest, content, made_here: None }),
            _ => {
                let memory = self.step.reserve(size as usize)?;
                let mut bytes = vec![0; size as usize];
                let length = self.tree.read_at(node, &mut bytes, 0)?;
                bytes.truncate(length);
                let digest = Digest::of(&bytes);
                Ok(Program { path, digest, content: Content::bytes(bytes), made_here: Some(memory) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::interpreter;

    #[test]
    fn interpreter_lines() {
        for (line, program, argument) in [
            ("/bin/sh\necho", "/bin/sh", None),
            (" /bin/sh -e -x \n", "/bin/sh", Some("-e -x")),
            ("/usr/bin/env\tpython", "/usr/bin/env", Some("python")),
            ("", "", None),
        ] {
            let expected = (program.as_bytes().to_vec(), argument.map(|text| text.as_bytes().to_vec()));
            assert_eq!(interpreter(line.as_bytes()), expected, "{line}");
        }
    }
}
