//! Files and commands that a program reads from and writes to.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::rc::Rc;

use kiln_guest::Pid;

use super::fields::{Ending, Pending};
use super::syntax::Redirect;
use crate::context::Context;

/// An output under its name: a file, or a command with its process.
struct Output {
    file: File,
    command: Option<Pid>,
    buffer: Vec<u8>,
}

struct Input {
    file: File,
    command: Option<Pid>,
    pending: Pending,
}

#[derive(Default)]
pub(super) struct Streams {
    outputs: BTreeMap<Vec<u8>, Output>,
    inputs: BTreeMap<Vec<u8>, Input>,
}

const BUFFER: usize = 32 * 1024;

/// Starts `sh -c command` with one of its descriptors given.
fn start(context: &mut Context, command: &[u8], given: Option<(&File, u32)>) -> io::Result<Pid> {
    context.stdout.flush()?;
    let argv = [b"sh".to_vec(), b"-c".to_vec(), command.to_vec()];
    let standard: Vec<(File, u32)> = (0..3).map(|number| (kiln_guest::standard_file(number), number)).collect();
    let mut fds: Vec<(&File, u32)> = standard.iter().map(|(file, number)| (file, *number)).collect();
    if let Some((file, number)) = given {
        fds[number as usize] = (file, number);
    }
    let spawned =
        kiln_guest::spawn(&kiln_guest::Command { argv: &argv, env: context.env, cwd: context.cwd, fds: &fds });
    // The descriptors belong to the program's own streams.
    standard.into_iter().for_each(|(file, _)| std::mem::forget(file));
    spawned.map_err(|error| match error {
        kiln_guest::SpawnError::Other(error) => error,
        kiln_guest::SpawnError::NotFound => io::Error::other("no shell to run the command with"),
        other => io::Error::other(format!("the shell cannot be run: {other:?}")),
    })
}

fn wait(pid: Pid) -> io::Result<u8> {
    Ok(kiln_guest::wait(Some(pid), true)?.map_or(0, |(_, status)| status))
}

/// `system(command)`.
pub(super) fn run(context: &mut Context, command: &[u8]) -> io::Result<u8> {
    wait(start(context, command, None)?)
}

impl Streams {
    pub(super) fn write(
        &mut self,
        context: &mut Context,
        redirect: Redirect,
        name: &[u8],
        text: &[u8],
    ) -> io::Result<()> {
        match name {
            b"/dev/stdout" | b"-" => return context.stdout.write_all(text),
            b"/dev/stderr" => return context.stderr.write_all(text),
            _ => {}
        }
        if !self.outputs.contains_key(name) {
            let output = match redirect {
                Redirect::Pipe => {
                    let (read, write) = kiln_guest::pipe()?;
                    let pid = start(context, name, Some((&read, 0)))?;
                    Output { file: write, command: Some(pid), buffer: Vec::new() }
                }
                _ => {
                    let append = redirect == Redirect::Append;
                    let mut options = OpenOptions::new();
                    options.create(true).append(append).write(!append).truncate(!append);
                    Output { file: options.open(context.path(name))?, command: None, buffer: Vec::new() }
                }
            };
            self.outputs.insert(name.to_vec(), output);
        }
        if let Some(output) = self.outputs.get_mut(name) {
            output.buffer.extend_from_slice(text);
            if output.buffer.len() > BUFFER {
                output.flush()?;
            }
        }
        Ok(())
    }

    /// A record of a file or of a command's output; `None` at the end, an error where it cannot be read.
    pub(super) fn read(
        &mut self,
        context: &mut Context,
        name: &[u8],
        is_command: bool,
        ending: &Ending,
    ) -> io::Result<Option<Rc<[u8]>>> {
        if !self.inputs.contains_key(name) {
            let input = if is_command {
                self.flush()?;
                let (read, write) = kiln_guest::pipe()?;
                let pid = start(context, name, Some((&write, 1)))?;
                Input { file: read, command: Some(pid), pending: Pending::default() }
            } else {
                Input { file: File::open(context.path(name))?, command: None, pending: Pending::default() }
            };
            self.inputs.insert(name.to_vec(), input);
        }
        match self.inputs.get_mut(name) {
            Some(input) => input.pending.record(&mut input.file, ending),
            None => Ok(None),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.outputs.values_mut().try_for_each(Output::flush)
    }

    /// Closes what is open under a name; its status, or `None` if nothing is.
    pub(super) fn close(&mut self, name: &[u8]) -> io::Result<Option<u8>> {
        let mut status = None;
        if let Some(output) = self.outputs.remove(name) {
            status = Some(output.close()?);
        }
        if let Some(input) = self.inputs.remove(name) {
            status = Some(input.close()?);
        }
        Ok(status)
    }

    pub(super) fn close_all(&mut self) -> io::Result<()> {
        for (_, output) in std::mem::take(&mut self.outputs) {
            output.close()?;
        }
        for (_, input) in std::mem::take(&mut self.inputs) {
            input.close()?;
        }
        Ok(())
    }
}

impl Output {
    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn close(mut self) -> io::Result<u8> {
        let flushed = match self.flush() {
            // The command has had enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        };
        drop(self.file);
        let status = self.command.map_or(Ok(0), wait)?;
        flushed.map(|()| status)
    }
}

impl Input {
    fn close(mut self) -> io::Result<u8> {
        if self.command.is_none() {
            return Ok(0);
        }
        // Let it finish what it writes.
        let mut rest = Vec::new();
        (&mut self.file).take(1 << 20).read_to_end(&mut rest)?;
        drop(self.file);
        self.command.map_or(Ok(0), wait)
    }
}
