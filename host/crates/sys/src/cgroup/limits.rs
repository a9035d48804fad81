//! What a control group may use, in the files of both versions.

use std::path::Path;

use super::hierarchy::Controller;
use super::{Error, is_unified, write};

/// `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// In bytes.
    pub memory: Option<u64>,
    /// Memory and swap together, in bytes. Docker's default is twice the memory.
    pub memory_and_swap: Option<u64>,
    /// What is left to it when memory is short, in bytes.
    pub memory_reservation: Option<u64>,
    /// In billionths of one processor.
    pub nano_cpus: Option<u64>,
    /// Its weight against others; 1024 is everyone's.
    pub cpu_shares: Option<u64>,
    /// Which processors, as `0-2,4`.
    pub cpuset: Option<String>,
    pub processes: Option<u64>,
}

/// The kernel counts processor time in periods of so many microseconds.
const PERIOD: u64 = 100_000;

impl Limits {
    pub(super) fn controllers(&self) -> Vec<Controller> {
        let wanted = [
            (
                self.memory.is_some() || self.memory_and_swap.is_some() || self.memory_reservation.is_some(),
                Controller::Memory,
            ),
            (self.nano_cpus.is_some() || self.cpu_shares.is_some(), Controller::Cpu),
            (self.cpuset.is_some(), Controller::Cpuset),
            (self.processes.is_some(), Controller::Pids),
        ];
        wanted.into_iter().filter_map(|(wanted, controller)| wanted.then_some(controller)).collect()
    }

    /// Writes those of one controller to the group at `path`.
    pub(super) fn write(&self, controller: Controller, path: &Path) -> Result<(), Error> {
        let unified = is_unified(path);
        let set = |[first, second]: [&str; 2], value: &str| {
            let file = if unified { second } else { first };
            write(path, file, value, controller.limiting())
        };
        match controller {
            Controller::Memory => self.write_memory(path, unified),
            Controller::Cpu => {
                if let Some(nano_cpus) = self.nano_cpus {
                    let quota = u64::try_from(u128::from(nano_cpus) * u128::from(PERIOD) / 1_000_000_000);
                    // The kernel takes no less.
                    let quota = quota.unwrap_or(u64::MAX).max(1000);
                    if !unified {
                        write(path, "cpu.cfs_period_us", &PERIOD.to_string(), controller.limiting())?;
                    }
                    let both = format!("{quota} {PERIOD}");
                    set(
                        ["cpu.cfs_quota_us", "cpu.max"],
                        if unified { &both } else { both.split(' ').next().unwrap_or("") },
                    )?;
                }
                match self.cpu_shares {
                    Some(shares) if unified => {
                        // The conversion of every runtime: 2…262144 to 1…10000.
                        let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142;
                        set(["", "cpu.weight"], &weight.to_string())
                    }
                    Some(shares) => set(["cpu.shares", ""], &shares.to_string()),
                    None => Ok(()),
                }
            }
            Controller::Cpuset => {
                if !unified {
                    // Empty in a new group of version 1, which no process can enter then.
                    let parent = path.parent().unwrap_or(path);
                    let nodes = super::read(parent, "cpuset.mems").unwrap_or_default();
                    write(path, "cpuset.mems", nodes.trim(), controller.limiting())?;
                }
                match &self.cpuset {
                    Some(cpuset) => set(["cpuset.cpus"; 2], cpuset),
                    // Those of who it belongs to, as there are none in a new group.
                    None if !unified => {
                        let all = super::read(path.parent().unwrap_or(path), "cpuset.cpus").unwrap_or_default();
                        write(path, "cpuset.cpus", all.trim(), controller.limiting())
                    }
                    None => Ok(()),
                }
            }
            Controller::Pids => self.processes.map_or(Ok(()), |most| set(["pids.max"; 2], &most.to_string())),
            Controller::Cpuacct | Controller::Freezer => Ok(()),
        }
    }

    fn write_memory(&self, path: &Path, unified: bool) -> Result<(), Error> {
        let set = |[first, second]: [&str; 2], value: u64| {
            let file = if unified { second } else { first };
            write(path, file, &value.to_string(), Controller::Memory.limiting())
        };
        if let Some(memory) = self.memory {
            set(["memory.limit_in_bytes", "memory.max"], memory)?;
        }
        if let Some(both) = self.memory_and_swap {
            let file = if unified { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" };
            let value = if unified { both.saturating_sub(self.memory.unwrap_or(0)) } else { both };
            // Kernels without swap accounting have no such file, and then nothing is lost: Docker warns and goes on.
            if path.join(file).exists() {
                set([file; 2], value)?;
            }
        }
        self.memory_reservation.map_or(Ok(()), |low| set(["memory.soft_limit_in_bytes", "memory.low"], low))
    }
}
