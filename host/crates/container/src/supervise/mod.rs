//! The supervisor: the process that looks after one container from its start to its end.
//!
//! It holds the container's lock, starts its process and is that one's parent, writes the log and the state, asks the
//! healthcheck, and serves clients over the socket. One thread does all of it in one loop: the kernel ends a container
//! when the thread that started it is gone, and nothing here waits for anything but that loop.
//!
//! ```text
//! user     who the process runs as         start   from the specification to a process
//! job      a process and its streams       client  a connection and what is to be sent over it
//! requests what clients want and say       probe   the healthcheck
//! serve    the loop                        finish  what is put away at the end
//! restart  one run after the other
//! ```

mod client;
mod exec;
mod finish;
mod job;
mod probe;
mod profile;
mod requests;
mod restart;
mod serve;
mod start;
mod user;

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use kiln_exec::namespaces::{Namespaces, Started};
use kiln_store::{ContainerLock, Store};

use crate::error::{Error, Result};
use crate::protocol::{Answer, Frame as _, Incoming, Message, PIECE, Request};
use crate::{Container, Phase, now, socket};

/// What the program gives its supervisor.
pub struct Environment {
    /// The store's folder.
    pub root: PathBuf,
    pub executor: Namespaces,
    /// To who started it: the request comes over it.
    pub client: UnixStream,
    /// Readable when this process is asked to end, as by a machine that goes down.
    pub terminate: UnixStream,
}

/// Looks after the container with that id until it ends. What fails at the start is told to the client.
pub fn supervise(environment: Environment, id: &str) -> Result<()> {
    // Nothing that happens to the client's terminal or job is for us. Fails if it is so already.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"kiln-supervise");
    let Environment { root, executor, client, terminate } = environment;
    let mut incoming = Incoming::default();
    let request = first_request(&client, &mut incoming)?;
    let begun = begin(&root, &executor, id, &client, &request);
    let Begun { container, lock, listener, started, running } = match begun {
        Ok(begun) => begun,
        Err(error) => return refuse(&client, &error),
    };
    let mut supervisor = match serve::Supervisor::new(&executor, container, listener, started, running, terminate) {
        Ok(supervisor) => supervisor,
        Err(error) => return refuse(&client, &error),
    };
    supervisor.welcome(client, incoming, request);
    let status = supervisor.serve_restarts(&root);
    supervisor.finish(&root, lock, status);
    Ok(())
}

struct Begun {
    container: Container,
    lock: ContainerLock,
    listener: UnixListener,
    started: Started,
    running: start::Running,
}

/// With the store open no longer than is needed: while it is, nothing can be collected.
fn begin(
    root: &std::path::Path,
    executor: &Namespaces,
    id: &str,
    client: &UnixStream,
    request: &Request,
) -> Result<Begun> {
    let store = Store::open(root)?;
    let mut container = Container::find(&store, id)?;
    let Some(lock) = container.folder.try_lock()? else {
        return Err(Error::Busy { name: container.name().to_owned() });
    };
    container.refresh()?;
    container.state.restarts = 0;
    finish::clear(&container);
    // Before the state says that it runs: who believes that finds somebody to ask.
    let listener = socket::listen(container.folder.path()).map_err(Error::io("listen at", container.socket()))?;
    let mut warn = |text: String| {
        let mut bytes = Vec::new();
        Answer::Warning(text).encode(&mut bytes);
        let _ = (&*client).write_all(&bytes);
    };
    match start::start(&store, executor, &mut container, request, &mut warn) {
        Ok((started, running)) => Ok(Begun { container, lock, listener, started, running }),
        Err(error) => {
            let code = code_of(&error);
            container.state.phase = if container.state.started.is_some() { Phase::Exited } else { Phase::Created };
            container.state.pid = None;
            container.state.exit_code = i32::from(code);
            container.state.error = said(&error);
            container.state.ports.clear();
            container.state.finished = container.state.started.map(|_| now());
            finish::clear(&container);
            container.state.cgroup.clear();
            let _ = container.write_state();
            if container.spec.auto_remove {
                finish::remove(&store, &container, lock);
            }
            Err(error)
        }
    }
}

fn first_request(mut client: &UnixStream, incoming: &mut Incoming) -> Result<Request> {
    let failed = Error::io("read the request of", "the client");
    let mut buffer = [0; PIECE];
    let request = (|| {
        loop {
            match incoming.take::<Message>()? {
                Some(Message::Request(request)) => return Ok(request),
                Some(_) => return Err(std::io::ErrorKind::InvalidData.into()),
                None => {}
            }
            match client.read(&mut buffer)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                length => incoming.push(&buffer[..length]),
            }
        }
    })();
    request.map_err(failed)
}

fn refuse(mut client: &UnixStream, error: &Error) -> Result<()> {
    let answer = match error {
        Error::Busy { .. } => Answer::Busy,
        error => Answer::Refused { message: said(error), code: code_of(error) },
    };
    let mut bytes = Vec::new();
    answer.encode(&mut bytes);
    client.write_all(&bytes).map_err(Error::io("answer", "the client"))
}

/// With its causes.
fn said(error: &Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let text = next.to_string();
        // Some errors tell of their cause themselves.
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = next.source();
    }
    said
}

/// Docker's codes: 127 where there is no such command, 126 where it cannot be executed, 125 for all else.
fn code_of(error: &Error) -> u8 {
    match error {
        Error::Exec(kiln_exec::Error::NotFound { .. }) => 127,
        Error::Exec(kiln_exec::Error::NotExecutable { .. }) => 126,
        Error::Refused { code, .. } => *code,
        _ => 125,
    }
}
