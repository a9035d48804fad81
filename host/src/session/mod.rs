//! What the commands of one process work with: the store's folder, this host's executors, signals.

mod config;
mod executors;
mod registries;
mod remote;
mod root;
mod signals;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use kiln_build::{Environment, Secrets};
use kiln_exec::wasi::Limits;
use kiln_exec::{Cancel, Executor};
use kiln_store::Store;

use crate::cli::Global;
use crate::cli::pull::Access;

pub(crate) use config::{Config, DOCKER_HUB, mirror};
use executors::Namespaces;
pub(crate) use registries::{credential_files, registry_name};
#[cfg(unix)]
pub(crate) use signals::Caught;
use signals::Interrupts;
pub(crate) use signals::PassedOn;

pub(crate) struct Session {
    root: PathBuf,
    places: config::Places,
    config: OnceLock<Config>,
    namespaces: Namespaces,
    pub(crate) interrupts: Interrupts,
}

impl Session {
    /// To be called before the process has a second thread. `namespaces`: Linux programs may have to be run, or their
    /// files handled.
    pub(crate) fn start(global: Global, namespaces: bool) -> anyhow::Result<Self> {
        // Folders depend on who we are, and inside a user namespace everyone is root.
        let root = match global.root {
            Some(root) => std::path::absolute(root).context("cannot find the store")?,
            None => root::default()?,
        };
        let places = config::Places::find(global.config, global.registry_mirrors);
        let namespaces = if namespaces { Namespaces::enter() } else { Namespaces::NotNeeded };
        Ok(Self { root, places, config: OnceLock::new(), namespaces, interrupts: Interrupts::default() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What the user configured.
    pub(crate) fn config(&self) -> anyhow::Result<&Config> {
        match self.config.get() {
            Some(config) => Ok(config),
            None => {
                let config = self.places.read()?;
                Ok(self.config.get_or_init(|| config))
            }
        }
    }

    pub(crate) fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::open(&self.root)?)
    }

    /// For commands that keep nothing, of a store that may be another user's.
    pub(crate) fn store_to_read(&self) -> anyhow::Result<Store> {
        Ok(Store::open_to_read(&self.root, &std::env::temp_dir())?)
    }

    /// For Linux programs. Where they cannot be run, its preflight says why.
    pub(crate) fn namespace_executor(&self) -> Arc<dyn Executor> {
        self.namespaces.executor()
    }

    /// For containers.
    #[cfg(target_os = "linux")]
    pub(crate) fn linux_executor(&self) -> Result<kiln_exec::namespaces::Namespaces, kiln_exec::Unavailable> {
        self.namespaces.linux()
    }

    /// Whose the files are that are copied into volumes.
    pub(crate) fn owners(&self) -> kiln_container::Owners {
        self.namespaces.owners()
    }

    /// What would help against root being the only user that Linux programs can be, if that is so.
    pub(crate) fn remedy_for_one_id(&self) -> Option<&'static str> {
        self.namespaces.remedy_for_one_id()
    }

    /// For WebAssembly programs within `limits`; `store` keeps what they are compiled to.
    pub(crate) fn wasi_executor(&self, store: &Store, limits: Limits) -> Arc<dyn Executor> {
        Arc::new(kiln_exec::wasi::Wasi::new(store.modules(), limits))
    }

    /// For files from elsewhere.
    pub(crate) fn client(&self, cancel: &Cancel) -> kiln_fetch::Client {
        kiln_fetch::Client::new(remote::fetch_settings(cancel))
    }

    /// What a build works with.
    pub(crate) fn environment(
        &self,
        store: Store,
        cancel: Cancel,
        limits: Limits,
        secrets: Secrets,
    ) -> anyhow::Result<Environment> {
        let wasi = self.wasi_executor(&store, limits);
        let remote = remote::remote(&store, &cancel, secrets);
        let registries = Some(Arc::new(self.registries(&cancel, &Access::default(), DOCKER_HUB)?));
        let namespace = self.namespace_executor();
        Ok(Environment { remote, registries, store, namespace, wasi, cancel, now: jiff::Timestamp::now })
    }
}

/// A variable of the environment; an empty one is as good as none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs().cast_signed(),
        Err(before) => -before.duration().as_secs().cast_signed(),
    }
}
