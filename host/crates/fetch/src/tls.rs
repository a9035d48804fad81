//! Whom to trust over https: the roots of this system, and files that the user names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::{Error, Result};

/// A bundle of all public roots has about 250 kB.
const LONGEST_BUNDLE: u64 = 16 << 20;

/// Reading and parsing the system's roots takes some milliseconds: to be done once.
pub(crate) fn config(extra: &[PathBuf]) -> Result<TlsConfig> {
    // What is wrong with single certificates of the system is not ours to tell; that none is left is.
    let system = rustls_native_certs::load_native_certs().certs;
    let mut roots: Vec<Certificate<'static>> =
        system.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    for path in extra {
        roots.extend(read(path)?);
    }
    if roots.is_empty() {
        return Err(Error::NoCertificates);
    }
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build())
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let failed = |source| Error::Certificates { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, LONGEST_BUNDLE), &mut bytes).map_err(failed)?;
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error))),
        }
    }
    if found.is_empty() {
        let message = "there is no certificate in PEM form in it";
        return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, message)));
    }
    Ok(found)
}
