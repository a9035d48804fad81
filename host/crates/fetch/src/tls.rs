//! Whom to trust over https: the roots of this system, and files that the user names; for single servers more or less.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::{Error, Result};

/// A bundle of all public roots has about 250 kB.
const LONGEST_BUNDLE: u64 = 16 << 20;

/// What is different about a server that one knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trust {
    /// Files of further certificates to trust, in PEM form.
    pub certificates: Vec<PathBuf>,
    /// Files of the certificate that is shown to it, and of its key, in PEM form.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// It may show any certificate at all.
    pub unchecked: bool,
}

/// Reading and parsing the system's roots takes some milliseconds: to be done once.
pub(crate) fn config(extra: &[PathBuf], trust: &Trust) -> Result<TlsConfig> {
    let mut config = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    config = if trust.unchecked {
        config.disable_verification(true)
    } else {
        let roots = roots(extra.iter().chain(&trust.certificates))?;
        config.root_certs(RootCerts::Specific(Arc::new(roots)))
    };
    if let Some((certificate, key)) = &trust.client_certificate {
        config = config.client_cert(Some(ClientCert::new_with_certs(&certificates(certificate)?, private_key(key)?)));
    }
    Ok(config.build())
}

fn roots<'a>(extra: impl Iterator<Item = &'a PathBuf>) -> Result<Vec<Certificate<'static>>> {
    // What is wrong with single certificates of the system is not ours to tell; that none is left is.
    let system = rustls_native_certs::load_native_certs().certs;
    let mut roots: Vec<Certificate<'static>> =
        system.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    for path in extra {
        roots.extend(certificates(path)?);
    }
    if roots.is_empty() { Err(Error::NoCertificates) } else { Ok(roots) }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let found: Vec<_> = read(path)?
        .into_iter()
        .filter_map(|item| if let PemItem::Certificate(certificate) = item { Some(certificate) } else { None })
        .collect();
    if found.is_empty() { Err(missing(path, "there is no certificate in PEM form in it")) } else { Ok(found) }
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>> {
    let mut keys =
        read(path)?.into_iter().filter_map(|item| if let PemItem::PrivateKey(key) = item { Some(key) } else { None });
    keys.next().ok_or_else(|| missing(path, "there is no private key in PEM form in it"))
}

fn missing(path: &Path, what: &'static str) -> Error {
    Error::Certificates { path: path.to_owned(), source: io::Error::new(io::ErrorKind::InvalidData, what) }
}

fn read(path: &Path) -> Result<Vec<PemItem<'static>>> {
    let failed = |source| Error::Certificates { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST_BUNDLE).read_to_end(&mut bytes).map_err(failed)?;
    parse_pem(&bytes)
        .map(|item| item.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error))))
        .collect()
}
