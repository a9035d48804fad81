//! Serves a network namespace and publishes ports of it, for trying things by hand, until its input ends:
//!
//! ```sh
//! ip netns add try && ip -n try link set lo up
//! cargo run --release -p kiln-network --example network /run/netns/try 8080:80 5353:53/udp
//! ```

#[cfg(target_os = "linux")]
#[allow(clippy::print_stderr, reason = "an example is a program")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use kiln_network::{Port, Protocol, Settings, publish, serve};

    let mut arguments = std::env::args().skip(1);
    let namespace = File::open(arguments.next().ok_or("which namespace?")?)?;
    let mut ports = Vec::new();
    for argument in arguments {
        let udp = argument.strip_suffix("/udp");
        let protocol = if udp.is_some() { Protocol::Udp } else { Protocol::Tcp };
        let (port, container_port) = udp.unwrap_or(&argument).split_once(':').ok_or("a port is HOST:CONTAINER")?;
        ports.push(Port { address: None, port: port.parse()?, container_port: container_port.parse()?, protocol });
    }
    let network = serve(namespace.as_fd(), &Settings::default());
    if let Err(error) = &network {
        eprintln!("{error}");
    }
    let published = publish(namespace.as_fd(), &ports)?;
    for bound in published.bound() {
        eprintln!("{}:{} -> {}/{}", bound.address, bound.port, bound.container_port, bound.protocol);
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {}
