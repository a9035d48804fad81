//! How this process reaches others: proxies, certificates and the environment of `git`.

use std::path::PathBuf;
use std::sync::Arc;

use kiln_build::{Remote, Secrets};
use kiln_exec::Cancel;
use kiln_fetch::{Proxies, Settings};
use kiln_store::Store;

use super::variable;

/// What git and the programs that it starts need of our environment: where they are, ssh's agent, proxies.
const FOR_GIT: [&str; 17] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "SYSTEMROOT",
    "USERPROFILE",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "XDG_RUNTIME_DIR",
];

pub(super) fn remote(store: &Store, cancel: &Cancel, secrets: Secrets) -> Arc<Remote> {
    let for_git = FOR_GIT.iter().filter_map(|&name| Some((name.to_owned(), variable(name)?))).collect();
    Arc::new(Remote::new(fetch_settings(cancel), for_git, store.downloads(), secrets))
}

/// What holds for everything that is fetched.
pub(super) fn fetch_settings(cancel: &Cancel) -> Settings {
    let cancel = cancel.clone();
    Settings {
        proxies: proxies(),
        // The system's roots follow SSL_CERT_FILE by themselves; these come on top.
        certificates: std::env::var_os("KILN_CA_FILE").map(PathBuf::from).into_iter().collect(),
        cancelled: Arc::new(move || cancel.is_cancelled()),
        ..Settings::default()
    }
}

/// As curl has them: `http_proxy` is not read in capitals, for that is what a CGI program is given by its client.
fn proxies() -> Proxies {
    let either = |lower: &str, upper: &str| variable(lower).or_else(|| variable(upper));
    Proxies {
        http: variable("http_proxy"),
        https: either("https_proxy", "HTTPS_PROXY"),
        all: either("all_proxy", "ALL_PROXY"),
        none_for: either("no_proxy", "NO_PROXY"),
    }
}
