//! Between this process's streams and a supervisor, until the end, or until it is left.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use kiln_container::client::{self, Connection};
use kiln_container::protocol::{self, Answer, Message, Request, Stream};
use kiln_container::{Container, Error, RestartPolicy};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::stdio::stdin;

use super::{Wanted, terminal};
use crate::commands::run::with_code;
use crate::report::failure::Failure;
use crate::report::problem::Problem;
use crate::session::{Caught, Session};

const BUFFER: usize = 32 << 10;
/// What shells add to the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;
/// After so many wishes to end that had no effect, whoever sends them means us.
const MOST_WISHES: u32 = 3;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
/// The window has another size.
const SIGWINCH: i32 = 28;

/// Starts a container that nobody follows.
pub(in crate::commands) fn start(container: &Container, session: &Session) -> anyhow::Result<()> {
    let (connection, _supervisor) = client::start(container, session.root(), Request::Watch)?;
    warn(&connection);
    Ok(())
}

/// Starts a container and stays with it.
pub(in crate::commands) fn start_and_follow(
    container: &Container,
    session: &Session,
    wanted: Wanted,
) -> anyhow::Result<ExitCode> {
    let caught = Caught::signals()?;
    let (connection, mut supervisor) = match client::start(container, session.root(), request(&wanted)) {
        Ok(started) => started,
        Err(error) => return with_code(error.into()),
    };
    warn(&connection);
    let end = follow(connection, wanted, &caught)?;
    if matches!(end, End::Code(_)) && container.spec.restart == RestartPolicy::No {
        // It has said its last word; nothing of it is left when the next command runs.
        let _ = supervisor.wait();
    }
    end.code(container)
}

/// Joins a container that runs.
pub(in crate::commands) fn attach(container: &Container, wanted: Wanted) -> anyhow::Result<ExitCode> {
    let mut connection = Connection::to(container)?;
    connection.ask(request(&wanted))?;
    // Not before: signals end a client whose supervisor does not answer.
    follow(connection, wanted, &Caught::signals()?)?.code(container)
}

/// Runs another command in a container.
pub(in crate::commands) fn exec(
    container: &Container,
    mut exec: protocol::Exec,
    wanted: Wanted,
) -> anyhow::Result<ExitCode> {
    exec.size = if wanted.terminal { terminal::size() } else { None };
    let detached = exec.detached;
    let mut connection = Connection::to(container)?;
    match connection.ask(Request::Exec(exec)) {
        Ok(()) if detached => Ok(ExitCode::SUCCESS),
        // As in `attach`.
        Ok(()) => follow(connection, wanted, &Caught::signals()?)?.code(container),
        Err(error) => with_code(error.into()),
    }
}

fn request(wanted: &Wanted) -> Request {
    Request::Attach(protocol::Attach {
        stdin: wanted.stdin,
        stdout: wanted.stdout,
        stderr: wanted.stderr,
        size: if wanted.terminal { terminal::size() } else { None },
    })
}

fn warn(connection: &Connection) {
    connection.warnings.iter().for_each(|warning| Problem::warning(warning).show());
}

/// Why nobody is connected any more.
enum End {
    /// Of what was followed.
    Code(i32),
    /// It goes on.
    Left,
    /// By a signal that is not passed on; it goes on.
    Signal(i32),
    /// The supervisor is gone without a word.
    Lost,
}

impl End {
    fn code(self, container: &Container) -> anyhow::Result<ExitCode> {
        match self {
            Self::Code(code) => Ok(ExitCode::from((code & 0xff) as u8)),
            Self::Left => {
                // Where Docker says so, too.
                eprintln_left()?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Signal(signal) => Ok(ExitCode::from(u8::try_from(BY_SIGNAL + signal).unwrap_or(u8::MAX))),
            Self::Lost => {
                let failure = Failure::new(format!("the supervisor of container {} was killed", container.name()));
                Err(failure.hint("its processes have ended with it; `kiln ps -a` tells its state").into())
            }
        }
    }
}

fn eprintln_left() -> io::Result<()> {
    writeln!(io::stderr(), "read escape sequence")
}

fn follow(mut connection: Connection, mut wanted: Wanted, caught: &Caught) -> anyhow::Result<End> {
    let raw = if wanted.terminal && wanted.stdin { terminal::Raw::enter() } else { None };
    let keys = wanted.terminal && wanted.stdin;
    let mut buffer = vec![0; BUFFER];
    let mut wishes = 0;
    loop {
        while let Some(answer) = connection.received()? {
            match answer {
                Answer::Output(stream, bytes) => write(stream, &bytes)?,
                Answer::Ended(code) => {
                    drop(raw);
                    return Ok(End::Code(code));
                }
                Answer::Refused { message, code } => return Err(Error::Refused { message, code }.into()),
                // Said at the beginning only.
                Answer::Warning(_) | Answer::Ready | Answer::Busy => {}
            }
        }
        while let Some(signal) = caught.next() {
            if signal == SIGWINCH && wanted.terminal {
                if let Some(size) = terminal::size() {
                    connection.send(&Message::Resize(size))?;
                }
                continue;
            }
            wishes += u32::from([SIGINT, SIGTERM].contains(&signal));
            if !wanted.signals || wishes == MOST_WISHES {
                return Ok(End::Signal(signal));
            }
            connection.send(&Message::Signal(signal))?;
        }
        let Ready { supervisor, input } = wait(&connection, caught, wanted.stdin && !connection.has_unsent())?;
        connection.flush()?;
        if supervisor && !connection.read()? {
            return Ok(End::Lost);
        }
        if input {
            match rustix::io::read(stdin(), &mut buffer) {
                Ok(0) | Err(rustix::io::Errno::IO) => {
                    wanted.stdin = false;
                    connection.send(&Message::EndOfInput)?;
                }
                Ok(length) if keys => {
                    let (passed, left) = wanted.keys.watch(&buffer[..length]);
                    if !passed.is_empty() {
                        connection.send(&Message::Input(passed))?;
                    }
                    if left {
                        return Ok(End::Left);
                    }
                }
                Ok(length) => connection.send(&Message::Input(buffer[..length].to_vec()))?,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(errno) => return Err(errno).context("cannot read standard input"),
            }
        }
    }
}

struct Ready {
    supervisor: bool,
    input: bool,
}

/// Until one of them has something, or takes something.
fn wait(connection: &Connection, caught: &Caught, with_input: bool) -> anyhow::Result<Ready> {
    let mut flags = PollFlags::IN;
    flags.set(PollFlags::OUT, connection.has_unsent());
    let stdin = stdin();
    let mut polled = vec![PollFd::new(connection, flags), PollFd::new(caught, PollFlags::IN)];
    if with_input {
        polled.push(PollFd::new(&stdin, PollFlags::IN));
    }
    match poll(&mut polled, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(errno) => return Err(errno).context("cannot wait"),
    }
    let is_ready = |polled: &PollFd<'_>| !polled.revents().difference(PollFlags::OUT).is_empty();
    Ok(Ready { supervisor: is_ready(&polled[0]), input: polled.get(2).is_some_and(is_ready) })
}

fn write(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Out => {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            out.flush()
        }
        Stream::Err => io::stderr().write_all(bytes),
    }
}
