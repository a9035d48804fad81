//! A proxy that takes every request to a server of loopback: so that hosts can be asked that are no addresses of this
//! machine.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::wire;

pub(crate) struct HttpProxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    /// Each host, as `registry.example:443`, with the port of loopback where it really is. Others cannot be reached.
    pub(crate) fn start(hosts: &[(&str, u16)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let hosts: Vec<(String, u16)> = hosts.iter().map(|&(host, port)| (host.to_owned(), port)).collect();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that goes away is no failure of the test.
                let _ = serve(client, &hosts, &log);
            }
        });
        Self { port, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Forgets who was asked for so far.
    pub(crate) fn forget(&self) {
        self.asked.lock().expect("no thread panicked").clear();
    }

    /// The hosts that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no thread panicked").clone()
    }
}

fn serve(mut client: TcpStream, hosts: &[(String, u16)], log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 << 10 && client.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let tunnel = method == "CONNECT";
    let host = match target.strip_prefix("http://") {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => target,
    };
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    log.lock().expect("no thread panicked").push(host.clone());
    let Some((_, port)) = hosts.iter().find(|(known, _)| *known == host) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let mut server = TcpStream::connect(("127.0.0.1", *port))?;
    if tunnel {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        server.write_all(&head)?;
    }
    wire::join(&client, &server);
    Ok(())
}
