//! Hands out the tokens of the distribution project's token authentication: JSON web tokens that say who may do what.
//!
//! Everybody may pull what lies below `public/`; [`USER`] with [`PASSWORD`] may do everything.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::certificates::openssl;
use crate::registry::{PASSWORD, Token, USER};

const SERVICE: &str = "the-registry";
const ISSUER: &str = "the-token-server";

pub(crate) struct TokenServer {
    place: tempfile::TempDir,
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    pub(crate) fn start() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens"];
        openssl(place.path(), &[&request[..], &["-keyout", "key.pem", "-out", "certificate.pem"]].concat());
        openssl(place.path(), &["x509", "-in", "certificate.pem", "-outform", "der", "-out", "certificate.der"]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (folder, log) = (place.path().to_owned(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no failure of the test.
                let _ = answer(&stream, &folder, &log);
            }
        });
        Self { place, port, asked }
    }

    pub(crate) fn token(&self) -> Token {
        Token {
            realm: format!("http://127.0.0.1:{}/token", self.port),
            service: SERVICE.to_owned(),
            issuer: ISSUER.to_owned(),
            certificate: self.place.path().join("certificate.pem"),
        }
    }

    /// The scopes for which tokens were handed out.
    pub(crate) fn scopes(&self) -> Vec<String> {
        self.asked.lock().expect("no thread panicked").clone()
    }
}

fn answer(mut stream: &TcpStream, folder: &Path, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut authorization, mut length) = (None, 0);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let Some((name, value)) = header.trim().split_once(": ") else { continue };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = value.strip_prefix("Basic ").map(str::to_owned),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut form = String::new();
    reader.take(length).read_to_string(&mut form)?;
    let query = if line.starts_with("POST") { form } else { target.split_once('?').unwrap_or_default().1.to_owned() };
    let fields: Vec<(String, String)> = query.split('&').filter_map(|pair| pair.split_once('=')).map(decoded).collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let login = match authorization {
        Some(encoded) => STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
        None => field("username").map(|user| format!("{user}:{}", field("password").unwrap_or_default())),
    };
    let known = login == Some(format!("{USER}:{PASSWORD}"));
    let (status, body) = if login.is_some() && !known {
        ("401 Unauthorized", json!({ "details": "incorrect username or password" }))
    } else {
        // One parameter may hold several scopes, and there may be several parameters.
        let scopes = fields.iter().filter(|(name, _)| name == "scope").flat_map(|(_, scopes)| scopes.split(' '));
        let scopes: Vec<String> = scopes.map(str::to_owned).collect();
        let token = token(folder, scopes.iter().filter_map(|scope| granted(scope, known)).collect());
        log.lock().expect("no thread panicked").extend(scopes);
        ("200 OK", json!({ "token": token, "access_token": token, "expires_in": 300 }))
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

/// `repository:public/app:pull,push`
fn granted(scope: &str, known: bool) -> Option<Value> {
    let mut parts = scope.splitn(3, ':');
    let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
    let allowed = |action: &&str| known || (*action == "pull" && name.starts_with("public/"));
    let actions: Vec<&str> = actions.split(',').filter(allowed).collect();
    Some(json!({ "type": kind, "name": name, "actions": actions }))
}

fn token(folder: &Path, access: Vec<Value>) -> String {
    let certificate = std::fs::read(folder.join("certificate.der")).expect("ours");
    let head = json!({ "typ": "JWT", "alg": "RS256", "x5c": [STANDARD.encode(certificate)] });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = json!({
        "iss": ISSUER, "sub": "", "aud": SERVICE, "access": access,
        "nbf": now - 60, "iat": now, "exp": now + 300, "jti": now.to_string(),
    });
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signer = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", "key.pem"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl runs");
    signer.stdin.take().expect("it was asked for").write_all(signed.as_bytes()).expect("openssl reads");
    let signature = signer.wait_with_output().expect("openssl ends").stdout;
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn decoded((name, value): (&str, &str)) -> (String, String) {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        let escaped = || u8::from_str_radix(std::str::from_utf8(more.get(..2)?).ok()?, 16).ok();
        let byte;
        (byte, rest) = match (first, (first == b'%').then(escaped).flatten()) {
            (_, Some(byte)) => (byte, &more[2..]),
            (b'+', None) => (b' ', more),
            (byte, None) => (byte, more),
        };
        bytes.push(byte);
    }
    (name.to_owned(), String::from_utf8_lossy(&bytes).into_owned())
}
