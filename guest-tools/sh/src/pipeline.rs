//! Pipelines and asynchronous lists: what runs at the same time as something else.

use std::rc::Rc;

use kiln_guest::{Pid, SpawnError};
use kiln_tools::context::reason;

use crate::command::Resolved;
use crate::options::Flag;
use crate::state::{Run, Shell, Stop};
use crate::streams::{Capture, CapturePipes, Stream, Streams};
use crate::syntax::ast::{AndOr, Command};
use crate::syntax::print;

/// What a pipe surely takes before anyone reads it.
const PIPE_CAPACITY: usize = 64 * 1024;

/// A member that has been started or is already over.
enum Member {
    Process(Pid),
    Ended(u8),
}

impl Shell {
    pub(crate) fn run_pipeline(&mut self, commands: &[Command]) -> Run {
        let mut pipes = CapturePipes::default();
        let mut members = Vec::with_capacity(commands.len());
        let mut input: Option<Stream> = None;
        let captured = self.streams.values().any(|stream| matches!(stream, Stream::Capture(_)));
        for (index, command) in commands.iter().enumerate() {
            let mut streams = self.streams.clone();
            if let Some(input) = input.take() {
                streams.insert(0, input);
            }
            let is_last = index + 1 == commands.len();
            if !is_last {
                let (read, write) = kiln_guest::pipe().map_err(|error| self.fail_io("pipe", &error))?;
                input = Some(Stream::file(read));
                streams.insert(1, Stream::file(write));
            }
            // The last one may run here: everything that feeds it is already running. Not so where earlier members'
            // output must be collected meanwhile.
            let here = is_last && !(captured && self.streams.get(&2).is_some_and(is_capture));
            members.push(self.member(command, streams, here, &mut pipes));
        }
        pipes.drain().map_err(|error| self.fail_io("pipe", &error))?;
        let mut status = 0;
        let mut statuses = Vec::with_capacity(members.len());
        for (index, member) in members.iter().enumerate() {
            let ended = match member {
                Member::Process(pid) => self.wait_for(*pid),
                Member::Ended(status) => *status,
            };
            statuses.push(ended);
            if index + 1 == members.len() {
                status = if ended != 0 || !self.options.get(Flag::PipeFail) { ended } else { status };
            } else if ended != 0 {
                status = ended;
            }
        }
        self.pipe_status = statuses;
        self.status = status;
        Ok(())
    }

    /// Starts one member, or runs it to its end where that cannot block the others.
    fn member(&mut self, command: &Command, streams: Streams, here: bool, pipes: &mut CapturePipes) -> Member {
        let mut inner = self.clone();
        inner.jobs.clear();
        inner.keep_subshell_traps();
        inner.subshells += 1;
        inner.loops = 0;
        inner.streams = streams;
        let simple = match command {
            Command::Simple(simple) => simple,
            _ if here => return Member::Ended(self.finish_here(inner, command)),
            _ => return inner.member_instance(print::command(command), pipes),
        };
        let prepared = match inner.prepare(simple) {
            Ok(prepared) => prepared,
            Err(stop) => return Member::Ended(inner.finish(Err(stop))),
        };
        let Some(prepared) = prepared else { return Member::Ended(inner.status) };
        match inner.resolve(&prepared.argv) {
            Resolved::Program => Member::from(inner.spawn_prepared(&prepared, pipes), &mut inner, &prepared.argv),
            _ if here => {
                let result = inner.run_prepared(prepared);
                Member::Ended(self.finish_inner(inner, result))
            }
            Resolved::Tool(_) => Member::from(inner.spawn_prepared(&prepared, pipes), &mut inner, &prepared.argv),
            Resolved::Builtin(builtin) if builtin.only_prints => {
                let out = inner.streams.get(&1).cloned();
                let capture = Capture::default();
                inner.streams.insert(1, Stream::Capture(capture.clone()));
                let result = inner.run_prepared(prepared);
                let status = inner.finish(result);
                let output = capture.take();
                match out {
                    Some(out) if output.len() <= PIPE_CAPACITY => match out.put(&output) {
                        Ok(()) => Member::Ended(status),
                        Err(_) => Member::Ended(kiln_tools::context::STATUS_BROKEN_PIPE),
                    },
                    Some(out) => {
                        inner.streams.insert(1, out);
                        inner.member_instance(print::command(command), pipes)
                    }
                    None => Member::Ended(status),
                }
            }
            Resolved::Builtin(_) | Resolved::Function(_) => inner.member_instance(print::command(command), pipes),
        }
    }

    fn finish_here(&self, mut inner: Shell, command: &Command) -> u8 {
        let result = inner.command(command);
        self.finish_inner(inner, result)
    }

    fn finish_inner(&self, mut inner: Shell, result: Run) -> u8 {
        let status = inner.finish(result);
        if inner.umask != self.umask {
            kiln_guest::umask(self.umask);
        }
        status
    }

    fn member_instance(&mut self, source: Vec<u8>, pipes: &mut CapturePipes) -> Member {
        let streams = self.streams.clone();
        let spawned = self.spawn_self(source, &streams, pipes);
        Member::from(spawned, self, &[b"sh".to_vec()])
    }

    pub(crate) fn background(&mut self, and_or: &AndOr) -> Run {
        let mut pipes = CapturePipes::default();
        let mut streams = self.streams.clone();
        streams.remove(&0);
        let single = and_or.rest.is_empty() && !and_or.first.negated && and_or.first.commands.len() == 1;
        let member = if single {
            self.member(&and_or.first.commands[0], streams, false, &mut pipes)
        } else {
            let list =
                crate::syntax::ast::List(vec![crate::syntax::ast::Item { and_or: and_or.clone(), background: false }]);
            let mut inner = self.clone();
            inner.streams = streams;
            inner.member_instance(print::list(&list), &mut pipes)
        };
        self.draining.borrow_mut().append(pipes);
        match member {
            Member::Process(pid) => {
                self.last_background = Some(pid);
                self.jobs.push((pid, None));
            }
            Member::Ended(status) => {
                // It needs a number that `wait` knows; no process has 0.
                self.last_background = Some(0);
                self.jobs.retain(|(pid, _)| *pid != 0);
                self.jobs.push((0, Some(status)));
            }
        }
        self.status = 0;
        Ok(())
    }

    pub(crate) fn wait_for(&mut self, pid: Pid) -> u8 {
        match kiln_guest::wait(Some(pid), true) {
            Ok(Some((_, status))) => status,
            Ok(None) => 0,
            Err(error) => {
                self.complain(&format!("wait: {}", reason(&error)));
                127
            }
        }
    }

    pub(crate) fn spawn(
        &self,
        argv: &[Vec<u8>],
        env: &[Vec<u8>],
        streams: &Streams,
        pipes: &mut CapturePipes,
    ) -> Result<Pid, SpawnError> {
        let mut files = Vec::with_capacity(streams.len());
        for (&number, stream) in streams {
            if !(3..crate::redirect::FIRST_INHERITABLE).contains(&number) {
                files.push((pipes.child_file(stream).map_err(SpawnError::Other)?, number));
            }
        }
        let fds: Vec<_> = files.iter().map(|(file, number)| (Rc::as_ref(file), *number)).collect();
        let spawned = kiln_guest::spawn(&kiln_guest::Command { argv, env, cwd: &self.cwd, fds: &fds });
        if matches!(spawned, Err(SpawnError::NotFound)) && !self.cwd.is_dir() {
            // In a directory that was removed one can still run programs; PWD goes on naming it.
            let cwd = std::path::Path::new("/");
            return kiln_guest::spawn(&kiln_guest::Command { argv, env, cwd, fds: &fds });
        }
        spawned
    }
}

fn is_capture(stream: &Stream) -> bool {
    matches!(stream, Stream::Capture(_))
}

impl Member {
    fn from(spawned: Result<Pid, SpawnError>, shell: &mut Shell, argv: &[Vec<u8>]) -> Member {
        match spawned {
            Ok(pid) => Member::Process(pid),
            Err(error) => {
                let status = shell.not_spawned(&argv[0], error);
                Member::Ended(shell.finish(Err(Stop::Exit(status))))
            }
        }
    }
}
