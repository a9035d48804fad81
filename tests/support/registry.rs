//! A real registry: Debian's `docker-registry`, on a free port of loopback, with a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "docker-registry";
/// It starts within a tenth of a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one user of a registry that wants a login.
pub(crate) const USER: &str = "kiln";
pub(crate) const PASSWORD: &str = "correct horse";

/// Stopped when dropped.
pub(crate) struct Registry {
    place: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

/// What besides a plain registry is wanted.
#[derive(Default)]
pub(crate) struct Options {
    /// HTTP basic authentication of [`USER`].
    pub(crate) login: bool,
    pub(crate) token: Option<Token>,
    /// Certificate and key of its server.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// It hands out what that registry has, and keeps it.
    pub(crate) mirror_of: Option<String>,
}

/// Who hands out the tokens that a registry believes in.
pub(crate) struct Token {
    pub(crate) realm: String,
    pub(crate) service: String,
    pub(crate) issuer: String,
    pub(crate) certificate: PathBuf,
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) status: u16,
    /// Bytes of the answer's body.
    pub(crate) written: u64,
}

/// What this machine lacks, if it cannot run a registry.
pub(crate) fn missing() -> Option<String> {
    let runs = |program: &str, argument: &str| {
        Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    if !runs(PROGRAM, "--version") {
        return Some(format!("there is no {PROGRAM}; Debian's package has the same name"));
    }
    if !runs("htpasswd", "-?") {
        return Some("there is no htpasswd; Debian's package is apache2-utils".to_owned());
    }
    (!runs("openssl", "version")).then(|| "there is no openssl; Debian's package has the same name".to_owned())
}

impl Registry {
    pub(crate) fn start(options: &Options) -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        fs::write(place.path().join("config.yml"), configuration(place.path(), options)).expect("ours");
        let mut registry = Self { place, port: 0, process: None };
        registry.start_again();
        registry
    }

    /// Where it listens, as it stands in image names.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it like a crash does.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it is ours");
            process.wait().expect("it is ours");
        }
    }

    /// After [`Registry::stop`]: on the same port, with what it had.
    pub(crate) fn start_again(&mut self) {
        let start = Instant::now();
        let before = self.log().len();
        loop {
            let log = fs::OpenOptions::new().create(true).append(true).open(self.log_file()).expect("ours");
            let mut process = Command::new(PROGRAM)
                .arg("serve")
                .arg(self.place.path().join("config.yml"))
                .env_clear()
                .env("REGISTRY_HTTP_ADDR", format!("127.0.0.1:{}", self.port))
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a descriptor"))
                .stderr(log)
                .spawn()
                .expect("the registry starts");
            // It says where it listens, or ends: its port may have been taken for a moment.
            while process.try_wait().expect("it is ours").is_none() {
                if let Some(port) = listening(&self.log()[before..]) {
                    (self.port, self.process) = (port, Some(process));
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
                assert!(start.elapsed() < PATIENCE, "the registry does not start:\n{}", self.log());
            }
            assert!(start.elapsed() < PATIENCE, "the registry does not start:\n{}", self.log());
        }
    }

    /// Where it keeps its blobs.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.place.path().join("data/docker/registry/v2/blobs/sha256")
    }

    /// The requests answered so far, without those that only ask whether it is there.
    pub(crate) fn requests(&self) -> Vec<Request> {
        // They are written down after the answer has gone.
        std::thread::sleep(Duration::from_millis(100));
        self.log().lines().filter_map(request).filter(|request| request.path != "/v2/").collect()
    }

    /// Waits for a request that may still be going on.
    pub(crate) fn answers(&self, wanted: impl Fn(&Request) -> bool) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.log().lines().filter_map(request).any(|request| wanted(&request)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        std::thread::sleep(Duration::from_millis(100));
        fs::OpenOptions::new().write(true).truncate(true).open(self.log_file()).expect("ours");
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.place.path().join("log")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configuration(place: &Path, options: &Options) -> String {
    let place = place.display();
    let mut text = format!(
        "version: 0.1\n\
         log: {{level: info, formatter: json, accesslog: {{disabled: false}}}}\n\
         storage: {{filesystem: {{rootdirectory: {place}/data}}, delete: {{enabled: true}}}}\n"
    );
    let tls = options
        .tls
        .as_ref()
        .map(|(certificate, key)| format!(", tls: {{certificate: {}, key: {}}}", certificate.display(), key.display()));
    // Uploads that were begun before a restart go on after it.
    text += &format!("http: {{secret: shared by all its lives{}}}\n", tls.unwrap_or_default());
    if options.login {
        let users = Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]).output().expect("htpasswd runs").stdout;
        fs::write(Path::new(&place.to_string()).join("users"), users).expect("ours");
        text += &format!("auth: {{htpasswd: {{realm: the test, path: {place}/users}}}}\n");
    }
    if let Some(Token { realm, service, issuer, certificate }) = &options.token {
        let certificate = certificate.display();
        text += &format!(
            "auth: {{token: {{realm: '{realm}', service: {service}, issuer: {issuer}, rootcertbundle: {certificate}}}}}\n"
        );
    }
    if let Some(url) = &options.mirror_of {
        text += &format!("proxy: {{remoteurl: '{url}'}}\n");
    }
    text
}

fn listening(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("listening on 127.0.0.1:")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// `127.0.0.1 - - [22/Nov/2026:09:06:05 +0000] "GET /v2/ HTTP/1.1" 200 2 "" "curl/7.88.1"`
fn request(line: &str) -> Option<Request> {
    let mut quoted = line.starts_with("127.0.0.1 - ").then(|| line.split('"'))?;
    let mut asked = quoted.nth(1)?.split(' ');
    let mut answered = quoted.next()?.split_ascii_whitespace();
    Some(Request {
        method: asked.next()?.to_owned(),
        path: asked.next()?.to_owned(),
        status: answered.next()?.parse().ok()?,
        written: answered.next()?.parse().ok()?,
    })
}
