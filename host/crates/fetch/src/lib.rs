//! Getting things from elsewhere: files over HTTP(S), trees out of git repositories.
//!
//! Whatever answers may be hostile or slow: sizes, headers, redirects and the time without progress are bounded, and
//! credentials go to the host they are meant for and to no other. Proxies and certificates are values handed in; where
//! things are kept is the caller's business.

mod absolute;
mod checksum;
mod client;
mod download;
mod error;
pub mod git;
mod proxy;
mod retry;
mod tls;
mod url;

pub use checksum::Checksum;
pub use client::{Body, Client, Method, Request, Response, Settings, Source, basic};
pub use download::{Download, Downloaded, Outcome, Validators};
pub use error::{Error, Result};
pub use proxy::Proxies;
pub use retry::LONGEST_WAIT;
pub use tls::Trust;
pub use url::{ParseUrlError, Url, encode_form};
