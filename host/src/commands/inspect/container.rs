//! What `inspect` shows of a container: Docker's fields, those that tools read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kiln_container::{Container, Health, MountSource, NetworkMode};
use kiln_image::Config;
use kiln_store::Store;
use kiln_template::Types;
use kiln_types::Digest;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::host_config::{Binding, HostConfig};
use crate::commands::ps;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    id: String,
    created: String,
    path: String,
    args: Vec<String>,
    state: State,
    image: Digest,
    resolv_conf_path: String,
    hostname_path: String,
    hosts_path: String,
    log_path: String,
    name: String,
    restart_count: u32,
    driver: &'static str,
    platform: String,
    mount_label: String,
    process_label: String,
    app_armor_profile: String,
    #[serde(rename = "ExecIDs")]
    exec_ids: Option<Vec<String>>,
    host_config: HostConfig,
    graph_driver: GraphDriver,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    mounts: Vec<Mount>,
    config: Value,
    network_settings: NetworkSettings,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    running: bool,
    paused: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    dead: bool,
    pid: u32,
    exit_code: i32,
    error: String,
    started_at: String,
    finished_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    name: &'static str,
    data: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'static str>,
    mode: String,
    #[serde(rename = "RW")]
    rw: bool,
    propagation: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    ports: BTreeMap<String, Option<Vec<Binding>>>,
    /// What the host can reach: nothing but published ports.
    #[serde(rename = "IPAddress")]
    ip_address: String,
    gateway: String,
    mac_address: String,
    networks: BTreeMap<&'static str, Value>,
}

pub(super) const TYPES: Types = Types {
    name: "container",
    maps: &["Labels", "ExposedPorts", "Volumes", "Ports", "PortBindings", "Networks", "Data", "Tmpfs", "Sysctls"],
    lists: &[
        "Args",
        "Mounts",
        "Env",
        "Entrypoint",
        "Cmd",
        "OnBuild",
        "Shell",
        "Test",
        "Log",
        "Binds",
        "Devices",
        "VolumesFrom",
        "CapAdd",
        "CapDrop",
        "Dns",
        "ExtraHosts",
        "GroupAdd",
        "SecurityOpt",
        "Ulimits",
        "ExecIDs",
    ],
    methods: &[],
};

pub(super) fn inspect(store: &Store, container: &Container, size: bool) -> anyhow::Result<Inspected> {
    let Container { folder, spec, .. } = container;
    let record = &folder.record;
    let image = store.container_image(record)?;
    let (path, args) = spec.argv().split_first().map(|(path, args)| (path.clone(), args.to_vec())).unwrap_or_default();
    let (upper, work) = container.layer();
    let data = [("UpperDir", upper), ("WorkDir", work)];
    let written = if size { Some(ps::written(container)?) } else { None };
    Ok(Inspected {
        id: record.id.clone(),
        created: time(Some(record.created)),
        path,
        args,
        state: state(container),
        image: record.image,
        resolv_conf_path: String::new(),
        hostname_path: String::new(),
        hosts_path: String::new(),
        log_path: log_path(container),
        name: format!("/{}", record.name),
        restart_count: container.state.restarts,
        driver: "overlayfs",
        platform: image.config.os,
        mount_label: String::new(),
        process_label: String::new(),
        app_armor_profile: String::new(),
        exec_ids: None,
        host_config: HostConfig::new(spec),
        graph_driver: GraphDriver {
            name: "overlayfs",
            data: data.into_iter().map(|(name, path)| (name, path.display().to_string())).collect(),
        },
        size_rw: written,
        size_root_fs: written.map(|written| store.size(&record.image).map(|base| written + base)).transpose()?,
        mounts: mounts(store, container),
        config: config(container)?,
        network_settings: NetworkSettings {
            ports: ports(container),
            ip_address: String::new(),
            gateway: String::new(),
            mac_address: String::new(),
            networks: [(
                ps::network(spec.network),
                json!({ "IPAddress": "", "Gateway": "", "MacAddress": "", "NetworkID": "", "Aliases": null }),
            )]
            .into(),
        },
    })
}

/// Of one that is kept.
fn log_path(container: &Container) -> String {
    let is_kept = container.spec.log.driver != kiln_container::LogDriver::None;
    if is_kept { container.log().display().to_string() } else { String::new() }
}

/// With all fields that a container may have.
pub(super) fn for_templates(container: &Inspected) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(container)?;
    let complete = |object: Option<&mut Value>, fields: &[&str]| {
        let Some(object) = object.and_then(Value::as_object_mut) else { return };
        for &field in fields {
            object.entry(field).or_insert(Value::Null);
        }
    };
    complete(value.get_mut("State"), &["Health"]);
    complete(value.get_mut("Config"), &["ExposedPorts", "Healthcheck", "Shell", "StopSignal", "StopTimeout"]);
    complete(Some(&mut value), &["SizeRw", "SizeRootFs"]);
    for mount in value.get_mut("Mounts").and_then(Value::as_array_mut).into_iter().flatten() {
        for field in ["Name", "Driver"] {
            mount.as_object_mut().map(|mount| mount.entry(field).or_insert(Value::from("")));
        }
    }
    Ok(value)
}

fn state(container: &Container) -> State {
    use kiln_container::Phase;
    let state = &container.state;
    State {
        status: state.phase.to_string(),
        running: state.is_running(),
        paused: state.phase == Phase::Paused,
        restarting: state.phase == Phase::Restarting,
        oom_killed: state.oom_killed,
        dead: false,
        pid: state.pid.unwrap_or(0),
        exit_code: state.exit_code,
        error: state.error.clone(),
        started_at: time(state.started),
        finished_at: time(state.finished),
        health: state.health.as_ref().map(health),
    }
}

fn health(health: &Health) -> Value {
    let log = health.log.iter().map(|probe| {
        json!({
            "Start": time(Some(probe.start)),
            "End": time(Some(probe.end)),
            "ExitCode": probe.exit_code,
            "Output": probe.output,
        })
    });
    json!({
        "Status": health.status.to_string(),
        "FailingStreak": health.failing_streak,
        "Log": log.collect::<Vec<_>>(),
    })
}

fn mounts(store: &Store, container: &Container) -> Vec<Mount> {
    let mount = |r#type, source, destination: &str, read_only: bool| Mount {
        r#type,
        name: None,
        source,
        destination: destination.to_owned(),
        driver: None,
        mode: if read_only { "ro".to_owned() } else { String::new() },
        rw: !read_only,
        propagation: "",
    };
    let shown = container.spec.mounts.iter().map(|point| match &point.source {
        MountSource::Volume { name, .. } => {
            let source = store.volume(name).map(|volume| volume.data().display().to_string());
            let mount = mount("volume", source.unwrap_or_default(), &point.target, point.read_only);
            Mount { name: Some(name.clone()), driver: Some("local"), ..mount }
        }
        MountSource::Bind { source } => Mount {
            propagation: "rprivate",
            ..mount("bind", source.display().to_string(), &point.target, point.read_only)
        },
        MountSource::Tmpfs(_) => mount("tmpfs", String::new(), &point.target, point.read_only),
    });
    shown.collect()
}

/// The configuration as Docker has it of containers, where more is said than of images.
fn config(container: &Container) -> anyhow::Result<Value> {
    let spec = &container.spec;
    let Value::Object(stated) = serde_json::to_value(Config { unknown: BTreeMap::new(), ..spec.config.clone() })?
    else {
        return Ok(Value::Null);
    };
    let mut config = Map::new();
    for (field, value) in [
        ("Hostname", json!(spec.hostname)),
        ("Domainname", json!("")),
        ("User", json!("")),
        ("AttachStdin", json!(spec.stdin_once)),
        ("AttachStdout", json!(false)),
        ("AttachStderr", json!(false)),
        ("Tty", json!(spec.terminal)),
        ("OpenStdin", json!(spec.open_stdin)),
        ("StdinOnce", json!(spec.stdin_once)),
        ("Env", json!([])),
        ("Cmd", Value::Null),
        ("Image", json!(spec.image)),
        ("Volumes", Value::Null),
        ("WorkingDir", json!("")),
        ("Entrypoint", Value::Null),
        ("OnBuild", Value::Null),
        ("Labels", json!({})),
    ] {
        config.insert(field.to_owned(), value);
    }
    config.extend(stated);
    if let Some(timeout) = spec.stop_timeout {
        config.insert("StopTimeout".to_owned(), json!(timeout));
    }
    Ok(Value::Object(config))
}

/// Published ports of a container that runs, and those that it exposes only.
fn ports(container: &Container) -> BTreeMap<String, Option<Vec<Binding>>> {
    let mut ports = BTreeMap::new();
    if !container.state.is_running() {
        return ports;
    }
    if container.spec.network == NetworkMode::Private {
        ports.extend(container.spec.config.exposed_ports.keys().map(|key| (key.clone(), None)));
    }
    for port in &container.state.ports {
        let bindings: &mut Option<Vec<Binding>> =
            ports.entry(format!("{}/{}", port.container, port.protocol)).or_default();
        bindings.get_or_insert_default().push(Binding::new(&port.address.to_string(), port.host));
    }
    ports
}

/// In Docker's form; the year 1 stands for never.
fn time(nanoseconds: Option<i64>) -> String {
    let at = nanoseconds.and_then(|at| Timestamp::from_nanosecond(at.into()).ok());
    at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string())
}
