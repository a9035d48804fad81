//! Why something could not be fetched.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use crate::url::ParseUrlError;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{url}` is not a URL that can be fetched: {source}")]
    BadUrl { url: String, source: ParseUrlError },
    #[error("cannot reach {host}")]
    Unreachable {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "the certificate of {host} is not to be trusted: if an authority of your own signs certificates here, name its \
         file in SSL_CERT_FILE"
    )]
    Untrusted {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host} does not speak https there")]
    NotSecure {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the connection to {host} broke off")]
    Broken {
        host: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host} sent nothing for {} seconds", .after.as_secs())]
    Stalled { host: String, after: Duration },
    #[error("{url} answered {status}{}", meaning(*.status))]
    Status { url: String, status: u16 },
    #[error("{host} asks to wait {} seconds before the next request: try again later", .wait.as_secs())]
    Busy { host: String, wait: Duration },
    #[error("{url} was redirected more than {most} times")]
    TooManyRedirects { url: String, most: usize },
    #[error("{url} redirects to {location}, which is refused: {reason}")]
    RefusedRedirect { url: String, location: String, reason: &'static str },
    #[error("{url} is larger than {limit} bytes, the most that is downloaded")]
    TooLarge { url: String, limit: u64 },
    #[error(
        "{url} has the checksum {found}, but {expected} is wanted: what is there has changed, or the checksum is wrong"
    )]
    Checksum { url: String, expected: String, found: String },
    #[error("the proxy `{proxy}` is not one that can be used: write http://host:port")]
    BadProxy { proxy: String },
    #[error("cannot read certificates from {}", .path.display())]
    Certificates { path: PathBuf, source: std::io::Error },
    #[error(
        "no root certificates were found, so nothing can be fetched over https: install your system's \
         ca-certificates, or name a file of them in SSL_CERT_FILE"
    )]
    NoCertificates,
    #[error("cannot keep what was downloaded{}", remedy(.0))]
    Keep(#[source] std::io::Error),
    #[error("cannot read what is to be sent")]
    Body(#[source] std::io::Error),
    #[error("cancelled")]
    Cancelled,
    #[error(transparent)]
    Git(#[from] crate::git::Error),
}

fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ": free some space on the store's disk, or use another folder with --root"
        }
        _ => "",
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        401 => " (it wants credentials)",
        403 => " (forbidden)",
        404 => " (there is no such file)",
        407 => " (the proxy wants credentials)",
        410 => " (it is gone)",
        429 => " (too many requests)",
        500..=599 => " (the server has a problem)",
        _ => "",
    }
}
