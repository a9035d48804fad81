//! The executor of Linux programs, or what stands in its place where there can be none.

use std::sync::Arc;

use kiln_exec::{Error, Executor, Finished, Io, Process, Root, Unavailable};

pub(super) enum Namespaces {
    /// The command runs nothing.
    NotNeeded,
    #[cfg(target_os = "linux")]
    Entered(kiln_sys::userns::Ids),
    Denied(Unavailable),
}

impl Namespaces {
    /// Makes the process root of a user namespace of its own, unless it is root already. A refusal is no failure yet:
    /// WebAssembly programs can be run without.
    #[cfg(target_os = "linux")]
    pub(super) fn enter() -> Self {
        match kiln_sys::userns::enter() {
            Ok(ids) => Self::Entered(ids),
            Err(denied) => Self::Denied(unavailable(denied.reason, denied.remedy)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn enter() -> Self {
        let reason = "Linux programs need a Linux kernel".to_owned();
        Self::Denied(unavailable(reason, "use WebAssembly programs, or a Linux machine".to_owned()))
    }

    /// What would help against root being the only user that programs can be, if that is so.
    pub(super) fn remedy_for_one_id(&self) -> Option<&'static str> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Entered(kiln_sys::userns::Ids::Single) => Some(kiln_exec::namespaces::MORE_IDS),
            _ => None,
        }
    }

    /// That of a container's supervisor: who starts one has done the preflight.
    #[cfg(target_os = "linux")]
    pub(super) fn linux(&self) -> Result<kiln_exec::namespaces::Namespaces, Unavailable> {
        match self {
            Self::Entered(ids) => Ok(kiln_exec::namespaces::Namespaces::checked(*ids)),
            Self::Denied(unavailable) => Err(unavailable.clone()),
            Self::NotNeeded => unreachable!("`Action::needs_namespaces` names the commands that run programs"),
        }
    }

    /// Whether files can be given to others.
    pub(super) fn owners(&self) -> kiln_container::Owners {
        match self {
            #[cfg(target_os = "linux")]
            Self::Entered(kiln_sys::userns::Ids::Root | kiln_sys::userns::Ids::Ranges) => kiln_container::Owners::Kept,
            _ => kiln_container::Owners::Ours,
        }
    }

    pub(super) fn executor(&self) -> Arc<dyn Executor> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Entered(ids) => Arc::new(kiln_exec::namespaces::Namespaces::new(*ids)),
            Self::Denied(unavailable) => Arc::new(Missing(unavailable.clone())),
            Self::NotNeeded => unreachable!("`Action::needs_namespaces` names the commands that run programs"),
        }
    }
}

fn unavailable(reason: String, remedy: String) -> Unavailable {
    Unavailable { executor: "namespace", reason, remedy }
}

/// Says why there is none.
struct Missing(Unavailable);

impl Executor for Missing {
    fn abi(&self) -> &'static str {
        "linux/none"
    }

    fn preflight(&self) -> Result<(), Unavailable> {
        Err(self.0.clone())
    }

    fn run(&self, _: &Root<'_>, _: &Process, _: &Io<'_>) -> Result<Finished, Error> {
        Err(Error::Unavailable(self.0.clone()))
    }
}
