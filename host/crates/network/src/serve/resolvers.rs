//! The host's resolvers: which there are, and which of them answers.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::address::NAMESERVER;

/// How often the file is looked at, at most.
const FRESH: Duration = Duration::from_secs(1);
/// A resolver that answered nothing for so long is passed over when something is asked again.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than resolvers of the C library look at.
const MOST: usize = 8;

#[derive(Debug)]
pub(super) struct Resolvers {
    path: PathBuf,
    modified: Option<SystemTime>,
    looked: Option<Instant>,
    servers: Vec<SocketAddr>,
    current: usize,
    /// When the current one was asked first since it answered last.
    asked: Option<Instant>,
}

impl Resolvers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, modified: None, looked: None, servers: Vec::new(), current: 0, asked: None }
    }

    /// Whom to ask something now.
    pub(super) fn ask(&mut self, now: Instant) -> SocketAddr {
        if self.looked.is_none_or(|looked| now >= looked + FRESH) {
            self.looked = Some(now);
            self.look();
        }
        if self.asked.is_some_and(|asked| now >= asked + PATIENCE) {
            self.failed(self.current());
        }
        self.asked.get_or_insert(now);
        self.current()
    }

    pub(super) fn answered(&mut self, server: SocketAddr) {
        if server == self.current() {
            self.asked = None;
        }
    }

    pub(super) fn failed(&mut self, server: SocketAddr) {
        if server == self.current() {
            self.current += 1;
            self.asked = None;
        }
    }

    fn current(&self) -> SocketAddr {
        // As resolvers do where none is named.
        let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53);
        self.servers.get(self.current % self.servers.len().max(1)).copied().unwrap_or(local)
    }

    fn look(&mut self) {
        let modified = fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok();
        if modified.is_none() || modified != self.modified {
            let servers = servers(&fs::read_to_string(&self.path).unwrap_or_default());
            if servers != self.servers {
                (self.servers, self.current, self.asked) = (servers, 0, None);
            }
            self.modified = modified;
        }
    }
}

/// The servers that a resolv.conf names.
fn servers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    lines.filter_map(|rest| server(rest.trim())).take(MOST).collect()
}

fn server(text: &str) -> Option<SocketAddr> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    match (address.parse().ok()?, zone) {
        (IpAddr::V6(address), Some(zone)) => {
            let socket = || socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
            let index = zone.parse().ok().or_else(|| name_to_index(socket().ok()?, zone).ok())?;
            Some(SocketAddrV6::new(address, 53, 0, index).into())
        }
        (address, _) => Some(SocketAddr::new(address, 53)),
    }
}

/// A container's resolv.conf, given the host's.
pub(super) fn for_container(text: &str) -> String {
    let kept = text.lines().map(str::trim).filter(|line| {
        let word = line.split_ascii_whitespace().next();
        matches!(word, Some("search" | "domain" | "options"))
    });
    let mut lines: Vec<_> = kept.map(str::to_owned).collect();
    lines.push(format!("nameserver {NAMESERVER}\n"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# by hand\nnameserver 192.0.2.1\n nameserver\t2001:db8::1\nnameserver fe80::1%3\nnameserver x\n\
                        search example.org lan\nsortlist 10.0.0.0\noptions ndots:2 edns0\n";

    #[test]
    fn a_resolv_conf_is_understood() {
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%3]:53"];
        assert_eq!(servers(TEXT).iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        assert_eq!(for_container(TEXT), "search example.org lan\noptions ndots:2 edns0\nnameserver 10.0.2.3\n");
        assert_eq!(for_container(""), "nameserver 10.0.2.3\n");
    }

    #[test]
    fn who_does_not_answer_is_passed_over() {
        let folder = std::env::temp_dir().join(format!("kiln-resolvers-{}", std::process::id()));
        fs::write(&folder, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n").expect("the folder is writable");
        let mut resolvers = Resolvers::new(folder.clone());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut ask = |seconds| resolvers.ask(at(seconds)).ip().to_string();
        assert_eq!(ask(0), "192.0.2.1");
        assert_eq!(ask(1), "192.0.2.1");
        assert_eq!(ask(5), "192.0.2.2");
        assert_eq!(ask(10), "192.0.2.1");
        resolvers.answered(resolvers.current());
        assert_eq!(resolvers.ask(at(20)).ip().to_string(), "192.0.2.1");
        resolvers.failed(resolvers.current());
        assert_eq!(resolvers.ask(at(21)).ip().to_string(), "192.0.2.2");
        fs::remove_file(folder).expect("it was there");
    }

    #[test]
    fn without_a_file_the_host_itself_is_asked() {
        let mut resolvers = Resolvers::new("/nonexistent/resolv.conf".into());
        assert_eq!(resolvers.ask(Instant::now()).to_string(), "127.0.0.1:53");
    }
}
