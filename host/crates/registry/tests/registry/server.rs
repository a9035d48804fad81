//! A registry that answers as each test wants, over a plain socket: the faults that a real one cannot be made to show.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What came, with names of headers in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.path.contains(part)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// 0: none at all.
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Ends the connection after so many bytes of the body, whatever its length was said to be.
    pub(crate) cut: Option<usize>,
    /// Repeats the body for ever, in chunks.
    pub(crate) endless: bool,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn of(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

pub(crate) struct Server {
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// `answer` is told how many requests came before.
    pub(crate) fn start(answer: impl Fn(&Received, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&received), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    let before = {
                        let mut log = log.lock().expect("no panic");
                        log.push(request.clone());
                        log.len() - 1
                    };
                    // A client that has gone is no failure of a server.
                    let _ = write(&stream, &answer(&request, before), request.method == "HEAD");
                });
            }
        });
        Self { port, received }
    }

    /// As it stands in image names.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }

    /// How many such requests came.
    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.received().iter().filter(|request| request.is(method, part)).count()
    }
}

fn read(stream: &TcpStream) -> Option<Received> {
    let mut input = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        // What speaks TLS sends no lines.
        (&mut input).take(8 << 10).read_until(b'\n', &mut line).ok().filter(|&read| read > 0)?;
        match String::from_utf8(line).ok()?.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let mut request = Received { method, path, headers, body: Vec::new() };
    if let Some(length) = request.header("content-length").and_then(|length| length.parse().ok()) {
        input.take(length).read_to_end(&mut request.body).ok()?;
    } else if request.header("transfer-encoding") == Some("chunked") {
        while let Some(length) = chunk_length(&mut input)? {
            (&mut input).take(length).read_to_end(&mut request.body).ok()?;
            chunk_end(&mut input)?;
        }
    }
    Some(request)
}

/// `None` within: it was the last one.
fn chunk_length(input: &mut impl BufRead) -> Option<Option<u64>> {
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    let length = u64::from_str_radix(line.trim_end(), 16).ok()?;
    if length == 0 {
        chunk_end(input)?;
    }
    Some((length > 0).then_some(length))
}

fn chunk_end(input: &mut impl BufRead) -> Option<()> {
    let mut line = String::new();
    (input.read_line(&mut line).ok()? == 2).then_some(())
}

fn write(mut stream: &TcpStream, answer: &Answer, head_only: bool) -> std::io::Result<()> {
    if answer.status == 0 {
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    if answer.endless {
        head += "Transfer-Encoding: chunked\r\n";
    } else if !answer.headers.iter().any(|(name, _)| name == "Content-Length") {
        head += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if head_only {
        return Ok(());
    }
    if answer.endless {
        // Until the client has had enough.
        loop {
            stream.write_all(format!("{:x}\r\n", answer.body.len()).as_bytes())?;
            stream.write_all(&answer.body)?;
            stream.write_all(b"\r\n")?;
        }
    }
    stream.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len())])
}
