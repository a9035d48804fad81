//! What a utility gets from whoever runs it, and how it fails.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use kiln_guest::OsStrExt;

/// The surroundings of one run of a utility.
pub struct Context<'a> {
    /// The name it was called by, for messages.
    pub name: &'a str,
    pub args: &'a [Vec<u8>],
    /// `NAME=value` entries.
    pub env: &'a [Vec<u8>],
    pub cwd: &'a Path,
    pub stdin: &'a mut dyn Read,
    pub stdout: &'a mut dyn Write,
    pub stderr: &'a mut dyn Write,
}

/// Why a utility ended early.
#[derive(Debug)]
pub struct Failure {
    pub status: u8,
    /// Nothing is printed where it is empty.
    pub message: String,
    /// The call was wrong, for which utilities have different statuses.
    misuse: bool,
}

pub type Outcome = Result<u8, Failure>;

/// What a program that a broken pipe killed reports.
pub const STATUS_BROKEN_PIPE: u8 = 141;

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { status: 1, message: message.into(), misuse: false }
    }

    /// Options or operands that the utility does not understand. `run` knows the status.
    pub fn misuse(message: impl Into<String>) -> Failure {
        Failure { misuse: true, ..Failure::new(message) }
    }

    /// Something that is no mere "no".
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { status: 2, message: message.into(), misuse: false }
    }

    pub fn with_status(self, status: u8) -> Failure {
        Failure { status, misuse: false, ..self }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure { status: STATUS_BROKEN_PIPE, message: String::new(), misuse: false }
        } else {
            Failure::new(format!("write error: {}", reason(&error)))
        }
    }
}

/// The error as the C library words it.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.find(" (os error").map_or(text.as_str(), |end| &text[..end]);
    // WASI's library has words of its own for some.
    match text {
        "Symbolic link loop" => "Too many levels of symbolic links",
        "Filename too long" => "File name too long",
        "Cross-device link" => "Invalid cross-device link",
        other => other,
    }
    .to_string()
}

/// Like `io::copy` with fewer calls of the host.
pub fn copy(input: &mut (impl Read + ?Sized), output: &mut (impl Write + ?Sized)) -> io::Result<u64> {
    let mut buffer = vec![0; 128 * 1024];
    let mut copied = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                output.write_all(&buffer[..count])?;
                copied += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes as they are shown in messages.
pub fn show(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

pub fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

impl<'a> Context<'a> {
    /// Where an operand's file is.
    pub fn path(&self, operand: &[u8]) -> PathBuf {
        // An empty path must stay one: it names nothing.
        if operand.is_empty() { PathBuf::new() } else { self.cwd.join(kiln_guest::path(operand)) }
    }

    pub fn env(&self, name: &str) -> Option<&'a [u8]> {
        self.env.iter().find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// A path as seen from the working directory.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(self.cwd).unwrap_or(path).display().to_string()
    }

    /// Prints `name: message` on standard error. Quoted paths are shown as seen from the working directory.
    pub fn complain(&mut self, message: impl AsRef<str>) {
        let cwd = self.cwd.display().to_string();
        let message =
            message.as_ref().replace(&format!("'{}/", cwd.trim_end_matches('/')), if cwd == "/" { "'/" } else { "'" });
        // Nothing can be done where even this fails.
        let _ = writeln!(self.stderr, "{}: {}", self.name, message);
    }

    /// Prints that a file could not be used.
    pub fn complain_of(&mut self, operand: &[u8], error: &io::Error) {
        let message = format!("{}: {}", show(operand), reason(error));
        self.complain(message);
    }

    /// Opens an operand for reading; `-` is standard input.
    pub fn open(&mut self, operand: &[u8]) -> io::Result<Box<dyn Read + '_>> {
        if operand == b"-" {
            return Ok(Box::new(&mut *self.stdin));
        }
        Ok(Box::new(open_file(&self.path(operand))?))
    }

    /// Opens an operand for reading beside the output.
    pub fn open_with_output(&mut self, operand: &[u8]) -> io::Result<(Box<dyn Read + '_>, &mut dyn Write)> {
        let path = self.path(operand);
        if operand == b"-" {
            return Ok((Box::new(&mut *self.stdin), self.stdout));
        }
        Ok((Box::new(open_file(&path)?), self.stdout))
    }

    /// A whole operand; `-` is standard input.
    pub fn read(&mut self, operand: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(operand)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Calls `each` with the output and every line of the operands, or of standard input, until it returns false. A
    /// line comes without its end, and with whether it had one.
    pub fn for_each_line(
        &mut self,
        operands: &[Vec<u8>],
        end: u8,
        mut each: impl FnMut(&mut dyn Write, &[u8], bool) -> Result<bool, Failure>,
    ) -> Outcome {
        let standard = [b"-".to_vec()];
        let operands = if operands.is_empty() { &standard[..] } else { operands };
        let mut status = 0;
        let mut line = Vec::new();
        for operand in operands {
            let problem = match self.open_with_output(operand) {
                Ok((input, output)) => {
                    let mut input = BufReader::with_capacity(32 * 1024, input);
                    loop {
                        line.clear();
                        match input.read_until(end, &mut line) {
                            Ok(0) => break None,
                            Ok(_) => {}
                            Err(error) => break Some(error),
                        }
                        let ended = line.last() == Some(&end);
                        let text = &line[..line.len() - usize::from(ended)];
                        if !each(output, text, ended)? {
                            return Ok(status);
                        }
                    }
                }
                Err(error) => Some(error),
            };
            if let Some(error) = problem {
                self.complain_of(operand, &error);
                status = 1;
            }
        }
        Ok(status)
    }

    /// Calls `each` with the output and one block after the other of the operands, or of standard input, until it
    /// returns false. Every block but the last of an operand is `size` bytes long.
    pub fn for_each_block(
        &mut self,
        operands: &[Vec<u8>],
        size: usize,
        mut each: impl FnMut(&mut dyn Write, &[u8]) -> Result<bool, Failure>,
    ) -> Outcome {
        let standard = [b"-".to_vec()];
        let operands = if operands.is_empty() { &standard[..] } else { operands };
        let mut status = 0;
        let mut block = Vec::with_capacity(size);
        for operand in operands {
            let problem = match self.open_with_output(operand) {
                Ok((mut input, output)) => loop {
                    block.clear();
                    let read = (&mut input).take(size as u64).read_to_end(&mut block);
                    if !block.is_empty() && !each(output, &block)? {
                        return Ok(status);
                    }
                    match read {
                        Ok(count) if count == size => {}
                        Ok(_) => break None,
                        Err(error) => break Some(error),
                    }
                },
                Err(error) => Some(error),
            };
            if let Some(error) = problem {
                self.complain_of(operand, &error);
                status = 1;
            }
        }
        Ok(status)
    }

    /// Calls `each` with the contents of every operand, or of standard input where there is none; complains of those
    /// that cannot be read. Returns the status.
    pub fn for_each_input(
        &mut self,
        operands: &[Vec<u8>],
        mut each: impl FnMut(&mut Context, &[u8], Vec<u8>) -> Result<(), Failure>,
    ) -> Outcome {
        let standard = [b"-".to_vec()];
        let operands = if operands.is_empty() { &standard[..] } else { operands };
        let mut status = 0;
        for operand in operands {
            match self.read(operand) {
                Ok(bytes) => each(self, operand, bytes)?,
                Err(error) => {
                    self.complain_of(operand, &error);
                    status = 1;
                }
            }
        }
        Ok(status)
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("Is a directory"));
    }
    Ok(file)
}

fn status_of_misuse(name: &str) -> u8 {
    match name {
        "awk" | "cmp" | "diff" | "egrep" | "expr" | "fgrep" | "grep" | "ls" | "printenv" | "sort" => 2,
        "env" => 125,
        "tar" => 64,
        _ => 1,
    }
}

/// Runs a utility and prints its failure.
pub fn run(tool: crate::Tool, context: &mut Context) -> u8 {
    let outcome = tool(context).and_then(|status| {
        context.stdout.flush()?;
        Ok(status)
    });
    match outcome {
        Ok(status) => status,
        Err(failure) => {
            // What was printed before the failure comes first.
            let _ = context.stdout.flush();
            if !failure.message.is_empty() {
                context.complain(&failure.message);
            }
            if failure.misuse { status_of_misuse(context.name) } else { failure.status }
        }
    }
}
