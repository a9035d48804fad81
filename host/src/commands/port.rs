//! `kiln port`: the published ports of a container.

use std::io::Write as _;

use kiln_container::{Container, PublishedPort};

use super::ps::ports::host_port;
use crate::cli::port::Port;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Port, session: &Session) -> anyhow::Result<()> {
    let container = Container::find(&session.store_to_read()?, &options.container)?;
    let mut ports: Vec<&PublishedPort> = container.state.ports.iter().collect();
    if !container.state.is_running() {
        ports.clear();
    }
    ports.sort_by_key(|port| (port.container, port.protocol, port.address, port.host));
    let wanted = options.port.as_deref().map(|text| wanted(text, &ports, &options.container)).transpose()?;
    let mut out = super::stdout();
    for port in wanted.as_deref().unwrap_or(&ports) {
        let public = host_port(port.address, port.host);
        match &wanted {
            Some(_) => writeln!(out, "{public}")?,
            None => writeln!(out, "{}/{} -> {public}", port.container, port.protocol)?,
        }
    }
    Ok(out.flush()?)
}

/// Those behind `80` or `53/udp`.
fn wanted<'a>(text: &str, ports: &[&'a PublishedPort], name: &str) -> Result<Vec<&'a PublishedPort>, Failure> {
    let (number, protocol) = kiln_container::ports::parse_exposed(text)
        .ok_or_else(|| Failure::new(format!("invalid port '{text}'")).hint("write PORT, or PORT/udp"))?;
    let found: Vec<_> =
        ports.iter().copied().filter(|port| (port.container, port.protocol) == (number, protocol)).collect();
    match found.is_empty() {
        true => Err(Failure::new(format!("no public port '{text}' published for {name}"))),
        false => Ok(found),
    }
}
