//! The way in: registries as they are configured, and what can be wanted of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_fetch::{Client, Response};
use kiln_image::{Compression, Descriptor};
use kiln_store::Store;
use kiln_types::{Digest, Platform, Reference};

use crate::answer::body;
use crate::auth::{Logins, Scopes};
use crate::endpoint::Endpoint;
use crate::pull::Pull;
use crate::push::Push;
use crate::route::{Route, Stop};
use crate::session::{Call, Session, Target};
use crate::{Credential, Credentials, Error, Hosts, Progress, Result};

pub struct Settings {
    pub fetch: kiln_fetch::Settings,
    pub hosts: Hosts,
    pub credentials: Arc<dyn Credentials>,
    /// How many blobs come or go at once.
    pub parallel: usize,
}

/// All registries. Connections and logins are kept, so one value serves a whole command.
pub struct Registries {
    client: Client,
    hosts: Hosts,
    logins: Logins,
    parallel: usize,
    /// Mirrors in order and the registry itself, by its name.
    endpoints: Mutex<HashMap<String, Arc<Vec<Endpoint>>>>,
}

#[derive(Debug, Clone)]
pub struct PullOptions {
    /// `None`: this host's, else WASI's, else the only one.
    pub platform: Option<Platform>,
    /// All of an index, with what is told of them.
    pub all_platforms: bool,
    /// Whether the reference becomes a name of the image.
    pub name: bool,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self { platform: None, all_platforms: false, name: true }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The image that was asked for; of all platforms' the one that is taken where none is asked for.
    pub id: Digest,
    /// What the registry knows the reference by: the digest of an index or a manifest.
    pub digest: Digest,
    /// `false`: it was all here already.
    pub news: bool,
}

#[derive(Debug, Clone)]
pub struct PushOptions {
    /// Of layers that were made here. Others go as they came.
    pub compression: Compression,
    /// Only the image for this platform, instead of all.
    pub platform: Option<Platform>,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self { compression: Compression::Gzip, platform: None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Of the index or manifest, and its size in bytes.
    pub digest: Digest,
    pub size: u64,
    /// Platforms of the name's index that are not in the store (`unknown/unknown`: what only tells of an image): then
    /// only the default image was pushed.
    pub missing: Vec<Platform>,
}

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub descriptor: Descriptor,
    /// Who said so: a registry's name or a mirror's URL.
    pub endpoint: String,
}

impl Registries {
    pub fn new(settings: Settings) -> Self {
        Self {
            client: Client::new(settings.fetch),
            hosts: settings.hosts,
            logins: Logins::new(settings.credentials),
            parallel: settings.parallel.max(1),
            endpoints: Mutex::default(),
        }
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Whether the registry accepts the credential.
    pub fn check_login(&self, registry: &str, credential: &Credential) -> Result<()> {
        let logins = Logins::new(Arc::new(One(credential.clone())));
        let endpoint = Endpoint::origin(&self.hosts, registry);
        let session = Session {
            client: &self.client,
            logins: &logins,
            endpoint: &endpoint,
            repository: "",
            scopes: Scopes::new(),
        };
        session.expect(&Call::get(Target::Base("/"), "this user"), &[200]).map(|_| ())
    }

    /// All tags of a repository, as the registry orders them.
    pub fn tags(&self, name: &Reference) -> Result<Vec<String>> {
        let endpoints = self.endpoints(&name.registry)?;
        self.route(&endpoints, name, &()).ask(|session| session.tags(name))
    }

    /// What the reference leads to, without fetching it.
    pub fn resolve(&self, name: &Reference) -> Result<Resolved> {
        let wanted = name.clone().with_default_tag();
        let endpoints = self.endpoints(&name.registry)?;
        self.route(&endpoints, name, &()).ask(|session| {
            let descriptor = match session.head_manifest(&wanted)? {
                Some(head) => Descriptor::new(head.media_type, head.digest, head.size),
                None => {
                    let document = session.get_manifest(&wanted)?;
                    Descriptor::new(document.media_type, document.digest, document.bytes.len() as u64)
                }
            };
            Ok(Resolved { descriptor, endpoint: session.endpoint.name.clone() })
        })
    }

    /// Brings what the reference leads to into the store.
    pub fn pull(
        &self,
        store: &Store,
        name: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        let endpoints = self.endpoints(&name.registry)?;
        let route = self.route(&endpoints, name, progress);
        let wanted = name.clone().with_default_tag();
        Pull { store, route, wanted, options, parallel: self.parallel, progress }.run()
    }

    /// Pushes what the name stands for in the store to where the name says.
    pub fn push(
        &self,
        store: &Store,
        name: &Reference,
        options: &PushOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        if name.digest.is_some() {
            return Err(Error::DigestPushed { name: name.familiar() });
        }
        let endpoints = self.endpoints(&name.registry)?;
        let endpoint = endpoints.last().expect("the registry itself comes last");
        let session = self.session(endpoint, &name.repository, "pull,push");
        Push::new(store, session, name.clone().with_default_tag(), options, self.parallel, progress).run()
    }

    /// What is about no repository.
    pub(crate) fn unscoped<'a>(&'a self, endpoint: &'a Endpoint) -> Session<'a> {
        Session { client: &self.client, logins: &self.logins, endpoint, repository: "", scopes: Scopes::new() }
    }

    pub(crate) fn body(&self, response: Response, what: &str, limit: u64) -> Result<Vec<u8>> {
        body(&self.client, response, what, limit)
    }

    fn endpoints(&self, registry: &str) -> Result<Arc<Vec<Endpoint>>> {
        let mut known = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoints) = known.get(registry) {
            return Ok(Arc::clone(endpoints));
        }
        let host = self.hosts.of(registry);
        let mut endpoints =
            host.mirrors.iter().map(|url| Endpoint::mirror(&self.hosts, url)).collect::<Result<Vec<_>>>()?;
        endpoints.push(Endpoint::origin(&self.hosts, registry));
        let endpoints = Arc::new(endpoints);
        known.insert(registry.to_owned(), Arc::clone(&endpoints));
        Ok(endpoints)
    }

    fn route<'a>(&'a self, endpoints: &'a [Endpoint], name: &'a Reference, progress: &'a dyn Progress) -> Route<'a> {
        let stop = |endpoint| Stop::new(self.session(endpoint, &name.repository, "pull"));
        Route { stops: endpoints.iter().map(stop).collect(), progress }
    }

    fn session<'a>(&'a self, endpoint: &'a Endpoint, repository: &'a str, actions: &str) -> Session<'a> {
        let scopes = Session::scopes(endpoint, repository, actions);
        Session { client: &self.client, logins: &self.logins, endpoint, repository, scopes }
    }
}

/// A credential that is tried before it is kept.
struct One(Credential);

impl Credentials for One {
    fn of(&self, _: &str) -> Result<Option<Credential>> {
        Ok(Some(self.0.clone()))
    }
}
