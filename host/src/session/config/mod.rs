//! What the user configured for all commands: in kiln's own file, in Docker's where it says how registries are reached,
//! and in options that stand above both.

mod docker;
mod file;

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use kiln_fetch::Url;
use kiln_registry::Hosts;

use super::{root, variable};
use crate::report::failure::Failure;
use crate::report::problem::{Place, Problem};
use crate::report::size;

/// The registry that mirrors are for unless something else is said, as in Docker.
pub(crate) const DOCKER_HUB: &str = "docker.io";
/// No configuration that people write comes near.
const LONGEST: u64 = 1 << 20;
const MAX_SIZE: &str = "KILN_STORE_MAX_SIZE";

#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) store: StoreConfig,
    pub(crate) registries: Hosts,
    /// What is to be told to whoever uses registries.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreConfig {
    /// What the store may hold, in bytes.
    pub(crate) max_size: Option<u64>,
}

/// Where the configuration stands. It is found before the process enters a user namespace, where everyone is root, and
/// read when it is needed.
#[derive(Debug)]
pub(super) struct Places {
    own: Option<PathBuf>,
    /// The user names the file: it has to be there.
    named: bool,
    docker: docker::Places,
    /// `--registry-mirror`
    mirrors: Vec<String>,
}

impl Places {
    pub(super) fn find(file: Option<PathBuf>, mirrors: Vec<String>) -> Self {
        let named = file.is_some();
        Self { own: file.or_else(root::config_file), named, docker: docker::Places::find(), mirrors }
    }

    pub(super) fn read(&self) -> Result<Config, Failure> {
        let mut config = Config::default();
        add_mirrors(&mut config.registries, &self.mirrors);
        if let Some(path) = &self.own
            && let Some(text) = read_file(path, self.named)?
        {
            let directory = path.parent().unwrap_or(Path::new(""));
            file::read(&text, directory, &mut config).map_err(|wrong| {
                let place = Place::new(&path.display().to_string(), text.as_bytes(), wrong.span);
                let failure = Failure::new(wrong.message).at(place);
                wrong.hint.into_iter().fold(failure, Failure::hint)
            })?;
        }
        self.docker.read(&mut config)?;
        if let Some(text) = variable(MAX_SIZE) {
            let wrong = || Failure::new(format!("{MAX_SIZE}: `{text}` is no size")).hint("write for example 50GB");
            config.store.max_size = Some(size::parse(&text).ok_or_else(wrong)?);
        }
        Ok(config)
    }
}

impl Config {
    pub(crate) fn show_warnings(&self) {
        for warning in &self.warnings {
            Problem::warning(warning.as_str()).show();
        }
    }
}

/// A mirror's URL as it is kept: without a slash at the end.
pub(crate) fn mirror(text: &str) -> Result<String, String> {
    let url: Url = text.parse().map_err(|error| format!("`{text}` is no mirror: {error}"))?;
    if !url.credential_hash().is_empty() {
        return Err(format!("{url} has a password, which belongs into `kiln login {}`", url.host()));
    }
    if text.contains(['?', '#']) {
        return Err(format!("{text} is no mirror: it ends in a query"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Mirrors of Docker Hub, after those that are there.
fn add_mirrors(registries: &mut Hosts, mirrors: &[String]) {
    if mirrors.is_empty() {
        return;
    }
    let known = &mut registries.by_name.entry(DOCKER_HUB.to_owned()).or_default().mirrors;
    for mirror in mirrors {
        if !known.contains(mirror) {
            known.push(mirror.clone());
        }
    }
}

/// `None` where there is no such file, unless there has to be one.
fn read_file(path: &Path, needed: bool) -> Result<Option<String>, Failure> {
    let failed = |error: io::Error| Failure::new(format!("cannot read {}", path.display())).because(error);
    if path.is_dir() {
        return Err(Failure::new(format!("{} is a directory, not a file of configuration", path.display()))
            .hint("Docker's credentials are looked for in DOCKER_CONFIG"));
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && !needed => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LONGEST {
        return Err(Failure::new(format!("{} is longer than 1 MiB, which is no configuration", path.display())));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_urls() {
        for (text, kept) in [
            ("https://hub-mirror.c.163.com/", "https://hub-mirror.c.163.com"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("https://host/path/", "https://host/path"),
        ] {
            assert_eq!(mirror(text).as_deref(), Ok(kept));
        }
        for text in ["host", "ftp://host", "https://u:p@host", "https://host/?a", "https://host/#b"] {
            assert!(mirror(text).is_err_and(|message| !message.contains(":p@")), "{text}");
        }
    }

    #[test]
    fn what_comes_first_stands_first_and_once() {
        let mut hosts = Hosts::default();
        for mirrors in [&["a", "b"][..], &["b", "c"]] {
            add_mirrors(&mut hosts, &mirrors.iter().map(|&mirror| mirror.to_owned()).collect::<Vec<_>>());
        }
        assert_eq!(hosts.of(DOCKER_HUB).mirrors, ["a", "b", "c"]);
    }
}
