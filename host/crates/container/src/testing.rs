//! What the tests of this crate share.

use std::collections::BTreeMap;

use kiln_image::{Config, ImageConfig};
use kiln_store::Store;
use kiln_types::Digest;

use crate::{ExecutorKind, LogConfig, NetworkMode, Resources, RestartPolicy, Spec};

/// An image without files.
pub(crate) fn image(store: &Store) -> Digest {
    let config = ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() };
    store.add_image(&config, None, false).expect("an image")
}

pub(crate) fn spec() -> Spec {
    Spec {
        image: "box".to_owned(),
        executor: ExecutorKind::Namespace,
        config: Config { cmd: Some(vec!["/bin/true".to_owned()]), ..Config::default() },
        hostname: "box".to_owned(),
        terminal: false,
        open_stdin: false,
        stdin_once: false,
        auto_remove: false,
        network: NetworkMode::Private,
        ports: Vec::new(),
        publish_all: false,
        mounts: Vec::new(),
        read_only: false,
        privileged: false,
        init: false,
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        security_opt: Vec::new(),
        resources: Resources::default(),
        shm_size: None,
        ulimits: Vec::new(),
        stop_timeout: None,
        extra_hosts: Vec::new(),
        dns: Vec::new(),
        group_add: Vec::new(),
        limits: Vec::new(),
        log: LogConfig::default(),
        restart: RestartPolicy::No,
        devices: Vec::new(),
        sysctls: BTreeMap::new(),
        volumes_from: Vec::new(),
    }
}
