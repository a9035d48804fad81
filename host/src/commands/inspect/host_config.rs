//! What was asked for when a container was made, in the fields of Docker's `HostConfig`.

use std::collections::BTreeMap;

use kiln_container::{MountSource, Spec, Tmpfs};
use serde::Serialize;
use serde_json::{Value, json};

use crate::commands::ps;

/// What `/dev/shm` holds where nothing else was said.
const SHM_SIZE: u64 = 64 << 20;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    binds: Option<Vec<String>>,
    log_config: Value,
    network_mode: &'static str,
    port_bindings: BTreeMap<String, Vec<Binding>>,
    restart_policy: Value,
    auto_remove: bool,
    volumes_from: Option<Vec<String>>,
    cap_add: Option<Vec<String>>,
    cap_drop: Option<Vec<String>>,
    dns: Vec<String>,
    extra_hosts: Option<Vec<String>>,
    group_add: Option<Vec<String>>,
    ipc_mode: &'static str,
    privileged: bool,
    publish_all_ports: bool,
    readonly_rootfs: bool,
    security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tmpfs: BTreeMap<String, String>,
    shm_size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sysctls: BTreeMap<String, String>,
    runtime: &'static str,
    cpu_shares: u64,
    memory: u64,
    memory_swap: i64,
    nano_cpus: u64,
    devices: Vec<Value>,
    pids_limit: Option<i64>,
    ulimits: Vec<Value>,
    init: bool,
}

/// A port of the host.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Binding {
    host_ip: String,
    host_port: String,
}

impl Binding {
    pub(super) fn new(address: &str, port: impl ToString) -> Self {
        Self { host_ip: address.to_owned(), host_port: port.to_string() }
    }
}

impl HostConfig {
    pub(super) fn new(spec: &Spec) -> Self {
        let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        let limits = &spec.resources;
        Self {
            binds: Some(binds(spec)).filter(|binds| !binds.is_empty()),
            log_config: json!({ "Type": spec.log.driver.name(), "Config": spec.log.options }),
            network_mode: ps::network(spec.network),
            port_bindings: port_bindings(spec),
            restart_policy: json!({ "Name": spec.restart.name(), "MaximumRetryCount": spec.restart.most() }),
            auto_remove: spec.auto_remove,
            volumes_from: some(&spec.volumes_from),
            cap_add: some(&spec.cap_add),
            cap_drop: some(&spec.cap_drop),
            dns: spec.dns.iter().map(ToString::to_string).collect(),
            extra_hosts: (!spec.extra_hosts.is_empty())
                .then(|| spec.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()),
            group_add: some(&spec.group_add),
            ipc_mode: "private",
            privileged: spec.privileged,
            publish_all_ports: spec.publish_all,
            readonly_rootfs: spec.read_only,
            security_opt: some(&spec.security_opt),
            tmpfs: tmpfs(spec),
            shm_size: spec.shm_size.unwrap_or(SHM_SIZE),
            sysctls: spec.sysctls.clone(),
            runtime: "kiln",
            cpu_shares: limits.cpu_shares.unwrap_or(0),
            memory: limits.memory.unwrap_or(0),
            memory_swap: limits.memory_swap.unwrap_or(0),
            nano_cpus: limits.nano_cpus.unwrap_or(0),
            devices: spec.devices.iter().map(device).collect(),
            pids_limit: limits.pids,
            ulimits: spec
                .ulimits
                .iter()
                .map(|limit| json!({ "Name": limit.name, "Soft": limit.soft, "Hard": limit.hard }))
                .collect(),
            init: spec.init,
        }
    }
}

fn device(device: &kiln_container::devices::Device) -> Value {
    json!({ "PathOnHost": device.host, "PathInContainer": device.target, "CgroupPermissions": "rwm" })
}

/// As `-v` takes them.
fn binds(spec: &Spec) -> Vec<String> {
    let binds = spec.mounts.iter().filter_map(|mount| {
        let source = match &mount.source {
            MountSource::Volume { anonymous: true, .. } | MountSource::Tmpfs(_) => return None,
            MountSource::Volume { name, .. } => name.clone(),
            MountSource::Bind { source } => source.display().to_string(),
        };
        let mode = if mount.read_only { ":ro" } else { "" };
        Some(format!("{source}:{}{mode}", mount.target))
    });
    binds.collect()
}

fn tmpfs(spec: &Spec) -> BTreeMap<String, String> {
    let tmpfs = spec.mounts.iter().filter_map(|mount| {
        let MountSource::Tmpfs(Tmpfs { size, mode, uid, gid, exec }) = mount.source else { return None };
        let options = [
            size.map(|size| format!("size={size}")),
            mode.map(|mode| format!("mode={mode:o}")),
            (uid != 0).then(|| format!("uid={uid}")),
            (gid != 0).then(|| format!("gid={gid}")),
            exec.then(|| "exec".to_owned()),
            mount.read_only.then(|| "ro".to_owned()),
        ];
        let options: Vec<String> = options.into_iter().flatten().collect();
        Some((mount.target.clone(), options.join(",")))
    });
    tmpfs.collect()
}

fn port_bindings(spec: &Spec) -> BTreeMap<String, Vec<Binding>> {
    let mut bindings: BTreeMap<String, Vec<Binding>> = BTreeMap::new();
    for port in &spec.ports {
        let address = port.address.map(|address| address.to_string()).unwrap_or_default();
        let wanted = match port.host {
            None => String::new(),
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}-{last}"),
        };
        let key = format!("{}/{}", port.container, port.protocol);
        bindings.entry(key).or_default().push(Binding::new(&address, wanted));
    }
    bindings
}
