//! Ports in one line, as Docker's lists have them: neighbours together, those under another number of the host last.

use std::net::IpAddr;

use kiln_container::{Container, NetworkMode, Protocol};

/// A port of a container, and where the host leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    private: u16,
    public: Option<(IpAddr, u16)>,
    protocol: Protocol,
}

/// Of a container that runs; any other has none.
pub(super) fn of(container: &Container) -> Vec<Port> {
    if !container.state.is_running() {
        return Vec::new();
    }
    let published = container.state.ports.iter();
    let mut ports: Vec<Port> = published
        .map(|port| Port { private: port.container, public: Some((port.address, port.host)), protocol: port.protocol })
        .collect();
    // The host's network has no ports of the container's own.
    if container.spec.network == NetworkMode::Private {
        let exposed = container.spec.config.exposed_ports.keys().filter_map(|key| exposed(key));
        let missing: Vec<Port> = exposed.filter(|port| !ports.iter().any(|other| other.same(port))).collect();
        ports.extend(missing);
    }
    ports.sort_unstable();
    ports
}

/// What EXPOSE says: `80/tcp`.
fn exposed(text: &str) -> Option<Port> {
    let (private, protocol) = kiln_container::ports::parse_exposed(text)?;
    Some(Port { private, public: None, protocol })
}

impl Port {
    fn same(&self, other: &Self) -> bool {
        (self.private, self.protocol) == (other.private, other.protocol)
    }

    /// Whether it is one of these, by the number that the host has for it.
    pub(super) fn is_published_in(&self, (first, last, protocol): (u16, u16, Protocol)) -> bool {
        self.public.is_some_and(|(_, port)| (first..=last).contains(&port)) && self.protocol == protocol
    }

    pub(super) fn is_exposed_in(&self, (first, last, protocol): (u16, u16, Protocol)) -> bool {
        (first..=last).contains(&self.private) && self.protocol == protocol
    }
}

/// A row of ports with the same address and the same numbers on both sides.
struct Group {
    address: Option<IpAddr>,
    protocol: Protocol,
    first: u16,
    last: u16,
}

pub(super) fn line(ports: &[Port]) -> String {
    let mut done = Vec::new();
    let mut open: Vec<Group> = Vec::new();
    let mut mappings = Vec::new();
    for &Port { private, public, protocol } in ports {
        if let Some((address, port)) = public
            && port != private
        {
            mappings.push(format!("{}->{private}/{protocol}", host_port(address, port)));
            continue;
        }
        let address = public.map(|(address, _)| address);
        match open.iter_mut().find(|group| (group.address, group.protocol) == (address, protocol)) {
            Some(group) if private == group.last.saturating_add(1) => group.last = private,
            Some(group) => {
                done.push(group.text());
                (group.first, group.last) = (private, private);
            }
            None => open.push(Group { address, protocol, first: private, last: private }),
        }
    }
    done.extend(open.iter().map(Group::text));
    done.extend(mappings);
    done.join(", ")
}

impl Group {
    fn text(&self) -> String {
        let Self { address, protocol, first, last } = *self;
        let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
        match address {
            Some(address) => format!("{}->{ports}/{protocol}", host_port(address, &ports)),
            None => format!("{ports}/{protocol}"),
        }
    }
}

/// An address and a port as one text.
pub(in crate::commands) fn host_port(address: IpAddr, port: impl std::fmt::Display) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_dockers() {
        let any: IpAddr = "0.0.0.0".parse().expect("an address");
        let six: IpAddr = "::".parse().expect("an address");
        let port = |private, public| Port { private, public, protocol: Protocol::Tcp };
        let udp = |private| Port { private, public: None, protocol: Protocol::Udp };
        for (mut ports, expected) in [
            (vec![], ""),
            (vec![port(80, Some((any, 80)))], "0.0.0.0:80->80/tcp"),
            (vec![port(80, Some((any, 8080))), port(443, None)], "443/tcp, 0.0.0.0:8080->80/tcp"),
            (vec![port(80, Some((any, 80))), port(80, Some((six, 80)))], "0.0.0.0:80->80/tcp, [::]:80->80/tcp"),
            (vec![port(9990, None), port(9988, None), port(9989, None)], "9988-9990/tcp"),
            (vec![port(9988, None), port(9990, None), udp(9989)], "9988/tcp, 9990/tcp, 9989/udp"),
            (vec![port(80, Some((any, 80))), port(81, Some((any, 81)))], "0.0.0.0:80-81->80-81/tcp"),
        ] {
            ports.sort_unstable();
            assert_eq!(line(&ports), expected);
        }
    }
}
