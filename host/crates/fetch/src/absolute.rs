//! Requests of plain http to a proxy: it is told the whole URL (RFC 9112, section 3.2.2), as curl does. Many proxies
//! make tunnels to port 443 only.
//!
//! ureq knows tunnels and no more, and its URLs have paths that begin with a slash. So the request is one to the proxy,
//! with the URL behind the slash of its path, and this transport leaves out that slash.

use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};
use ureq::{Agent, Error, Proxy, ProxyProtocol, config::Config, http};

use crate::{Url, basic};

/// How a request reaches a proxy in place of its server.
pub(crate) struct Detour {
    pub(crate) proxy: Url,
    to: http::Uri,
    host: String,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

impl Detour {
    /// Nothing where a tunnel is needed.
    pub(crate) fn new(proxy: &Proxy, url: &Url) -> Option<Self> {
        let scheme = match proxy.protocol() {
            ProxyProtocol::Http => "http",
            ProxyProtocol::Https => "https",
            _ => return None,
        };
        if url.is_secure() {
            return None;
        }
        let base = format!("{scheme}://{}:{}/", proxy.host(), proxy.port());
        let named = proxy.username().is_some() || proxy.password().is_some();
        let authorization =
            named.then(|| basic(proxy.username().unwrap_or_default(), proxy.password().unwrap_or_default()));
        Some(Self {
            proxy: base.parse().ok()?,
            to: format!("{base}{url}").parse().ok()?,
            host: url.authority(),
            authorization,
        })
    }

    /// Turns a request to the server into one to the proxy.
    pub(crate) fn take<B>(self, request: &mut http::Request<B>) -> Result<(), http::Error> {
        request.headers_mut().insert("host", self.host.parse()?);
        if let Some(authorization) = self.authorization {
            request.headers_mut().insert("proxy-authorization", authorization.parse()?);
        }
        *request.uri_mut() = self.to;
        Ok(())
    }
}

/// An agent for such requests.
pub(crate) fn agent(config: Config) -> Agent {
    Agent::with_parts(config, DefaultConnector::default().chain(AbsoluteConnector), DefaultResolver::default())
}

#[derive(Debug)]
struct AbsoluteConnector;

impl<In: Transport> Connector<In> for AbsoluteConnector {
    type Out = Absolute<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Absolute { inner, begins: true }))
    }
}

#[derive(Debug)]
struct Absolute<In> {
    inner: In,
    /// Nothing of the next request was sent yet.
    begins: bool,
}

impl<In: Transport> Transport for Absolute<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, mut amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if std::mem::take(&mut self.begins) {
            let output = &mut self.inner.buffers().output()[..amount];
            if let Some(slash) = first_slash(output) {
                output.copy_within(slash + 1.., slash);
                amount -= 1;
            }
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        // A connection that is used again: an answer stands between two requests.
        self.begins = true;
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// Of the path in a request's first line.
fn first_slash(request: &[u8]) -> Option<usize> {
    let space = request.iter().position(|&byte| byte == b' ')?;
    request[space + 1..].starts_with(b"/http://").then_some(space + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_url_loses_its_slash() {
        for (request, expected) in [
            (&b"GET /http://a/ HTTP/1.1\r\n"[..], Some(4)),
            (b"DELETE /http://a/", Some(7)),
            (b"GET /a HTTP/1.1", None),
            (b"body", None),
            (b"", None),
        ] {
            assert_eq!(first_slash(request), expected);
        }
    }
}
