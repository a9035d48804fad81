//! Ports of a container, reached from the host.

use super::*;
use crate::{Port, Protocol, Published, Settings, publish, serve};

fn publish_one(host: &Place, container: &Place, container_port: u16, protocol: Protocol) -> (Published, SocketAddr) {
    let port = Port { address: None, port: 0, container_port, protocol };
    let published = host.run(|| publish(container.namespace.as_fd(), &[port])).expect("there are free ports");
    let at = SocketAddr::new(HOST.into(), published.bound()[0].port);
    (published, at)
}

#[test]
fn a_service_is_reached_with_and_without_a_way_out() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    for served in [false, true] {
        let Some((host, container)) = places() else { return };
        let _network =
            served.then(|| host.run(|| serve(container.namespace.as_fd(), &Settings::default())).expect("root may"));
        let port = container.run(|| echo("0.0.0.0:0".parse().expect("an address")));
        let (published, at) = publish_one(&host, &container, port, Protocol::Tcp);
        assert_eq!(published.bound().len(), 2, "IPv4 and IPv6");
        let sent = pattern(20 << 20);
        for at in
            [at, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), at.port()), SocketAddr::new(HOST_V6.into(), at.port())]
        {
            let answer = host.run(|| ask(at, &sent)).expect("the service answers");
            assert!(answer == sent, "{at} damaged {} bytes", answer.len());
        }
        drop(published);
        let error = host.run(|| ask(at, b"?")).expect_err("nobody listens any more");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[test]
fn a_port_that_nobody_serves_resets() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let Some((host, container)) = places() else { return };
    let (_published, at) = publish_one(&host, &container, 4321, Protocol::Tcp);
    let error = host.run(|| ask(at, b"?")).expect_err("there is no service");
    // Which of the two depends on whether the request was sent before.
    assert!(matches!(error.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{error}");
}

#[test]
fn a_thousand_clients_at_once() {
    let _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    let Some((host, container)) = places() else { return };
    let port = container.run(|| echo("127.0.0.1:0".parse().expect("an address")));
    let (_published, at) = publish_one(&host, &container, port, Protocol::Tcp);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    // Each connection takes two descriptors here for each of client, forwarder and service.
    let clients = limit.current.map_or(1000, |limit| (limit / 8).min(1000));
    host.run(|| {
        let streams: Vec<_> = (0..clients).map(|_| TcpStream::connect(at).expect("a client")).collect();
        for (number, mut stream) in streams.into_iter().enumerate() {
            stream.set_read_timeout(Some(LONG)).expect("it can be set");
            stream.write_all(&number.to_ne_bytes()).expect("it is taken");
            stream.shutdown(Shutdown::Write).expect("it is connected");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).expect("the service answers");
            assert_eq!(answer, number.to_ne_bytes());
        }
    });
    assert!(is_idle(), "an idle forwarder uses the processor");
}

#[test]
fn a_client_that_does_not_read_stops_the_service_and_nobody_else() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let Some((host, container)) = places() else { return };
    let port = container.run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
            for mut stream in listener.incoming().filter_map(Result::ok) {
                thread::spawn(move || while stream.write_all(&[0; 65536]).is_ok() {});
            }
        });
        port
    });
    let (_published, at) = publish_one(&host, &container, port, Protocol::Tcp);
    host.run(|| {
        let _lazy: Vec<_> = (0..20).map(|_| TcpStream::connect(at).expect("a client")).collect();
        let mut eager = TcpStream::connect(at).expect("a client");
        eager.set_read_timeout(Some(LONG)).expect("it can be set");
        let mut buffer = vec![0; 1 << 20];
        for _ in 0..50 {
            eager.read_exact(&mut buffer).expect("there is more");
        }
    });
}

#[test]
fn datagrams_come_back_to_who_sent_them() {
    let _shared = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    let Some((host, container)) = places() else { return };
    let port = container.run(|| echo_datagrams("0.0.0.0:0".parse().expect("an address")));
    let (_published, at) = publish_one(&host, &container, port, Protocol::Udp);
    host.run(|| {
        let clients: Vec<_> = (0..50).map(|_| datagrams(at)).collect();
        for (number, client) in clients.iter().enumerate() {
            client.send(&number.to_ne_bytes()).expect("it is sent");
        }
        for (number, client) in clients.iter().enumerate() {
            let mut answer = [0; 16];
            let size = client.recv(&mut answer).expect("the service answers");
            assert_eq!(answer[..size], number.to_ne_bytes());
        }
        let large = pattern(60_000);
        assert!(ask_datagram(at, &large).expect("the service answers") == large);
    });
}
