//! Kiln's side: a store of its own and registries without patience.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kiln_registry::{
    Credential, Credentials, Event, Host, Hosts, LayerState, Progress, PullOptions, Pulled, Registries, Result,
    Settings,
};
use kiln_store::Store;
use kiln_types::Reference;

use crate::server::Server;

pub(crate) struct Client {
    pub(crate) store: Store,
    pub(crate) registries: Registries,
    pub(crate) told: Told,
    _directory: tempfile::TempDir,
}

/// All that is configured.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) credential: Option<Credential>,
    pub(crate) mirrors: Vec<String>,
}

pub(crate) fn user(name: &str) -> Credential {
    Credential { user: name.to_owned(), secret: "secret".to_owned(), is_identity_token: false }
}

struct Kept(Option<Credential>);

impl Credentials for Kept {
    fn of(&self, _: &str) -> Result<Option<Credential>> {
        Ok(self.0.clone())
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let hosts = Hosts { default: Host { mirrors: options.mirrors, ..Host::default() }, ..Hosts::default() };
        let fetch = kiln_fetch::Settings {
            connect: Duration::from_secs(5),
            stall: Duration::from_millis(500),
            attempts: 3,
            pause: Duration::from_millis(2),
            ..kiln_fetch::Settings::default()
        };
        let credentials = Arc::new(Kept(options.credential));
        Self {
            store: Store::open(&directory.path().join("store")).expect("a store"),
            registries: Registries::new(Settings { fetch, hosts, credentials, parallel: 4 }),
            told: Told::default(),
            _directory: directory,
        }
    }

    pub(crate) fn pull(&self, server: &Server, rest: &str) -> Result<Pulled> {
        self.pull_as(server, rest, &PullOptions::default())
    }

    pub(crate) fn pull_as(&self, server: &Server, rest: &str, options: &PullOptions) -> Result<Pulled> {
        self.registries.pull(&self.store, &name(server, rest), options, &self.told)
    }

    /// What a pull that fails says; it leaves no image.
    pub(crate) fn refused(&self, server: &Server, rest: &str) -> String {
        let error = self.pull(server, rest).expect_err("refused").to_string();
        assert!(self.store.named(&name(server, rest)).expect("names").is_none(), "{error}");
        assert!(self.store.images().expect("images").is_empty(), "{error}");
        error
    }
}

pub(crate) fn name(server: &Server, rest: &str) -> Reference {
    format!("{}/{rest}", server.host()).parse().expect("a name")
}

/// What was told, a line for each event; of the ways of bytes only that there were any.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<String>>);

impl Told {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }

    pub(crate) fn has(&self, part: &str) -> bool {
        self.lines().iter().any(|line| line.contains(part))
    }
}

impl Progress for Told {
    fn event(&self, event: Event<'_>) {
        let line = match event {
            Event::From { endpoint } => format!("from {endpoint}"),
            Event::PassedOver { endpoint, error } => format!("passed over {endpoint}: {error}"),
            Event::Image { platform, .. } => format!("image {}", platform.map(ToString::to_string).unwrap_or_default()),
            Event::Layer { layer, state } => match state {
                LayerState::Retrying { error, .. } => format!("{} retrying: {error}", layer.short()),
                LayerState::MountedFrom { repository } => format!("{} mounted from {repository}", layer.short()),
                state => {
                    let text = format!("{state:?}");
                    format!("{} {}", layer.short(), text.split(' ').next().unwrap_or_default())
                }
            },
        };
        let mut lines = self.0.lock().expect("no panic");
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
}
