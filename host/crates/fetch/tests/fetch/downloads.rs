//! Files: whole, interrupted, unchanged, too large.

use std::fs::File;
use std::io::{Read as _, Seek as _};

use kiln_fetch::{Client, Download, Downloaded, Error, Outcome, Settings, Validators};
use kiln_types::Digest;

use crate::server::{Server, answer, client, settings, write};

const LIMIT: u64 = 1 << 20;

/// The bytes and what is known of them; `None`: unchanged.
fn download(
    client: &Client,
    server: &Server,
    known: Option<&Validators>,
) -> Result<Option<(Vec<u8>, Downloaded)>, Error> {
    let mut out: File = tempfile::tempfile().expect("a temporary file");
    let url = server.url("/file");
    let outcome = client.download(&Download { url: &url, authorization: None, known, limit: LIMIT }, &mut out)?;
    let Outcome::Downloaded(downloaded) = outcome else { return Ok(None) };
    let mut bytes = Vec::new();
    out.rewind().and_then(|()| out.read_to_end(&mut bytes)).expect("ours");
    assert_eq!((downloaded.size, downloaded.digest), (bytes.len() as u64, Digest::of(&bytes)));
    Ok(Some((bytes, downloaded)))
}

fn content() -> Vec<u8> {
    (0..200_000u32).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn unchanged_files_are_not_sent() {
    let server = Server::start(|request, _, out| {
        if request.header("if-none-match") == Some("\"1\"") {
            answer(out, 304, &["ETag: \"1\""], b"");
        } else {
            answer(out, 200, &["ETag: \"1\"", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], b"abc");
        }
    });
    let (bytes, first) = download(&client(), &server, None).expect("an answer").expect("new");
    assert_eq!((bytes.as_slice(), first.validators.modified()), (&b"abc"[..], Some(784_111_777)));
    assert!(download(&client(), &server, Some(&first.validators)).expect("an answer").is_none());
    let since = server.received()[1].header("if-modified-since").map(str::to_owned);
    assert_eq!(since.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    let other = Validators { etag: Some("\"0\"".to_owned()), last_modified: None };
    assert!(download(&client(), &server, Some(&other)).expect("an answer").is_some());
}

/// Sends at most 300,000 bytes at a time and then breaks off.
fn interrupted(validator: &'static str, ranges: bool) -> Server {
    Server::start(move |request, _, out| {
        let content = content();
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let start: usize = range.filter(|_| ranges).map_or(0, |start| start.parse().expect("a number"));
        let rest = &content[start..];
        let head = match start {
            0 => "HTTP/1.1 200 OK".to_owned(),
            _ => format!("HTTP/1.1 206 Part\r\nContent-Range: bytes {start}-{}/{}", content.len() - 1, content.len()),
        };
        write(out, format!("{head}\r\n{validator}\r\nContent-Length: {}\r\n\r\n", rest.len()).as_bytes());
        write(out, &rest[..rest.len().min(300_000)]);
    })
}

#[test]
fn interrupted_downloads_are_continued() {
    for validator in ["ETag: \"x\"", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"] {
        let server = interrupted(validator, true);
        let (bytes, _) = download(&client(), &server, None).expect("an answer").expect("new");
        assert!(bytes == content());
        let ranges: Vec<_> = server.received().iter().map(|r| r.header("range").map(str::to_owned)).collect();
        assert_eq!(ranges, [None, Some("bytes=300000-".to_owned()), Some("bytes=600000-".to_owned())]);
        assert_eq!(server.received()[1].header("if-range"), validator.split_once(": ").map(|(_, value)| value));
    }
}

#[test]
fn what_cannot_be_continued_begins_again_and_fails_in_the_end() {
    for (validator, ranges) in [("ETag: W/\"x\"", true), ("X: y", true), ("ETag: \"x\"", false)] {
        let server = interrupted(validator, ranges);
        let error = download(&Client::new(Settings { attempts: 2, ..settings() }), &server, None);
        assert!(matches!(error, Err(Error::Broken { .. })), "{validator} {ranges}");
    }
}

/// Beginning again is no progress, however often it begins.
#[test]
fn what_never_gets_further_fails_in_the_end() {
    let server = Server::start(|request, _, out| match request.header("range") {
        None => {
            write(out, b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 10\r\n\r\nabc");
        }
        Some(_) => answer(out, 416, &[], b""),
    });
    assert!(matches!(download(&client(), &server, None), Err(Error::Broken { .. })));
    assert!(server.received().len() < 10);
}

#[test]
fn a_file_that_changes_meanwhile_is_taken_from_its_beginning() {
    let server = Server::start(|request, before, out| match before {
        0 => {
            write(out, b"HTTP/1.1 200 OK\r\nETag: \"old\"\r\nContent-Length: 10\r\n\r\nold");
        }
        _ => {
            assert_eq!(request.header("if-range"), Some("\"old\""));
            answer(out, 200, &["ETag: \"new\""], b"brand new");
        }
    });
    let (bytes, downloaded) = download(&client(), &server, None).expect("an answer").expect("new");
    assert_eq!(bytes, b"brand new");
    assert_eq!(downloaded.validators.etag.as_deref(), Some("\"new\""));
}

#[test]
fn parts_that_do_not_fit_are_not_taken() {
    let server = Server::start(|request, before, out| {
        if before == 0 {
            write(out, b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 10\r\n\r\nabc");
        } else if request.header("range").is_some() {
            answer(out, 206, &["Content-Range: bytes 0-9/10"], b"0123456789");
        } else {
            answer(out, 200, &["ETag: \"x\""], b"abcdefghij");
        }
    });
    let (bytes, _) = download(&client(), &server, None).expect("an answer").expect("new");
    assert_eq!(bytes, b"abcdefghij");
}

#[test]
fn too_much_is_refused_whether_announced_or_not() {
    let announced = Server::start(|_, _, out| {
        write(out, format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nx", LIMIT + 1).as_bytes());
    });
    let endless = Server::start(|_, _, out| {
        write(out, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while write(out, format!("1000\r\n{}\r\n", "x".repeat(0x1000)).as_bytes()) {}
    });
    for server in [announced, endless] {
        assert!(matches!(download(&client(), &server, None), Err(Error::TooLarge { limit: LIMIT, .. })));
    }
}

#[test]
fn other_answers_are_errors() {
    for (status, expected) in
        [(404, "answered 404 (there is no such file)"), (204, "answered 204"), (304, "answered 304")]
    {
        let server = Server::start(move |_, _, out| answer(out, status, &[], b""));
        let error = download(&client(), &server, None).expect_err("no file").to_string();
        assert!(error.ends_with(expected), "{error}");
    }
    let slow = Server::start(|_, _, out| {
        write(out, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        std::thread::sleep(std::time::Duration::from_secs(10));
    });
    let once = Client::new(Settings { attempts: 1, ..settings() });
    assert!(matches!(download(&once, &slow, None), Err(Error::Stalled { .. })));
}
