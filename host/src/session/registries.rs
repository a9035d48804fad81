//! Registries as this user reaches them: configuration, credentials, proxies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_exec::Cancel;
use kiln_registry::{Credential, CredentialFiles, Credentials, GivenCredential, Registries, Settings};

use super::{Session, remote};
use crate::cli::pull::Access;
use crate::report::failure::Failure;

/// Blobs that come or go at once: more would take the line from each other.
const PARALLEL: usize = 4;

impl Session {
    /// For commands that use registries by options of their own; `registry` is what `--creds` is for.
    pub(crate) fn registries(&self, cancel: &Cancel, access: &Access, registry: &str) -> anyhow::Result<Registries> {
        let config = self.config()?;
        config.show_warnings();
        let files = credential_files(access.authfile.as_deref())?;
        let credentials: Arc<dyn Credentials> = match &access.creds {
            None => Arc::new(files),
            Some(text) => {
                let registry = registry.to_owned();
                Arc::new(GivenCredential { registry, credential: credential(text)?, beside: files })
            }
        };
        let fetch = remote::fetch_settings(cancel);
        let hosts = config.registries.clone();
        Ok(Registries::new(Settings { fetch, hosts, credentials, parallel: PARALLEL }))
    }
}

fn credential(text: &str) -> Result<Credential, Failure> {
    let (user, password) = text.split_once(':').ok_or_else(|| {
        Failure::new("--creds has no password").hint("write --creds USER:PASSWORD, or use `kiln login`")
    })?;
    Ok(Credential::password(user, password))
}

/// Where credentials are looked for, and kept in the first of these files: `own` alone, if it is named.
pub(crate) fn credential_files(own: Option<&Path>) -> Result<CredentialFiles, Failure> {
    let path = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let files: Vec<PathBuf> = match own {
        Some(own) => vec![own.to_owned()],
        None => {
            let home = path(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
            let docker = path("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
            let podman =
                [path("XDG_RUNTIME_DIR"), path("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")))];
            path("REGISTRY_AUTH_FILE")
                .into_iter()
                .chain(docker.map(|folder| folder.join("config.json")))
                .chain(podman.into_iter().flatten().map(|folder| folder.join("containers/auth.json")))
                .collect()
        }
    };
    if files.is_empty() {
        return Err(Failure::new("there is no place for credentials: HOME is not set")
            .hint("name a file with --authfile or REGISTRY_AUTH_FILE"));
    }
    Ok(CredentialFiles::new(files, std::env::vars_os().collect()))
}

/// What people call a registry, as names of images begin: schemes and paths are Docker's keys for it.
pub(crate) fn registry_name(server: Option<&str>) -> Result<String, Failure> {
    let Some(server) = server else { return Ok(super::DOCKER_HUB.to_owned()) };
    let name = server.trim_start_matches("https://").trim_start_matches("http://");
    let name = name.split('/').next().unwrap_or_default();
    let parsed = format!("{name}/x").parse::<kiln_types::Reference>();
    match parsed {
        Ok(reference) if reference.registry == name || name == "index.docker.io" => Ok(reference.registry),
        // A name without a dot is a host, too; images cannot be named by it without a port.
        _ if name.eq_ignore_ascii_case("docker.io") => Ok(super::DOCKER_HUB.to_owned()),
        _ => Err(Failure::new(format!("`{server}` is no registry"))
            .hint("write it as names of images begin: docker.io, localhost, host:5000, registry.example.com")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_have_several_names() {
        for (server, name) in [
            (None, Some("docker.io")),
            (Some("https://index.docker.io/v1/"), Some("docker.io")),
            (Some("docker.io"), Some("docker.io")),
            (Some("http://127.0.0.1:5000"), Some("127.0.0.1:5000")),
            (Some("registry.example.com/team"), Some("registry.example.com")),
            (Some("team"), None),
            (Some(""), None),
        ] {
            assert_eq!(registry_name(server).ok().as_deref(), name, "{server:?}");
        }
    }
}
