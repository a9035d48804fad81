//! The HTTP client: one request with its redirects and repetitions.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use ureq::{Agent, SendBody, Timeout, http};

use crate::absolute::{self, Detour};
use crate::proxy::Proxies;
use crate::tls::{self, Trust};
use crate::{Error, Result, Url, retry};

const MAX_REDIRECTS: usize = 10;
const MAX_HEADERS: usize = 64 << 10;
/// Connections to one host that are kept although nothing uses them at the moment.
const IDLE_CONNECTIONS: usize = 16;
/// How often the wish to cancel is looked for.
const TICK: Duration = Duration::from_millis(50);

/// What a client is made with.
#[derive(Clone)]
pub struct Settings {
    pub user_agent: String,
    pub proxies: Proxies,
    /// Files of certificates in PEM form to trust besides the system's.
    pub certificates: Vec<PathBuf>,
    /// Longest time to wait for a connection.
    pub connect: Duration,
    /// Longest time in which nothing is received or sent.
    pub stall: Duration,
    /// How often a request is made before its failure counts.
    pub attempts: u32,
    /// The wait after the first failure; doubled after each further one.
    pub pause: Duration,
    /// Asked again and again: whether to give up.
    pub cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            user_agent: concat!("kiln/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxies: Proxies::default(),
            certificates: Vec::new(),
            connect: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            attempts: 5,
            pause: Duration::from_millis(250),
            cancelled: Arc::new(|| false),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Whether doing it twice is as good as once (RFC 9110, section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Patch)
    }

    fn name(self) -> http::Method {
        match self {
            Self::Get => http::Method::GET,
            Self::Head => http::Method::HEAD,
            Self::Post => http::Method::POST,
            Self::Put => http::Method::PUT,
            Self::Patch => http::Method::PATCH,
            Self::Delete => http::Method::DELETE,
        }
    }
}

/// Something to send that does not fit into memory.
pub trait Source {
    /// From its beginning; once for each attempt.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

/// What to send.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    /// Without a length it goes in chunks: how long it is shows at its end.
    Stream {
        length: Option<u64>,
        source: &'a dyn Source,
    },
}

pub struct Request<'a> {
    pub method: Method,
    pub url: &'a Url,
    pub headers: &'a [(&'a str, &'a str)],
    /// The `Authorization` header. It is sent to the URL's own host only, whatever redirects there are; without it the
    /// URL's user and password are.
    pub authorization: Option<&'a str>,
    pub body: Body<'a>,
    /// How the URL's own host is trusted; others, to which redirects lead, are as all others are.
    pub trust: Option<&'a Trust>,
    /// In place of the settings' number.
    pub attempts: Option<u32>,
}

impl<'a> Request<'a> {
    pub fn get(url: &'a Url) -> Self {
        Self {
            method: Method::Get,
            url,
            headers: &[],
            authorization: None,
            body: Body::None,
            trust: None,
            attempts: None,
        }
    }
}

/// An answer, whatever its status.
pub struct Response {
    pub status: u16,
    /// Where the answer came from, after redirects.
    pub url: Url,
    headers: http::HeaderMap,
    body: ureq::BodyReader<'static>,
}

impl Response {
    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers of that name that are text, which together are one list (RFC 9110, section 5.3).
    pub fn header_list(&self, name: &str) -> String {
        let values: Vec<&str> = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        values.join(", ")
    }

    pub fn body(self) -> impl Read + Send {
        self.body
    }

    /// Whether the same request may be answered otherwise a little later.
    pub fn is_temporary(&self) -> bool {
        retry::is_temporary(self.status)
    }

    /// How long the server asks to wait before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        retry::retry_after(self.header("retry-after")?, SystemTime::now())
    }
}

/// Keeps connections and may be used by many threads at once.
pub struct Client {
    settings: Settings,
    /// Each made when first needed: reading root certificates takes its time.
    agents: Mutex<BTreeMap<Way, Agent>>,
}

/// How a server is spoken to.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Plain,
    Secure(Trust),
    /// By a proxy that gets whole URLs.
    Proxy {
        secure: bool,
    },
}

impl Client {
    pub fn new(settings: Settings) -> Self {
        Self { settings, agents: Mutex::default() }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends a request, following redirects, and again after failures that may be temporary if it is idempotent.
    pub fn send(&self, request: &Request<'_>) -> Result<Response> {
        let mut failures = 0;
        loop {
            let result = self.follow(request);
            failures += 1;
            let attempts = request.attempts.unwrap_or(self.settings.attempts);
            let again = request.method.is_idempotent() && failures < attempts;
            let wait = match &result {
                Ok(response) if response.is_temporary() => response.retry_after(),
                Err(Error::Unreachable { .. } | Error::Broken { .. } | Error::Stalled { .. }) => None,
                Ok(_) | Err(_) => return result,
            };
            if let (Some(wait), Ok(response)) = (wait.filter(|&wait| wait > retry::LONGEST_WAIT), &result) {
                return Err(Error::Busy { host: response.url.host().to_owned(), wait });
            }
            if !again {
                return result;
            }
            self.wait(wait.unwrap_or_else(|| self.pause(failures)))?;
        }
    }

    /// How long to wait after the `failures`-th failure in a row.
    pub fn pause(&self, failures: u32) -> Duration {
        retry::pause(self.settings.pause, failures)
    }

    fn follow(&self, request: &Request<'_>) -> Result<Response> {
        let mut url = request.url.clone();
        let (mut method, mut body) = (request.method, request.body);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.once(request, method, &url, body)?;
            let location = match response.status {
                301 | 302 | 303 | 307 | 308 => response.header("location").map(str::to_owned),
                _ => None,
            };
            let Some(location) = location else { return Ok(response) };
            let refused = |reason| Error::RefusedRedirect {
                url: url.to_string(),
                location: location.chars().take(200).collect(),
                reason,
            };
            let next = url.join(&location).map_err(|error| refused(error.0))?;
            if url.is_secure() && !next.is_secure() {
                return Err(refused("it leads from https to http"));
            }
            if matches!(response.status, 301..=303) && !matches!(method, Method::Get | Method::Head) {
                (method, body) = (Method::Get, Body::None);
            }
            // A form may hold a secret: that of a login does.
            let is_form = method == Method::Post && matches!(body, Body::Bytes(bytes) if !bytes.is_empty());
            if is_form && !next.same_origin(request.url) {
                return Err(refused("it leads what is posted to another host"));
            }
            url = next;
        }
        Err(Error::TooManyRedirects { url: request.url.to_string(), most: MAX_REDIRECTS })
    }

    fn once(&self, request: &Request<'_>, method: Method, url: &Url, body: Body<'_>) -> Result<Response> {
        self.check_cancelled()?;
        let mut builder = http::Request::builder().method(method.name()).uri(url.to_string());
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        if let Some(authorization) = authorization(request, url) {
            builder = builder.header("authorization", authorization);
        }
        match body {
            Body::None => self.run(request, url, builder, SendBody::none()),
            Body::Bytes(mut bytes) => {
                let builder = builder.header("content-length", bytes.len());
                self.run(request, url, builder, SendBody::from_reader(&mut bytes))
            }
            Body::Stream { length, source } => {
                let builder = match length {
                    Some(length) => builder.header("content-length", length),
                    None => builder,
                };
                let mut reader = source.open().map_err(Error::Body)?;
                self.run(request, url, builder, SendBody::from_reader(&mut reader))
            }
        }
    }

    fn run(
        &self,
        request: &Request<'_>,
        url: &Url,
        builder: http::request::Builder,
        body: SendBody<'_>,
    ) -> Result<Response> {
        let bad = |error: http::Error| Error::Broken { host: host(url), source: error.into() };
        let mut http_request = builder.body(body).map_err(bad)?;
        let mut proxy = match self.settings.proxies.of(url) {
            Some(proxy) => {
                let made = ureq::Proxy::new(proxy).map_err(|_| Error::BadProxy { proxy: without_password(proxy) })?;
                Some(made)
            }
            None => None,
        };
        let mut reached = url.clone();
        let way = if let Some(detour) = proxy.as_ref().and_then(|proxy| Detour::new(proxy, url)) {
            proxy = None;
            reached = detour.proxy.clone();
            detour.take(&mut http_request).map_err(bad)?;
            Way::Proxy { secure: reached.is_secure() }
        } else if url.is_secure() {
            Way::Secure(request.trust.filter(|_| url.same_origin(request.url)).cloned().unwrap_or_default())
        } else {
            Way::Plain
        };
        let agent = self.agent(way)?;
        let configured = agent.configure_request(http_request).proxy(proxy).build();
        let (parts, body) = agent.run(configured).map_err(|error| self.failure(&reached, error))?.into_parts();
        Ok(Response {
            status: parts.status.as_u16(),
            url: url.clone(),
            headers: parts.headers,
            body: body.into_with_config().limit(u64::MAX).reader(),
        })
    }

    fn agent(&self, way: Way) -> Result<Agent> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&way) {
            return Ok(agent.clone());
        }
        let tls = match &way {
            Way::Plain | Way::Proxy { secure: false } => None,
            Way::Secure(trust) => Some(tls::config(&self.settings.certificates, trust)?),
            Way::Proxy { secure: true } => Some(tls::config(&self.settings.certificates, &Trust::default())?),
        };
        let agent = self.new_agent(tls, matches!(way, Way::Proxy { .. }));
        agents.insert(way, agent.clone());
        Ok(agent)
    }

    fn new_agent(&self, tls: Option<ureq::tls::TlsConfig>, whole_urls: bool) -> Agent {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(self.settings.user_agent.as_str())
            .accept_encoding("identity")
            .max_response_header_size(MAX_HEADERS)
            .max_idle_connections(2 * IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .timeout_resolve(Some(self.settings.connect))
            .timeout_connect(Some(self.settings.connect))
            .timeout_per_read(Some(self.settings.stall))
            .timeout_per_write(Some(self.settings.stall))
            .timeout_recv_response(Some(self.settings.stall));
        if let Some(tls) = tls {
            config = config.tls_config(tls);
        }
        let agent = if whole_urls { absolute::agent(config.build()) } else { config.build().new_agent() };
        watch(&agent, &self.settings.cancelled);
        agent
    }

    /// What went wrong while an answer's body was read.
    pub fn body_failure(&self, url: &Url, error: io::Error) -> Error {
        self.failure(url, error.into())
    }

    /// What went wrong, in our words.
    pub(crate) fn failure(&self, url: &Url, error: ureq::Error) -> Error {
        if (self.settings.cancelled)() {
            return Error::Cancelled;
        }
        let host = host(url);
        match error {
            error if is_of_certificate(&error) => Error::Untrusted { host, source: error.into() },
            error if is_of_another_protocol(&error) => Error::NotSecure { host, source: error.into() },
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                let text = format!("no connection within {} seconds", self.settings.connect.as_secs());
                Error::Unreachable { host: host_and_port(url), source: text.into() }
            }
            ureq::Error::Timeout(_) => Error::Stalled { host, after: self.settings.stall },
            error @ (ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::ConnectProxyFailed(_)
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_)) => Error::Unreachable { host: host_and_port(url), source: error.into() },
            ureq::Error::Io(error) if is_of_connecting(&error) => {
                Error::Unreachable { host: host_and_port(url), source: error.into() }
            }
            error => Error::Broken { host, source: error.into() },
        }
    }

    /// # Errors
    /// `Cancelled`, where that is wished.
    pub fn check_cancelled(&self) -> Result<()> {
        if (self.settings.cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Waits, but not longer than until everything is cancelled.
    pub fn wait(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check_cancelled()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(TICK));
        }
    }
}

/// Ends what the agent waits for as soon as everything is cancelled. The thread ends with the client.
fn watch(agent: &Agent, cancelled: &Arc<dyn Fn() -> bool + Send + Sync>) {
    let agent = agent.clone();
    let cancelled = Arc::downgrade(cancelled);
    let watching = move || {
        while let Some(cancelled) = cancelled.upgrade() {
            if cancelled() {
                return agent.shutdown();
            }
            drop(cancelled);
            std::thread::sleep(TICK);
        }
    };
    // Without it, waiting ends with the timeouts.
    let _ = std::thread::Builder::new().name("fetch-watch".to_owned()).spawn(watching);
}

/// Credentials for `url`, which may be another host than the request was for.
fn authorization(request: &Request<'_>, url: &Url) -> Option<String> {
    if let Some(credentials) = url.credentials() {
        return Some(basic(&credentials.user, &credentials.password));
    }
    if !url.same_origin(request.url) {
        return None;
    }
    request.authorization.map(str::to_owned)
}

/// The value of an `Authorization` header (RFC 7617).
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn host(url: &Url) -> String {
    url.host().to_owned()
}

/// Several servers may be on one host: with the port, unless it is the scheme's own.
fn host_and_port(url: &Url) -> String {
    let usual = if url.is_secure() { 443 } else { 80 };
    match (url.port(), url.host()) {
        (port, host) if port == usual => host.to_owned(),
        (port, host) if host.contains(':') => format!("[{host}]:{port}"),
        (port, host) => format!("{host}:{port}"),
    }
}

fn without_password(proxy: &str) -> String {
    match proxy.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => proxy.to_owned(),
    }
}

fn is_of_certificate(error: &ureq::Error) -> bool {
    matches!(of_tls(error), Some(rustls::Error::InvalidCertificate(_)))
}

/// A server of plain http answers in words that are no message of TLS.
fn is_of_another_protocol(error: &ureq::Error) -> bool {
    matches!(of_tls(error), Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)))
}

fn of_tls(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// All but what happens to connections that were made: names that are not known, refusals, certificates.
fn is_of_connecting(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    !matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof)
}
