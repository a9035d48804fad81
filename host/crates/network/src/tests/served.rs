//! The world, as a container sees it.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::*;
use crate::serve::ADDRESS_V6;
use crate::{GATEWAY, NAMESERVER, Network, Settings, serve};

struct Served {
    host: Place,
    container: Place,
    _network: Network,
}

fn served() -> Option<Served> {
    served_with(&Settings::default())
}

fn served_with(settings: &Settings) -> Option<Served> {
    let (host, container) = places()?;
    let network = host.run(|| serve(container.namespace.as_fd(), settings)).expect("root may");
    container.run(|| settle(ADDRESS_V6));
    Some(Served { host, container, _network: network })
}

#[test]
fn bytes_arrive_whole_in_both_directions() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let Some(all) = served() else { return };
    for address in [HOST.into(), HOST_V6.into()] {
        let port = all.host.run(|| echo(SocketAddr::new(address, 0)));
        let at = SocketAddr::new(address, port);
        for size in [0, 1, 65_536, 30 << 20] {
            let sent = pattern(size);
            let answer = all.container.run(|| ask(at, &sent)).expect("the server answers");
            assert!(answer == sent, "{at}: {} bytes of {size}", answer.len());
        }
    }
}

#[test]
fn many_connections_at_once() {
    let _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    let Some(all) = served() else { return };
    let port = all.host.run(|| echo(SocketAddr::new(HOST.into(), 0)));
    let at = SocketAddr::new(HOST.into(), port);
    all.container.run(|| {
        let mut streams: Vec<_> = (0..200).map(|_| TcpStream::connect(at).expect("the server accepts")).collect();
        let sent = pattern(100_000);
        for stream in &mut streams {
            stream.write_all(&sent).expect("it is taken");
            stream.shutdown(Shutdown::Write).expect("it is connected");
        }
        for mut stream in streams {
            stream.set_read_timeout(Some(LONG)).expect("it can be set");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).expect("the server answers");
            assert!(answer == sent);
        }
    });
    assert!(is_idle(), "an idle network uses the processor");
}

#[test]
fn who_does_not_answer_is_told_apart() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let Some(all) = served() else { return };
    let kind = |address: &str| {
        let address: SocketAddr = address.parse().expect("an address");
        all.container.run(|| TcpStream::connect_timeout(&address, LONG)).expect_err("nobody is there").kind()
    };
    // Nobody listens there.
    assert_eq!(kind("198.51.100.1:9"), ErrorKind::ConnectionRefused);
    assert_eq!(kind("[2001:db8::1]:9"), ErrorKind::ConnectionRefused);
    assert_eq!(kind("10.0.2.2:22"), ErrorKind::ConnectionRefused);
    // The container's own loopback, not the host's.
    assert_eq!(kind("127.0.0.1:9"), ErrorKind::ConnectionRefused);
    // The host has no route.
    assert_eq!(kind("203.0.113.1:80"), ErrorKind::NetworkUnreachable);
    // Not for containers.
    assert_eq!(kind("169.254.169.254:80"), ErrorKind::HostUnreachable);
    assert_eq!(kind("[fd00:ec2::254]:80"), ErrorKind::PermissionDenied);
}

#[test]
fn an_end_that_breaks_off_breaks_the_other() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let Some(all) = served() else { return };
    let listener = all.host.run(|| TcpListener::bind((HOST, 0))).expect("the address is there");
    let at = listener.local_addr().expect("it is bound");
    let connect = || {
        let inner = all.container.run(|| TcpStream::connect(at)).expect("the server accepts");
        let (outer, _) = listener.accept().expect("somebody connected");
        for stream in [&inner, &outer] {
            stream.set_read_timeout(Some(LONG)).expect("it can be set");
        }
        (inner, outer)
    };
    let break_off = |stream: TcpStream| {
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("it can be set");
    };
    let (mut inner, outer) = connect();
    break_off(outer);
    assert_eq!(inner.read(&mut [0]).expect_err("it broke").kind(), ErrorKind::ConnectionReset);
    let (inner, mut outer) = connect();
    break_off(inner);
    assert_eq!(outer.read(&mut [0]).expect_err("it broke").kind(), ErrorKind::ConnectionReset);
}

#[test]
fn datagrams_go_out_and_come_back() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let Some(all) = served() else { return };
    for address in [HOST.into(), HOST_V6.into()] {
        let port = all.host.run(|| echo_datagrams(SocketAddr::new(address, 0)));
        let at = SocketAddr::new(address, port);
        for size in [0, 1, 1500, 65_400] {
            let sent = pattern(size);
            let answer = all
                .container
                .run(|| ask_datagram(at, &sent))
                .unwrap_or_else(|error| panic!("{at}, {size} bytes: {error}"));
            assert!(answer == sent, "{at}: {} bytes of {size}", answer.len());
        }
    }
    // As large as can be; of IPv6 that does not fit in a packet here.
    for (address, fits) in [(IpAddr::from(HOST), true), (HOST_V6.into(), false)] {
        let server = all.host.run(|| UdpSocket::bind((address, 0))).expect("the address is there");
        let client = all.container.run(|| datagrams(server.local_addr().expect("it is bound")));
        client.send(b"?").expect("it is sent");
        let (_, from) = server.recv_from(&mut [0]).expect("it was asked");
        server.send_to(&pattern(65_507), from).expect("it is sent");
        server.send_to(b"!", from).expect("it is sent");
        let mut answer = vec![0; 65_536];
        let size = client.recv(&mut answer).expect("the server answers");
        assert_eq!(size, if fits { 65_507 } else { 1 });
    }
    let nobody = SocketAddr::new(HOST.into(), 9);
    let error = all.container.run(|| ask_datagram(nobody, b"?")).expect_err("nobody listens there");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn names_are_asked_of_resolvers_on_the_hosts_loopback() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let file = resolv_conf("names", "nameserver 127.0.0.53\n");
    let Some(all) = served_with(&Settings { resolv_conf: file.clone() }) else { return };
    let at: SocketAddr = "127.0.0.53:53".parse().expect("an address");
    all.host.run(|| (echo(at), echo_datagrams(at)));
    let nameserver = SocketAddr::new(NAMESERVER.into(), 53);
    assert_eq!(all.container.run(|| ask_datagram(nameserver, b"question")).expect("an answer"), b"question");
    assert_eq!(all.container.run(|| ask(nameserver, b"question")).expect("an answer"), b"question");
    // Another one, by now, and one before it that is not there.
    all.host.run(|| echo_datagrams("127.0.0.54:53".parse().expect("an address")));
    std::fs::write(&file, "nameserver 127.0.0.1\nnameserver 127.0.0.54\n").expect("it is ours");
    wait_until("the new resolver is asked", || {
        let socket = all.container.run(|| datagrams(nameserver));
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("it can be set");
        socket.send(b"again").expect("it is sent");
        socket.recv(&mut [0; 16]).is_ok()
    });
    std::fs::remove_file(file).expect("it is there");
}

fn resolv_conf(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("kiln-network-{name}-{}", std::process::id()));
    std::fs::write(&path, text).expect("the folder is writable");
    path
}

#[test]
fn pings_are_answered() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, recv, sendto, socket};

    let Some(all) = served() else { return };
    let ping = |to: Ipv4Addr| {
        let socket = socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::ICMP)).expect("everybody may ping");
        let to = SocketAddr::new(to.into(), 0);
        // Echo request; the kernel fills in checksum and identifier.
        sendto(&socket, &[8, 0, 0, 0, 0, 0, 0, 1, b'!'], SendFlags::empty(), &to).expect("it is sent");
        let mut answer = [0; 64];
        let (size, _) = recv(&socket, &mut answer, RecvFlags::empty()).expect("it answers");
        answer[..size].to_vec()
    };
    for to in [GATEWAY, HOST] {
        let answer = all.container.run(|| ping(to));
        assert_eq!((answer[0], answer.last()), (0, Some(&b'!')), "{to}");
    }
}

#[test]
fn a_container_that_removes_its_interface_costs_nothing() {
    let _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    let Some(all) = served() else { return };
    all.container.run(|| loopback::remove_way_out().expect("it is root there"));
    assert!(is_idle(), "an interface that is gone uses the processor");
}
