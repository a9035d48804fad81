//! How registries are reached, in the form that Docker gives it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use kiln_registry::{Host, Hosts};
use serde::Serialize;

use crate::session::DOCKER_HUB;

/// Docker's name for its own.
pub(super) const INDEX_SERVER: &str = "https://index.docker.io/v1/";
/// Insecure whatever is configured.
const LOOPBACK: &str = "127.0.0.0/8";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RegistryConfig {
    #[serde(rename = "InsecureRegistryCIDRs")]
    insecure_networks: Vec<String>,
    index_configs: BTreeMap<String, Index>,
    /// Of Docker Hub.
    mirrors: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    name: String,
    mirrors: Vec<String>,
    secure: bool,
    official: bool,
}

impl RegistryConfig {
    pub(super) fn new(hosts: &Hosts) -> Self {
        let index = |name: &str| {
            let Host { mirrors, insecure, .. } = hosts.of(name);
            let mirrors = mirrors.iter().map(|mirror| format!("{mirror}/")).collect();
            Index { name: name.to_owned(), mirrors, secure: !insecure, official: name == DOCKER_HUB }
        };
        let names = hosts.by_name.keys().map(String::as_str).chain([DOCKER_HUB]);
        let index_configs: BTreeMap<String, Index> = names.map(|name| (name.to_owned(), index(name))).collect();
        let configured = hosts.insecure_networks.iter().map(ToString::to_string);
        Self {
            insecure_networks: configured.chain([LOOPBACK.to_owned()]).collect(),
            mirrors: index_configs[DOCKER_HUB].mirrors.clone(),
            index_configs,
        }
    }

    /// Docker's lines. Mirrors of other registries follow under their names.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "Registry: {INDEX_SERVER}\nLabels:\nExperimental: false\nInsecure Registries:")?;
        let insecure = self.index_configs.values().filter(|index| !index.secure).map(|index| &index.name);
        for name in insecure.chain(&self.insecure_networks) {
            writeln!(out, " {name}")?;
        }
        if !self.mirrors.is_empty() {
            writeln!(out, "Registry Mirrors:")?;
        }
        for mirror in &self.mirrors {
            writeln!(out, " {mirror}")?;
        }
        for index in self.index_configs.values().filter(|index| !index.official && !index.mirrors.is_empty()) {
            writeln!(out, "Mirrors of {}:", index.name)?;
            for mirror in &index.mirrors {
                writeln!(out, " {mirror}")?;
            }
        }
        Ok(())
    }
}
