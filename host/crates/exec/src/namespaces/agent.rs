//! A socket for a step that leads to the user's ssh agent, or to one that knows only the keys that were given.
//!
//! The step may ask which keys there are and have something signed, and nothing else: keys cannot be added, removed or
//! locked. Before each message of the protocol is its length, in four bytes.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use kiln_ssh::{Agent as Answering, is_harmless, refusal};

/// As OpenSSH has it.
const LONGEST_MESSAGE: u32 = 256 << 10;
/// Each has a thread.
const MOST_CONNECTIONS: usize = 64;

/// Forwards until it is dropped.
pub(super) struct Agent {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// Makes a socket in `directory`, which is private. Asks the agent nothing yet.
    pub(super) fn start(agent: &Answering, directory: &Path, mode: u32, (uid, gid): (u32, u32)) -> io::Result<Self> {
        // Said now, with the place in the Dockerfile, and not by a program that finds nobody there.
        if let Answering::Socket(agent) = agent {
            drop(connect(agent)?);
        }
        let socket = directory.join("agent");
        let listener = short(&socket, |path| UnixListener::bind(path))?;
        chown(&socket, Some(uid), Some(gid))?;
        fs::set_permissions(&socket, Permissions::from_mode(mode))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (agent, stopped) = (agent.clone(), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("ssh-agent".to_owned());
        let thread = thread.spawn(move || listen(&listener, &agent, &stopped))?;
        Ok(Self { socket, stop, thread: Some(thread) })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it.
        let woken = connect(&self.socket).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

/// Addresses of sockets have room for 108 bytes, so the directory is named by a descriptor.
fn short<T>(socket: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (Some(directory), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = File::open(directory)?;
    call(&Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    short(socket, |path| UnixStream::connect(path))
}

fn listen(listener: &UnixListener, agent: &Answering, stop: &AtomicBool) {
    let connections = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if connections.fetch_add(1, Ordering::SeqCst) >= MOST_CONNECTIONS {
            connections.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (agent, open) = (agent.clone(), Arc::clone(&connections));
        let spawned = std::thread::Builder::new().spawn(move || {
            // Whoever is connected sees that it ended.
            let _ = match agent {
                Answering::Socket(agent) => forward(stream, &agent),
                Answering::Keys(keys) => serve(stream, |request| Ok(keys.answer(request))),
            };
            open.fetch_sub(1, Ordering::SeqCst);
        });
        if spawned.is_err() {
            connections.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn forward(step: UnixStream, agent: &Path) -> io::Result<()> {
    let mut agent = connect(agent)?;
    serve(step, |request| {
        send(&mut agent, request)?;
        receive(&mut agent)
    })
}

/// Requests and answers in turn, until one side ends it.
fn serve(mut step: UnixStream, mut answer: impl FnMut(&[u8]) -> io::Result<Vec<u8>>) -> io::Result<()> {
    loop {
        let request = receive(&mut step)?;
        let answer = if is_harmless(&request) { answer(&request)? } else { refusal() };
        send(&mut step, &answer)?;
    }
}

fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LONGEST_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn send(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listing_and_signing_get_through() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let real = directory.path().join("real");
        let listener = UnixListener::bind(&real).expect("socket");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("connection");
                std::thread::spawn(move || {
                    while let Ok(message) = receive(&mut stream) {
                        send(&mut stream, &[100, message[0]]).expect("sent");
                    }
                });
            }
        });
        // Longer than an address may be.
        let deep = directory.path().join("d".repeat(120));
        fs::create_dir(&deep).expect("directory");
        let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let agent = Agent::start(&Answering::Socket(real), &deep, 0o600, ids).expect("agent");
        let mut step = connect(agent.socket()).expect("connection");
        for (kind, answer) in
            [(11, vec![100, 11]), (13, vec![100, 13]), (17, refusal()), (18, refusal()), (27, refusal())]
        {
            send(&mut step, &[kind, 1, 2]).expect("sent");
            assert_eq!(receive(&mut step).expect("answer"), answer);
        }
        step.write_all(&u32::MAX.to_be_bytes()).expect("sent");
        assert!(receive(&mut step).is_err(), "closed");
        let socket = agent.socket().to_owned();
        drop(agent);
        assert!(connect(&socket).is_err());
        let nobody = Answering::Socket("/nothing/there".into());
        assert!(Agent::start(&nobody, directory.path(), 0o600, ids).is_err());
        let nothing = Answering::Keys(Arc::new(kiln_ssh::Keys::new(Vec::new())));
        let agent = Agent::start(&nothing, directory.path(), 0o600, ids).expect("agent");
        let mut step = connect(agent.socket()).expect("connection");
        for (kind, answer) in [(11, vec![12, 0, 0, 0, 0]), (17, refusal())] {
            send(&mut step, &[kind]).expect("sent");
            assert_eq!(receive(&mut step).expect("answer"), answer);
        }
    }
}
