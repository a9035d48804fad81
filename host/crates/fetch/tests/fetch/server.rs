//! An HTTP server that answers as each test wants, over a plain socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiln_fetch::{Client, Settings, Url};

/// What came: the request line, headers as `name: value` with names in lower case, the body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn path(&self) -> &str {
        self.line.split(' ').nth(1).expect("a request line")
    }
}

pub(crate) struct Server {
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// `answer` writes whatever it likes; the connection ends when it returns. It is told how many came before.
    pub(crate) fn start(answer: impl Fn(&Received, usize, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&received), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut stream = stream;
                    let Some(request) = read(&stream) else { return };
                    let before = {
                        let mut log = log.lock().expect("no panic");
                        log.push(request.clone());
                        log.len() - 1
                    };
                    answer(&request, before, &mut stream);
                });
            }
        });
        Self { port, received }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        format!("http://127.0.0.1:{}{path}", self.port).parse().expect("a URL")
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut input = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok().filter(|&read| read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: Vec<String> = lines[1..]
        .iter()
        .map(|line| {
            line.split_once(": ").map_or(line.clone(), |(name, value)| format!("{}: {value}", name.to_lowercase()))
        })
        .collect();
    let mut request = Received { line: lines[0].clone(), headers, body: Vec::new() };
    if let Some(length) = request.header("content-length").and_then(|length| length.parse::<u64>().ok()) {
        input.take(length).read_to_end(&mut request.body).ok()?;
    }
    Some(request)
}

/// Writes a whole answer. A client that has gone is no failure of a server.
pub(crate) fn answer(stream: &mut TcpStream, status: u16, headers: &[&str], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(body));
}

pub(crate) fn write(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

pub(crate) fn client() -> Client {
    Client::new(settings())
}

/// Impatient.
pub(crate) fn settings() -> Settings {
    Settings {
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(400),
        attempts: 3,
        pause: Duration::from_millis(5),
        ..Settings::default()
    }
}
