//! What was asked for when a container was created.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use kiln_image::{Config, Healthcheck};
use serde::{Deserialize, Serialize};

use crate::devices::Device;
use crate::{LogConfig, RestartPolicy};

/// Everything that a start needs beside the image itself. It never changes after the container was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The image as it was asked for; the container's record has its id.
    pub image: String,
    pub executor: ExecutorKind,
    /// The image's configuration with the options put into it, as Docker's `Config`: what `commit` begins with.
    pub config: Config,
    pub hostname: String,
    /// A terminal of its own.
    pub terminal: bool,
    /// Standard input stays open for who attaches.
    pub open_stdin: bool,
    /// Standard input ends with the first who was attached to it.
    pub stdin_once: bool,
    /// Removed when it ends, with its anonymous volumes.
    pub auto_remove: bool,
    pub network: NetworkMode,
    pub ports: Vec<PortMapping>,
    /// All ports that the configuration exposes are published, too.
    pub publish_all: bool,
    /// In the order in which they were asked for; those of VOLUME last.
    pub mounts: Vec<MountPoint>,
    pub read_only: bool,
    pub privileged: bool,
    pub init: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub resources: Resources,
    pub shm_size: Option<u64>,
    pub ulimits: Vec<Ulimit>,
    /// Seconds until `stop` kills; −1 never does.
    pub stop_timeout: Option<i64>,
    /// Further lines of `/etc/hosts`.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// Name servers in place of the host's.
    pub dns: Vec<IpAddr>,
    /// Further groups of the process, by name or number.
    pub group_add: Vec<String>,
    /// Limits of a WebAssembly program, as `--limit` takes them.
    pub limits: Vec<String>,
    #[serde(default)]
    pub log: LogConfig,
    #[serde(default)]
    pub restart: RestartPolicy,
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Names with dots, and values.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Whose mounts are among `mounts`, as `--volumes-from` took them.
    #[serde(default)]
    pub volumes_from: Vec<String>,
}

/// What runs the container's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutorKind {
    Namespace,
    Wasi,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// A network of its own with a way out: Docker's `bridge`.
    #[default]
    Private,
    Host,
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
}

/// A port of the container that shall be reached through one of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// All addresses of the host where it is missing.
    pub address: Option<IpAddr>,
    /// The first and the last of the host's ports that may be taken; any free one where it is missing.
    pub host: Option<(u16, u16)>,
    pub container: u16,
    pub protocol: Protocol,
}

/// Something that the container sees at `target`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    pub source: MountSource,
    /// Absolute.
    pub target: String,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum MountSource {
    Volume {
        name: String,
        /// Made for this container, and removed with it by `--rm` and `rm -v`.
        anonymous: bool,
        /// An empty volume is filled with what the image has at the target.
        copy: bool,
    },
    /// A file or directory of the host.
    Bind {
        source: PathBuf,
    },
    Tmpfs(Tmpfs),
}

/// A filesystem in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    pub size: Option<u64>,
    /// Of its root directory, as are the owners.
    pub mode: Option<u32>,
    #[serde(default)]
    pub uid: u32,
    #[serde(default)]
    pub gid: u32,
    /// Programs in it can be executed.
    #[serde(default)]
    pub exec: bool,
}

impl From<Tmpfs> for kiln_exec::Memory {
    fn from(Tmpfs { size, mode, uid, gid, exec }: Tmpfs) -> Self {
        Self { size, mode: mode.unwrap_or(Self::default().mode), uid, gid, no_exec: !exec }
    }
}

/// Limits of the container's processes together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// In bytes.
    pub memory: Option<u64>,
    /// Memory and swap together, in bytes; −1 for as much as there is.
    pub memory_swap: Option<i64>,
    /// Billionths of a processor.
    pub nano_cpus: Option<u64>,
    pub cpu_shares: Option<u64>,
    /// −1 for as many as there may be.
    pub pids: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// As `ulimit` and Docker name it: `nofile`.
    pub name: String,
    /// −1 for none.
    pub soft: i64,
    pub hard: i64,
}

impl Spec {
    /// The program and its arguments: ENTRYPOINT followed by CMD.
    pub fn argv(&self) -> Vec<String> {
        let parts = [&self.config.entrypoint, &self.config.cmd];
        parts.into_iter().flatten().flatten().cloned().collect()
    }

    /// Where its process begins. Configurations may have a path without its first slash.
    pub fn directory(&self) -> String {
        let directory = &self.config.working_dir;
        if directory.starts_with('/') { directory.clone() } else { format!("/{directory}") }
    }

    /// `NAME=VALUE`, without what a start adds.
    pub fn env(&self) -> &[String] {
        self.config.env.as_deref().unwrap_or_default()
    }

    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.config.labels
    }

    /// What its health is told by, unless there is nothing or it was switched off.
    pub fn healthcheck(&self) -> Option<&Healthcheck> {
        let check = self.config.healthcheck.as_ref()?;
        check.test.first().is_some_and(|kind| kind != "NONE").then_some(check)
    }

    /// The names of its volumes: what its record pins.
    pub fn volumes(&self) -> Vec<String> {
        let names = self.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { name, .. } => Some(name.clone()),
            MountSource::Bind { .. } | MountSource::Tmpfs(_) => None,
        });
        names.collect()
    }
}

/// As Docker's users know it.
impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::Host => "host",
            Self::None => "none",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}
