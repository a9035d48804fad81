//! From a specification to a process: everything that a start needs, in the order that is forced.

use std::fs;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use kiln_exec::namespaces::{self, Confinement, Limit, Namespaces, Seccomp, Size, Started};
use kiln_exec::{Clock, Mount, MountKind, Network, Process, Root};
use kiln_image::{User, View};
use kiln_network::{Port, Published, Settings};
use kiln_store::Store;
use kiln_sys::Capabilities;
use kiln_sys::cgroup::{Cgroup, Limits};
use kiln_types::Digest;

use super::profile;
use super::user::Accounts;
pub(super) use crate::environment::{environment, set};
use crate::error::{Error, Result};
use crate::protocol::Request;
use crate::{
    Container, Health, MountSource, NetworkMode, Phase, PortMapping, Protocol, PublishedPort, Resources, Spec, State,
    now, ports, security, sysctl,
};

/// What must be there as long as a container runs.
pub(super) struct Running {
    pub(super) confinement: Confinement,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) user: User,
    pub(super) network: Option<kiln_network::Network>,
    pub(super) published: Vec<Published>,
}

pub(super) fn start(
    store: &Store,
    executor: &Namespaces,
    container: &mut Container,
    request: &Request,
    warn: &mut dyn FnMut(String),
) -> Result<(Started, Running)> {
    let spec = &container.spec.clone();
    let image = store.container_image(&container.folder.record)?;
    let layers = image.config.rootfs.diff_ids.iter().map(|diff_id| store.layer(diff_id)).collect::<Result<_, _>>()?;
    let view = View::new(layers);
    let (upper, work) = container.layer();
    let user = Accounts::of_layer(&view, &upper)?.resolve(&spec.config.user, &spec.group_add)?;
    let confinement = confinement(spec)?;
    let mounts = mounts(store, spec)?;
    let cgroup = cgroup(container, &spec.resources)?;
    let settings = Settings::default();
    let resolv_conf = resolv_conf(spec, &settings);
    let process = process(container, &user);
    let [scratch, shared] = [OWN, "shared"].map(|name| container.scratch().join(name));
    // Its own is made by the mounts that need one, which few do.
    fs::create_dir_all(&shared).map_err(Error::io("make", &shared))?;
    let device = |device: &crate::devices::Device| namespaces::Device {
        host: device.host.clone(),
        target: device.target.clone(),
    };
    let devices: Vec<_> = spec.devices.iter().map(device).collect();
    let sysctls: Vec<_> = spec.sysctls.iter().map(|(name, value)| (sysctl::exchanged(name), value.clone())).collect();
    let size = match request {
        Request::Attach(attach) => attach.size,
        _ => None,
    };
    let wanted = namespaces::Container {
        upper: &upper,
        work: &work,
        volatile: spec.auto_remove,
        read_only: spec.read_only,
        confinement: &confinement,
        terminal: spec.terminal.then(|| size.map_or(DEFAULT_SIZE, Size::from)),
        stdin: spec.open_stdin,
        resolv_conf: resolv_conf.as_deref().map(str::as_bytes),
        shm_size: spec.shm_size,
        devices: &devices,
        sysctls: &sysctls,
        cgroup: cgroup.as_ref(),
    };
    let root = Root {
        view,
        mounts: &mounts,
        directories: &|layer| store.directory(layer).map_err(Into::into),
        scratch: &scratch,
        shared: &shared,
    };
    let mut started = executor.start(&root, &process, &wanted)?;
    let mut running = Running { confinement, cgroup, user, network: None, published: Vec::new() };
    if spec.network == NetworkMode::Private {
        connect(spec, &settings, &started, &mut running, warn)?;
    }
    let ports = running.published.iter().flat_map(Published::bound).map(published_port).collect();
    started.go()?;
    container.state = State {
        phase: Phase::Running,
        pid: Some(started.id.pid),
        pid_started: started.id.started,
        cgroup: std::mem::take(&mut container.state.cgroup),
        started: Some(now()),
        finished: None,
        ports,
        health: container.spec.healthcheck().map(|_| Health::default()),
        restarts: container.state.restarts,
        ..State::default()
    };
    container.write_state()?;
    Ok((started, running))
}

/// The part of the scratch directory that one run has for itself.
pub(super) const OWN: &str = "own";

/// What terminals have that nobody looks at.
const DEFAULT_SIZE: Size = Size { rows: 24, columns: 80 };

impl From<crate::protocol::WindowSize> for Size {
    fn from(size: crate::protocol::WindowSize) -> Self {
        Self { rows: size.rows, columns: size.columns }
    }
}

fn process(container: &Container, user: &User) -> Process {
    let spec = &container.spec;
    let mut hosts = spec.extra_hosts.clone();
    // Where there will be no eth0, its name leads to the loopback.
    if spec.network == NetworkMode::Private && kiln_network::has_device() {
        hosts.push((spec.hostname.clone(), IpAddr::V4(kiln_network::ADDRESS)));
    }
    Process {
        argv: spec.argv(),
        env: environment(spec, user, spec.terminal),
        cwd: spec.directory(),
        user: user.clone(),
        hostname: spec.hostname.clone(),
        network: match spec.network {
            NetworkMode::Private => Network::Private,
            NetworkMode::Host => Network::Host,
            NetworkMode::None => Network::None,
        },
        hosts,
        insecure: spec.privileged,
        seed: Digest::of(container.id()),
        clock: Clock::Host,
        guest_tools: false,
    }
}

fn confinement(spec: &Spec) -> Result<Confinement> {
    let security = security::parse(&spec.security_opt)?;
    let held = Capabilities::held().map_err(Error::io("read", "the capabilities of this process"))?;
    let capabilities = Capabilities::docker(&spec.cap_add, &spec.cap_drop, held)?;
    // The network's connections are this process', and each has a descriptor.
    let open_files = Limit::raise_open_files().map_err(Error::io("raise", "the limit of open files"));
    let limits = spec.ulimits.iter().map(|limit| {
        let value = |value: i64| u64::try_from(value).ok();
        Limit::named(&limit.name, value(limit.soft), value(limit.hard))
            .ok_or_else(|| Error::invalid("ulimit", &limit.name, "see setrlimit(2)"))
    });
    let seccomp = match security.seccomp {
        security::Seccomp::Builtin => Seccomp::Default,
        security::Seccomp::Unconfined => Seccomp::Unconfined,
        security::Seccomp::Profile(profile) => {
            let bounds = if spec.privileged { held } else { capabilities };
            Seccomp::Profile(Arc::new(profile::resolve(&profile, bounds)))
        }
    };
    Ok(Confinement {
        capabilities,
        seccomp,
        no_new_privileges: security.no_new_privileges,
        privileged: spec.privileged,
        limits: std::iter::once(open_files).chain(limits).collect::<Result<_>>()?,
    })
}

fn mounts(store: &Store, spec: &Spec) -> Result<Vec<Mount>> {
    let mount = |mount: &crate::MountPoint| {
        let kind = match &mount.source {
            MountSource::Volume { name, .. } => MountKind::Directory(store.volume(name)?.data().to_owned()),
            MountSource::Bind { source } => MountKind::Directory(existing(source)?),
            MountSource::Tmpfs(tmpfs) => MountKind::Memory((*tmpfs).into()),
        };
        Ok(Mount { target: mount.target.clone(), read_only: mount.read_only, kind })
    };
    spec.mounts.iter().map(mount).collect()
}

fn existing(path: &PathBuf) -> Result<PathBuf> {
    match fs::metadata(path) {
        Ok(_) => Ok(path.clone()),
        Err(source) => Err(Error::Io { action: "mount", path: path.clone(), source }),
    }
}

/// A group that can be frozen is welcome; only limits need one. It is in the state before it is made, so that whoever
/// comes next removes it if this process is killed.
fn cgroup(container: &mut Container, resources: &Resources) -> Result<Option<Cgroup>> {
    let positive = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    let limits = Limits {
        memory: resources.memory,
        memory_and_swap: match resources.memory_swap {
            None | Some(0) => resources.memory.map(|memory| memory.saturating_mul(2)),
            swap => positive(swap),
        },
        memory_reservation: None,
        nano_cpus: resources.nano_cpus,
        cpu_shares: resources.cpu_shares,
        cpuset: None,
        // Process 1, which counts, is kiln's own.
        processes: positive(resources.pids).map(|most| most.saturating_add(1)),
    };
    let id = container.id().to_owned();
    let announce = |paths: &[PathBuf]| {
        container.state.cgroup = paths.to_vec();
        // Where it cannot be written, the start fails with that later.
        let _ = container.write_state();
    };
    match Cgroup::create(&id, &limits, announce) {
        Ok(cgroup) => Ok(Some(cgroup)),
        Err(error) if limits != Limits::default() => Err(error.into()),
        Err(_) => {
            container.state.cgroup.clear();
            Ok(None)
        }
    }
}

/// `None` for the host's own.
fn resolv_conf(spec: &Spec, settings: &Settings) -> Option<String> {
    if !spec.dns.is_empty() {
        return Some(spec.dns.iter().map(|server| format!("nameserver {server}\n")).collect());
    }
    (spec.network == NetworkMode::Private).then(|| settings.container_resolv_conf())
}

fn connect(
    spec: &Spec,
    settings: &Settings,
    started: &Started,
    running: &mut Running,
    warn: &mut dyn FnMut(String),
) -> Result<()> {
    let Some(namespace) = &started.network else { return Ok(()) };
    match kiln_network::serve(namespace.as_fd(), settings) {
        Ok(network) => running.network = Some(network),
        Err(error @ kiln_network::Error::Unavailable { .. }) => warn(error.to_string()),
        Err(error) => return Err(error.into()),
    }
    let (mut fixed, mut chosen) = (Vec::new(), Vec::new());
    for mapping in wanted_ports(spec) {
        match mapping.host {
            Some((first, last)) if first != last => chosen.push((mapping, first..=last)),
            host => fixed.push(port(&mapping, host.map_or(0, |(first, _)| first))),
        }
    }
    if !fixed.is_empty() {
        running.published.push(kiln_network::publish(namespace.as_fd(), &fixed)?);
    }
    for (mapping, mut range) in chosen {
        let published = loop {
            // Of a range the last one's refusal is told.
            let Some(host) = range.next() else { break None };
            match kiln_network::publish(namespace.as_fd(), &[port(&mapping, host)]) {
                Err(kiln_network::Error::PortInUse { .. }) if !range.is_empty() => {}
                published => break Some(published?),
            }
        };
        running.published.extend(published);
    }
    Ok(())
}

/// What `-p` asks for, and for `-P` what else the configuration exposes.
fn wanted_ports(spec: &Spec) -> Vec<PortMapping> {
    let mut wanted = spec.ports.clone();
    if spec.publish_all {
        for (container, protocol) in spec.config.exposed_ports.keys().filter_map(|text| ports::parse_exposed(text)) {
            if !wanted.iter().any(|mapping| (mapping.container, mapping.protocol) == (container, protocol)) {
                wanted.push(PortMapping { address: None, host: None, container, protocol });
            }
        }
    }
    wanted
}

fn port(mapping: &PortMapping, host: u16) -> Port {
    let protocol = match mapping.protocol {
        Protocol::Tcp => kiln_network::Protocol::Tcp,
        Protocol::Udp => kiln_network::Protocol::Udp,
    };
    Port { address: mapping.address, port: host, container_port: mapping.container, protocol }
}

fn published_port(bound: &kiln_network::Bound) -> PublishedPort {
    PublishedPort {
        address: bound.address,
        host: bound.port,
        container: bound.container_port,
        protocol: match bound.protocol {
            kiln_network::Protocol::Tcp => Protocol::Tcp,
            kiln_network::Protocol::Udp => Protocol::Udp,
        },
    }
}
