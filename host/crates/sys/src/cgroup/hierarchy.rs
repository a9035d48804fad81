//! Where the host's control groups are, and where in them this process may make one.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::{Error, read, write};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Memory,
    Cpu,
    /// Only counts.
    Cpuacct,
    Cpuset,
    Pids,
    Freezer,
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Pids => "pids",
            Self::Freezer => "freezer",
        }
    }

    /// Completes "cannot …".
    pub(super) fn limiting(self) -> &'static str {
        match self {
            Self::Memory => "limit the memory of",
            Self::Cpu => "limit the processor time of",
            Self::Cpuacct => "count the processor time of",
            Self::Cpuset => "choose the processors of",
            Self::Pids => "limit the processes of",
            Self::Freezer => "pause",
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Memory => "limit memory",
            Self::Cpu => "limit processor time",
            Self::Cpuacct => "count processor time",
            Self::Cpuset => "choose processors",
            Self::Pids => "limit the number of processes",
            Self::Freezer => "pause a container",
        }
    }
}

const DELEGATE: &str = "run kiln as root, or start it with `systemd-run --user --scope -p Delegate=yes kiln …`";

/// One that is mounted.
#[derive(Debug)]
struct Hierarchy {
    mounted_at: PathBuf,
    /// This process's group in it.
    own: PathBuf,
    /// Of version 1; empty for the unified one.
    controllers: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Hierarchies(Vec<Hierarchy>);

impl Hierarchies {
    pub(super) fn of_this_process() -> Result<Self, Error> {
        let read = |path: &str| {
            fs::read_to_string(path).map_err(|source| Error::System { action: "find", path: path.into(), source })
        };
        Ok(Self::parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?))
    }

    fn parse(mounts: &str, groups: &str) -> Self {
        let mounted = mounts.lines().filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut before = before.split(' ').skip(3);
            let (root, at) = (before.next()?, before.next()?);
            let mut after = after.split(' ');
            let (kind, options) = (after.next()?, after.nth(1)?);
            let options: Vec<&str> = match kind {
                "cgroup2" => Vec::new(),
                "cgroup" => options.split(',').collect(),
                _ => return None,
            };
            let (listed, own) = groups.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':');
                let (listed, path) = (fields.nth(1)?, fields.next()?);
                let is_it = match options.is_empty() {
                    true => listed.is_empty(),
                    false => !listed.is_empty() && listed.split(',').all(|name| options.contains(&name)),
                };
                is_it.then_some((listed, path))
            })?;
            let controllers = listed.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            // Where only a part of the hierarchy is mounted, as in a container, its root is that part.
            let below = Path::new(own).strip_prefix(root).unwrap_or(Path::new(""));
            Some(Hierarchy { mounted_at: at.into(), own: Path::new(at).join(below), controllers })
        });
        Self(mounted.collect())
    }

    /// The controllers of the hierarchy of version 1 that has this one, if one has.
    pub(super) fn version_1(&self, controller: Controller) -> Option<&[String]> {
        let has = |hierarchy: &&Hierarchy| hierarchy.controllers.iter().any(|known| known == controller.name());
        self.0.iter().find(has).map(|hierarchy| hierarchy.controllers.as_slice())
    }

    /// A directory in which a group can be made that `controller` controls.
    pub(super) fn parent_for(&self, controller: Controller) -> Result<PathBuf, Error> {
        let name = controller.name();
        let refuse = |reason: String, remedy| Error::Unavailable { wanted: controller.wanted(), reason, remedy };
        // Version 1 has it alone. What limits this process limits what it starts.
        if let Some(own) = self.0.iter().find(|hierarchy| hierarchy.controllers.iter().any(|known| known == name)) {
            return match access(&own.own, Access::WRITE_OK) {
                Ok(()) => Ok(own.own.clone()),
                Err(errno) => Err(refuse(format!("{} cannot be written to: {errno}", own.own.display()), DELEGATE)),
            };
        }
        let Some(unified) = self.0.iter().find(|hierarchy| hierarchy.controllers.is_empty()) else {
            return Err(refuse(
                format!("no control group hierarchy with the {name} controller is mounted"),
                "mount the unified hierarchy at /sys/fs/cgroup",
            ));
        };
        // A group with processes in it has no controlled children, so it is a sibling of this process's own. Root takes
        // the top, as Docker does: the groups above its own may belong to a session that ends.
        let parent = [unified.mounted_at.as_path(), unified.own.parent().unwrap_or(&unified.own)]
            .into_iter()
            .find(|path| path.starts_with(&unified.mounted_at) && access(*path, Access::WRITE_OK).is_ok())
            .ok_or_else(|| refuse("this user's control group is not its own to divide".to_owned(), DELEGATE))?;
        if controller != Controller::Freezer {
            enable(parent, name).map_err(|reason| refuse(reason, DELEGATE))?;
        }
        Ok(parent.to_owned())
    }
}

/// Has the children of a group of the unified hierarchy controlled.
fn enable(parent: &Path, name: &str) -> Result<(), String> {
    let lists = |file| read(parent, file).is_some_and(|list| list.split_ascii_whitespace().any(|known| known == name));
    if lists("cgroup.subtree_control") {
        return Ok(());
    }
    if !lists("cgroup.controllers") {
        return Err(format!("the {name} controller is not available in {}", parent.display()));
    }
    write(parent, "cgroup.subtree_control", &format!("+{name}"), "divide").map_err(|error| match error {
        Error::System { path, source, .. } => {
            format!("the {name} controller cannot be had in {}: {source}", path.display())
        }
        other @ Error::Unavailable { .. } => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(mounts: &str, groups: &str) -> Vec<String> {
        let hierarchies = Hierarchies::parse(mounts, groups).0;
        hierarchies.iter().map(|hierarchy| hierarchy.own.display().to_string()).collect()
    }

    #[test]
    fn a_process_is_found_in_all_hierarchies() {
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            own(unified, "0::/user.slice/user-1000.slice/session-3.scope\n"),
            ["/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope"]
        );
        let hybrid = "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup systemd rw,xattr,name=systemd\n\
                      34 30 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      35 30 0:31 / /proc rw - proc proc rw\n";
        let groups = "5:cpu,cpuacct:/a\n4:pids:/b c\n1:name=systemd:/init.scope\n0::/d\n";
        assert_eq!(
            own(hybrid, groups),
            [
                "/sys/fs/cgroup/unified/d",
                "/sys/fs/cgroup/cpu,cpuacct/a",
                "/sys/fs/cgroup/systemd/init.scope",
                "/sys/fs/cgroup/pids/b c"
            ]
        );
        let joint = Hierarchies::parse(hybrid, groups);
        assert_eq!(joint.version_1(Controller::Cpuacct), Some(&["cpu".to_owned(), "cpuacct".to_owned()][..]));
        assert_eq!(joint.version_1(Controller::Memory), None);
        let in_a_container = "40 30 0:30 /docker/1 /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n";
        assert_eq!(own(in_a_container, "4:pids:/docker/1\n"), ["/sys/fs/cgroup/pids/"]);
        assert_eq!(own("broken\n1 2 - cgroup2\n", "0::/\n"), [""; 0]);
    }
}
