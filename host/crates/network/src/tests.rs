//! Whole networks: a namespace that stands for the host, one that is a container's, and programs in both.

mod published;
mod served;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::namespace::inside;
use crate::serve::loopback;

/// An address of the host that is not loopback, for tests.
const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LONG: Duration = Duration::from_secs(20);

/// A network namespace, as long as a process is in it.
struct Place {
    process: Child,
    namespace: File,
}

impl Place {
    fn new() -> Self {
        let mut process = Command::new("unshare")
            .args(["--net", "--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is part of util-linux");
        // When it answers it is there.
        let mut answer = [0];
        process.stdin.as_mut().expect("a pipe").write_all(b"?").expect("cat reads");
        process.stdout.as_mut().expect("a pipe").read_exact(&mut answer).expect("cat answers");
        let namespace = File::open(format!("/proc/{}/ns/net", process.id())).expect("it has a namespace");
        Self { process, namespace }
    }

    /// Runs `body` there.
    fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        inside(self.namespace.as_fd(), || Ok(body())).expect("root may enter")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Held by tests that measure this process, and shared by those that would disturb them.
pub(crate) static ALONE: RwLock<()> = RwLock::new(());

/// The host and the container; `None` where there can be none.
fn places() -> Option<(Place, Place)> {
    let possible = rustix::process::geteuid().is_root() && File::open("/dev/net/tun").is_ok();
    if !possible {
        assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none(), "this test needs root and /dev/net/tun");
        return None;
    }
    let (host, container) = (Place::new(), Place::new());
    host.run(|| {
        loopback::set_up(&[HOST.into(), HOST_V6.into()]).expect("the namespace is ours");
        settle(HOST_V6);
    });
    container.run(|| loopback::set_up(&[]).expect("the namespace is ours"));
    Some((host, container))
}

/// Waits until the kernel takes packets for a new address of IPv6, some milliseconds after it was asked to.
fn settle(address: Ipv6Addr) {
    let socket = UdpSocket::bind((address, 0)).expect("the address is there");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("it can be set");
    let own = socket.local_addr().expect("it is bound");
    wait_until("the address is of use", || socket.send_to(b"?", own).is_ok() && socket.recv(&mut [0]).is_ok());
}

/// Something that is easily seen to be damaged.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at * 7 % 251).expect("it is small")).collect()
}

/// A server that answers each connection, after its end, with everything it got.
fn echo(address: SocketAddr) -> u16 {
    let listener = TcpListener::bind(address).expect("the address is there");
    // The kernel resets clients of a busy server whose queue stays full.
    rustix::net::listen(&listener, 4096).expect("it listens already");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut all = Vec::new();
                if stream.read_to_end(&mut all).is_ok() {
                    let _ = stream.write_all(&all);
                }
            });
        }
    });
    port
}

/// What a server that was sent `sent` answers.
fn ask(address: SocketAddr, sent: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, LONG)?;
    stream.set_read_timeout(Some(LONG))?;
    stream.set_write_timeout(Some(LONG))?;
    stream.write_all(sent)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// A server that sends datagrams back.
fn echo_datagrams(address: SocketAddr) -> u16 {
    let socket = UdpSocket::bind(address).expect("the address is there");
    let port = socket.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok((size, client)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..size], client);
        }
    });
    port
}

/// A socket that speaks with `address` alone.
fn datagrams(address: SocketAddr) -> UdpSocket {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).expect("there are free ports");
    socket.connect(address).expect("there is a route");
    socket.set_read_timeout(Some(LONG)).expect("it can be set");
    socket
}

fn ask_datagram(address: SocketAddr, sent: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = datagrams(address);
    socket.send(sent)?;
    let mut answer = vec![0; 65536];
    let size = socket.recv(&mut answer)?;
    answer.truncate(size);
    Ok(answer)
}

/// Whether this process hardly uses the processor while nothing happens. No other test may run.
fn is_idle() -> bool {
    let used = || {
        let text = std::fs::read_to_string("/proc/self/stat").expect("proc is there");
        let fields: Vec<&str> = text.rsplit_once(')').expect("a name").1.split_ascii_whitespace().collect();
        // utime and stime, in ticks of 10 ms.
        fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number")
    };
    let before = used();
    thread::sleep(Duration::from_millis(500));
    used() - before < 10
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}
