//! How a container fares. Its supervisor keeps it in `state.json`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Protocol;

/// Times are in nanoseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub phase: Phase,
    /// Process 1 of the container as the host sees it, while it runs.
    pub pid: Option<u32>,
    /// When that process was started, in ticks since the machine was: so that no other one is taken for it.
    pub pid_started: u64,
    /// The directories of its control group, while there is one.
    pub cgroup: Vec<PathBuf>,
    /// Since the last start.
    pub exit_code: i32,
    /// Why it could not be started, or why nobody knows how it ended.
    pub error: String,
    pub oom_killed: bool,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    pub health: Option<Health>,
    /// While it runs.
    pub ports: Vec<PublishedPort>,
    /// How often its supervisor started it again.
    #[serde(default)]
    pub restarts: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Never started, or the last start failed before its process ran.
    #[default]
    Created,
    Running,
    Paused,
    /// It has ended, and is about to be started again.
    Restarting,
    Exited,
}

/// A port of the host that leads to one of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    pub address: IpAddr,
    pub host: u16,
    pub container: u16,
    pub protocol: Protocol,
}

/// What the healthcheck found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// The last five, oldest first.
    pub log: Vec<Probe>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

/// One run of the healthcheck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub start: i64,
    pub end: i64,
    /// −1 where it took too long.
    pub exit_code: i32,
    pub output: String,
}

impl State {
    /// Whether its process is there, be it paused, or will be in a moment.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused | Phase::Restarting)
    }
}

/// Docker's words.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        })
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        })
    }
}
