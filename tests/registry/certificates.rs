//! A certificate authority that nobody else trusts, made by `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) struct Authority {
    place: tempfile::TempDir,
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

impl Authority {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let request = ["req", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=a test"];
        openssl(place.path(), &[&request[..], &NEW_KEY[..]].concat());
        Self { place }
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.place.path().join("ca.crt")
    }

    /// A certificate of a server with these names, as `DNS:example.org` or `IP:127.0.0.1`, and its key.
    pub(crate) fn issue(&self, names: &[&str]) -> (PathBuf, PathBuf) {
        let place = self.place.path();
        let names = format!("subjectAltName={}\n", names.join(","));
        fs::write(place.join("names"), names).expect("ours");
        let request = ["req", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server"];
        openssl(place, &[&request[..], &NEW_KEY[..]].concat());
        let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"];
        openssl(place, &[&sign[..], &["-days", "2", "-extfile", "names", "-out", "server.crt"]].concat());
        (place.join("server.crt"), place.join("server.key"))
    }
}

pub(crate) fn openssl(place: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(place).stdin(Stdio::null()).output();
    let output = output.expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
