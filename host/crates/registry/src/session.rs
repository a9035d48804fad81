//! Requests to one repository at one endpoint: scheme, login and errors are seen to here.

use kiln_fetch::{Body, Client, Method, Request, Response, Url};

use crate::answer;
use crate::auth::{Asked, Logins, Scopes};
use crate::challenge::Challenge;
use crate::endpoint::{Endpoint, Scheme};
use crate::{Error, Result};

pub(crate) struct Session<'a> {
    pub(crate) client: &'a Client,
    pub(crate) logins: &'a Logins,
    pub(crate) endpoint: &'a Endpoint,
    /// As the endpoint has it.
    pub(crate) repository: &'a str,
    pub(crate) scopes: Scopes,
}

/// A request to an endpoint.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) target: Target<'a>,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Body<'a>,
    /// In place of the client's own number.
    pub(crate) attempts: Option<u32>,
    /// What is wanted, for messages.
    pub(crate) what: &'a str,
}

#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// Below the repository: `/manifests/latest`.
    Repository(&'a str),
    /// Below the endpoint's base: `/`.
    Base(&'a str),
    /// Where the registry told to go on.
    Url(&'a Url),
}

impl<'a> Call<'a> {
    pub(crate) fn get(target: Target<'a>, what: &'a str) -> Self {
        Self { method: Method::Get, target, headers: &[], body: Body::None, attempts: None, what }
    }
}

impl Session<'_> {
    /// Scopes for what is done with a repository: `pull`, `pull,push`.
    pub(crate) fn scopes(endpoint: &Endpoint, repository: &str, actions: &str) -> Scopes {
        Scopes::from([format!("repository:{}:{actions}", endpoint.scope_name(repository))])
    }

    /// The answer, whatever its status, but logged in where that is wanted.
    pub(crate) fn send(&self, call: &Call<'_>) -> Result<Response> {
        let known = self.logins.known(self.endpoint, &self.scopes);
        let response = self.send_as(call, known.as_deref())?;
        if response.status != 401 {
            return Ok(response);
        }
        let header = response.header_list("www-authenticate");
        // Whoever else wants a login, after a redirect or at a URL that a document names, must not learn of this one.
        let challenge = Challenge::parse(&header).filter(|_| self.is_at_home(&response.url));
        let Some(challenge) = challenge else { return Err(self.refusal(call.what, response)) };
        let secure = response.url.is_secure();
        let asked = Asked { endpoint: self.endpoint, secure, scopes: &self.scopes, challenge: &challenge };
        let login = self.logins.answer(self.client, &asked, known.as_deref())?;
        let response = self.send_as(call, Some(&login))?;
        match (response.status, challenge) {
            (401, Challenge::Basic) => Err(Error::WrongCredentials { registry: self.endpoint.registry.clone() }),
            (401, Challenge::Bearer { .. }) => Err(self.refusal(call.what, response)),
            _ => Ok(response),
        }
    }

    /// The answer if it has that status.
    pub(crate) fn expect(&self, call: &Call<'_>, status: &[u16]) -> Result<Response> {
        let response = self.send(call)?;
        if status.contains(&response.status) { Ok(response) } else { Err(self.refusal(call.what, response)) }
    }

    /// What an answer with another status than the wanted one means.
    pub(crate) fn refusal(&self, what: &str, response: Response) -> Error {
        let registry = || self.endpoint.name.clone();
        // A helper may bother its user, so it is asked only where that matters.
        if matches!(response.status, 401 | 403) {
            match self.logins.has_credential(self.endpoint) {
                Ok(false) if !self.endpoint.is_mirror => {
                    return Error::NoCredentials { registry: registry(), what: what.to_owned() };
                }
                Err(error) => return error,
                Ok(_) => {}
            }
        }
        answer::refusal(&registry(), what, response)
    }

    pub(crate) fn bad_answer(&self, what: &str, reason: impl Into<String>) -> Error {
        Error::BadAnswer { registry: self.endpoint.name.clone(), what: what.to_owned(), reason: reason.into() }
    }

    /// Where a `Location` leads: an upload goes on there.
    pub(crate) fn location(&self, what: &str, response: &Response) -> Result<Url> {
        let location = response.header("location").ok_or_else(|| self.bad_answer(what, "it does not say where"))?;
        let url = response.url.join(location).map_err(|error| self.bad_answer(what, error.0))?;
        if response.url.is_secure() && !url.is_secure() {
            return Err(self.bad_answer(what, "it leads from https to http"));
        }
        Ok(url)
    }

    fn is_at_home(&self, url: &Url) -> bool {
        let mut schemes = self.endpoint.schemes().into_iter();
        schemes.any(|scheme| self.endpoint.url(scheme, "/").is_ok_and(|home| home.same_origin(url)))
    }

    fn send_as(&self, call: &Call<'_>, authorization: Option<&str>) -> Result<Response> {
        let schemes = self.endpoint.schemes();
        let [scheme] = schemes[..] else { return self.find_scheme(call, authorization, &schemes) };
        self.send_by(call, authorization, scheme, call.attempts)
    }

    /// Asks by one scheme after the other; the first that makes sense is kept.
    fn find_scheme(&self, call: &Call<'_>, authorization: Option<&str>, schemes: &[Scheme]) -> Result<Response> {
        let mut of_http = None;
        for &scheme in schemes {
            let result = self.send_by(call, authorization, scheme, Some(1));
            match &result {
                // What a server of https says to those who speak http.
                Ok(response) if response.status == 400 && scheme == Scheme::Http => {}
                Ok(response) => {
                    self.endpoint.settle(scheme);
                    let once_more = response.is_temporary() && call.method.is_idempotent();
                    return if once_more { self.send_by(call, authorization, scheme, call.attempts) } else { result };
                }
                Err(Error::Fetch(kiln_fetch::Error::Cancelled)) => return result,
                Err(_) => {}
            }
            if scheme == Scheme::Http {
                of_http = Some(result);
            }
        }
        // Nobody may be there yet: then it pays to ask again.
        match of_http {
            Some(Ok(response)) => Ok(response),
            _ => self.send_by(call, authorization, Scheme::Http, call.attempts),
        }
    }

    fn send_by(
        &self,
        call: &Call<'_>,
        authorization: Option<&str>,
        scheme: Scheme,
        attempts: Option<u32>,
    ) -> Result<Response> {
        let own = |path: &str| self.endpoint.url(scheme, path);
        let url = match call.target {
            Target::Repository(path) => own(&format!("/{}{path}", self.repository))?,
            Target::Base(path) => own(path)?,
            Target::Url(url) => url.clone(),
        };
        let at_home = self.is_at_home(&url);
        let request = Request {
            method: call.method,
            url: &url,
            headers: call.headers,
            authorization: authorization.filter(|_| at_home),
            body: call.body,
            trust: at_home.then_some(&self.endpoint.trust),
            attempts: if self.endpoint.is_mirror { Some(1) } else { attempts },
        };
        self.client.send(&request).map_err(|error| match error {
            kiln_fetch::Error::Untrusted { host, source } if host == url.host() && at_home => {
                Error::Untrusted { registry: self.endpoint.registry.clone(), source }
            }
            kiln_fetch::Error::NotSecure { host, source } if host == url.host() && at_home => {
                Error::NotSecure { registry: self.endpoint.registry.clone(), source }
            }
            error => error.into(),
        })
    }
}
