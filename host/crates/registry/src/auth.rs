//! Logins: what to put into `Authorization`, obtained when a server asks for it and kept as long as it is good.
//!
//! Tokens are those of Docker's token authentication: a realm hands them out for scopes. The realm learns the
//! credential of the registry that names it, so it must be as secure as that registry is.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kiln_fetch::{Body, Client, Method, Request, Url, basic, encode_form};
use serde::Deserialize;

use crate::answer::{self, body};
use crate::challenge::Challenge;
use crate::endpoint::Endpoint;
use crate::error::excerpt;
use crate::{Credential, Credentials, Error, Result};

/// Tokens of some thousand bytes are usual.
const LONGEST_ANSWER: u64 = 256 << 10;
/// What a token is good for where the answer does not tell, and at least (distribution's token specification).
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(3600);
/// Nobody has to answer for requests that are on their way when a token ends.
const BEFORE_ITS_END: Duration = Duration::from_secs(10);
const CLIENT_ID: &str = "kiln";

/// What is wanted: `repository:library/busybox:pull`.
pub(crate) type Scopes = BTreeSet<String>;

pub(crate) struct Logins {
    credentials: Arc<dyn Credentials>,
    /// By endpoint and scopes.
    known: Mutex<HashMap<(String, Scopes), Login>>,
}

#[derive(Clone)]
struct Login {
    header: String,
    until: Option<Instant>,
}

impl Logins {
    pub(crate) fn new(credentials: Arc<dyn Credentials>) -> Self {
        Self { credentials, known: Mutex::default() }
    }

    /// The header that served before, if it still does.
    pub(crate) fn known(&self, endpoint: &Endpoint, scopes: &Scopes) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let login = known.get(&(endpoint.name.clone(), scopes.clone()))?;
        login.until.is_none_or(|until| until > Instant::now()).then(|| login.header.clone())
    }

    /// A header that answers the challenge; `refused` is the one that did not.
    pub(crate) fn answer(&self, client: &Client, asked: &Asked<'_>, refused: Option<&str>) -> Result<String> {
        // While one asks for a token, others that need it wait for it.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (asked.endpoint.name.clone(), asked.scopes.clone());
        if let Some(login) = known.get(&key).filter(|login| Some(login.header.as_str()) != refused) {
            return Ok(login.header.clone());
        }
        let credential = self.credentials.of(&asked.endpoint.registry)?;
        let login = asked.log_in(client, credential.as_ref())?;
        let header = login.header.clone();
        known.insert(key, login);
        Ok(header)
    }

    pub(crate) fn has_credential(&self, endpoint: &Endpoint) -> Result<bool> {
        Ok(self.credentials.of(&endpoint.registry)?.is_some())
    }
}

/// What a server wants to know.
pub(crate) struct Asked<'a> {
    pub(crate) endpoint: &'a Endpoint,
    /// Whether it asks over https.
    pub(crate) secure: bool,
    pub(crate) scopes: &'a Scopes,
    pub(crate) challenge: &'a Challenge,
}

impl Asked<'_> {
    fn log_in(&self, client: &Client, credential: Option<&Credential>) -> Result<Login> {
        match self.challenge {
            Challenge::Basic => match credential {
                Some(credential) => Ok(Login { header: basic(&credential.user, &credential.secret), until: None }),
                None => {
                    let registry = self.endpoint.registry.clone();
                    Err(Error::NoCredentials { registry, what: what(self.scopes) })
                }
            },
            Challenge::Bearer { realm, service, scope } => {
                let mut scopes = self.scopes.clone();
                scopes.extend(scope.iter().flat_map(|scope| scope.split(' ')).map(str::to_owned));
                let (url, service) = (self.realm_url(realm)?, service.as_deref());
                Realm { url, service, endpoint: self.endpoint }.token(client, &scopes, credential)
            }
        }
    }

    fn realm_url(&self, realm: &str) -> Result<Url> {
        let bad = |reason| Error::BadRealm { registry: self.endpoint.registry.clone(), realm: excerpt(realm), reason };
        let url: Url = realm.parse().map_err(|error: kiln_fetch::ParseUrlError| bad(error.0))?;
        if self.secure && !url.is_secure() {
            return Err(bad("credentials do not go from https to http"));
        }
        Ok(url)
    }
}

fn what(scopes: &Scopes) -> String {
    let repository = scopes.iter().find_map(|scope| scope.strip_prefix("repository:")?.rsplit_once(':'));
    repository.map_or_else(|| "this registry".to_owned(), |(name, _)| name.to_owned())
}

/// Who hands out tokens for an endpoint.
struct Realm<'a> {
    url: Url,
    service: Option<&'a str>,
    endpoint: &'a Endpoint,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Realm<'_> {
    fn token(&self, client: &Client, scopes: &Scopes, credential: Option<&Credential>) -> Result<Login> {
        let response = match credential {
            Some(credential) if credential.is_identity_token => self.exchange(client, scopes, credential)?,
            credential => self.ask(client, scopes, credential)?,
        };
        let registry = || self.endpoint.registry.clone();
        match response.status {
            200 => {}
            401 | 403 if credential.is_some() => return Err(Error::WrongCredentials { registry: registry() }),
            401 | 403 => return Err(Error::NoCredentials { registry: registry(), what: what(scopes) }),
            _ => return Err(answer::refusal(&registry(), "a token", response)),
        }
        let bad = |reason: &str| Error::BadAnswer {
            registry: self.url.host().to_owned(),
            what: "a token".to_owned(),
            reason: reason.to_owned(),
        };
        let bytes = body(client, response, "the answer with a token", LONGEST_ANSWER)?;
        let answer: Answer = serde_json::from_slice(&bytes).map_err(|_| bad("it is not JSON with a token"))?;
        let token = answer.token.or(answer.access_token).unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("there is no token in it"));
        }
        let life = Duration::from_secs(answer.expires_in.unwrap_or(0)).clamp(SHORTEST_LIFE, LONGEST_LIFE);
        Ok(Login { header: format!("Bearer {token}"), until: Some(Instant::now() + life - BEFORE_ITS_END) })
    }

    fn ask(&self, client: &Client, scopes: &Scopes, credential: Option<&Credential>) -> Result<kiln_fetch::Response> {
        let mut parameters: Vec<(&str, &str)> = self.service.iter().map(|service| ("service", *service)).collect();
        parameters.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        parameters.push(("client_id", CLIENT_ID));
        if let Some(credential) = credential {
            parameters.push(("account", &credential.user));
        }
        let url = self.url.with_parameters(parameters);
        let authorization = credential.map(|credential| basic(&credential.user, &credential.secret));
        let request = Request {
            authorization: authorization.as_deref(),
            trust: Some(&self.endpoint.trust),
            ..Request::get(&url)
        };
        Ok(client.send(&request)?)
    }

    /// OAuth 2: an identity token for one that opens something.
    fn exchange(&self, client: &Client, scopes: &Scopes, credential: &Credential) -> Result<kiln_fetch::Response> {
        let scope = scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let form: Vec<String> = [
            ("grant_type", "refresh_token"),
            ("service", self.service.unwrap_or_default()),
            ("client_id", CLIENT_ID),
            ("scope", &scope),
            ("refresh_token", &credential.secret),
        ]
        .into_iter()
        .map(|(name, value)| format!("{name}={}", encode_form(value)))
        .collect();
        let form = form.join("&");
        let request = Request {
            method: Method::Post,
            headers: &[("content-type", "application/x-www-form-urlencoded")],
            body: Body::Bytes(form.as_bytes()),
            trust: Some(&self.endpoint.trust),
            ..Request::get(&self.url)
        };
        Ok(client.send(&request)?)
    }
}
