//! RUN --mount: what is mounted where, with the defaults of each kind.

use kiln_dockerfile::{
    CACHE_NAMESPACE_ARG, Diagnostic, Heredoc, ModeChange, MountKind as Written, Owner, ResolvedMount, Sharing, Span,
};
use kiln_store::{CACHE_ROOT, CacheSharing};
use kiln_types::paths;
use serde::{Deserialize, Serialize};

use super::stage::Planner;
use super::{Copy, CopyFrom, CopySource};

/// A mount of a RUN.
pub(crate) struct Mount {
    /// Absolute.
    pub(crate) target: String,
    pub(crate) span: Span,
    pub(crate) kind: MountKind,
}

pub(crate) enum MountKind {
    Bind {
        files: Box<Copy>,
        writable: bool,
    },
    Cache {
        id: String,
        /// What a new one begins with.
        files: Option<Box<Copy>>,
        sharing: CacheSharing,
        read_only: bool,
        access: Access,
    },
    Tmpfs {
        size: Option<u64>,
        read_only: bool,
    },
    Secret {
        id: String,
        env: Option<String>,
        /// Whether there is a file.
        file: bool,
        required: bool,
        access: Access,
    },
    Ssh {
        id: String,
        required: bool,
        access: Access,
    },
}

/// Who may use it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Access {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Access {
    fn new(owner: Owner, mode: u32) -> Self {
        Self { mode: owner.mode.unwrap_or(mode), uid: owner.uid.unwrap_or(0), gid: owner.gid.unwrap_or(0) }
    }
}

impl Mount {
    /// The files that it shows or begins with, as a COPY would take them.
    pub(crate) fn files(&self) -> Option<&Copy> {
        match &self.kind {
            MountKind::Bind { files, .. } | MountKind::Cache { files: Some(files), .. } => Some(files),
            _ => None,
        }
    }

    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.kind, MountKind::Secret { .. })
    }

    pub(crate) fn files_mut(&mut self) -> Option<&mut Copy> {
        match &mut self.kind {
            MountKind::Bind { files, .. } | MountKind::Cache { files: Some(files), .. } => Some(files),
            _ => None,
        }
    }
}

impl Planner<'_> {
    pub(super) fn mounts(&mut self, mounts: &[kiln_dockerfile::Mount]) -> Result<Vec<Mount>, Diagnostic> {
        let mut planned: Vec<Mount> = Vec::with_capacity(mounts.len());
        for mount in mounts {
            let lookup = |name: &str| self.fold.lookup(name).or_else(|| self.fold.globals.get(name).map(str::to_owned));
            let escape = self.fold.globals.escape();
            let resolved = mount.resolve(&mut |text| kiln_dockerfile::expand(text, &lookup, escape))?;
            let agents = planned.iter().filter(|mount| matches!(mount.kind, MountKind::Ssh { .. })).count();
            planned.push(self.mount(resolved, agents)?);
        }
        Ok(planned)
    }

    /// `agents` is the number of ssh mounts before this one.
    fn mount(&mut self, mount: ResolvedMount, agents: usize) -> Result<Mount, Diagnostic> {
        let ResolvedMount { target, kind, span } = mount;
        let mut written = target.clone();
        let kind = match kind {
            Written::Bind { from, source, writable } => {
                let from = self.mounted_from(from.as_deref(), span)?;
                MountKind::Bind { files: Box::new(files(from, CopySource::Exactly { path: source, span })), writable }
            }
            Written::Cache { id, from, source, sharing, read_only, owner } => {
                // Without `from` a cache begins empty, whatever `source` says: as BuildKit has it.
                let from = from.map(|from| self.mounted_from(Some(&from), span)).transpose()?;
                let id = id.unwrap_or_else(|| paths::display(&paths::clean(&target)));
                MountKind::Cache {
                    id: match self.fold.globals.build_arg(CACHE_NAMESPACE_ARG) {
                        Some(namespace) if !namespace.is_empty() => format!("{namespace}/{id}"),
                        _ => id,
                    },
                    files: from.map(|from| Box::new(files(from, CopySource::Exactly { path: source, span }))),
                    sharing: match sharing {
                        Sharing::Shared => CacheSharing::Shared,
                        Sharing::Private => CacheSharing::Private,
                        Sharing::Locked => CacheSharing::Locked,
                    },
                    read_only,
                    access: Access::new(owner, 0o755),
                }
            }
            Written::Tmpfs { size, read_only } => MountKind::Tmpfs { size, read_only },
            Written::Secret { id, env, required, owner } => {
                let file = env.is_none() || !target.is_empty();
                if target.is_empty() {
                    let name = id.rsplit('/').next().unwrap_or(&id);
                    written = format!("/run/secrets/{name}");
                }
                MountKind::Secret { id, env, file, required, access: Access::new(owner, 0o400) }
            }
            Written::Ssh { id, required, owner } => {
                if target.is_empty() {
                    written = format!("/run/buildkit/ssh_agent.{agents}");
                }
                MountKind::Ssh { id, required, access: Access::new(owner, 0o600) }
            }
        };
        // As BuildKit has it: what is no file of the build is not below WORKDIR.
        let below = match &kind {
            MountKind::Secret { .. } | MountKind::Ssh { .. } => Vec::new(),
            MountKind::Bind { .. } | MountKind::Cache { .. } | MountKind::Tmpfs { .. } => {
                paths::clean(&self.fold.config.config.working_dir)
            }
        };
        let path = paths::join(&below, written.as_bytes());
        let refused = match paths::components(&path).next() {
            None => Some("the root directory cannot be a mount's target".to_owned()),
            Some(first @ (b"proc" | b"sys")) => {
                Some(format!("nothing can be mounted in /{}, which is the kernel's", String::from_utf8_lossy(first)))
            }
            Some(_) => None,
        };
        if let Some(message) = refused {
            let hint =
                if target.is_empty() { "name a target: target=/some/directory" } else { "choose another target" };
            return Err(Diagnostic::error("bad-mount-target", span, message).hint(hint));
        }
        Ok(Mount { target: paths::display(&path), span, kind })
    }

    /// What `from` names; the build context without it.
    fn mounted_from(&mut self, from: Option<&str>, span: Span) -> Result<CopyFrom, Diagnostic> {
        match from {
            None => Ok(CopyFrom::Context),
            Some(name) => self.files_of(name, span),
        }
    }
}

/// A here-document as an executable file, where BuildKit has it.
pub(super) fn script(heredoc: &Heredoc) -> Result<Mount, Diagnostic> {
    let Heredoc { name, content, span, .. } = heredoc;
    if name.is_empty() || matches!(&name[..], "." | "..") || name.contains(['/', '\0']) {
        let message = format!("a script cannot be called `{name}`: that is no name of a file");
        return Err(Diagnostic::error("bad-script-name", *span, message).hint("give the heredoc another name: <<EOF"));
    }
    let source = CopySource::Inline { name: name.clone(), content: content.clone().into_bytes() };
    let executable = ModeChange::parse("755").expect("it is a mode");
    let files = Copy { chmod: Some(executable), ..files(CopyFrom::Context, source) };
    let kind = MountKind::Bind { files: Box::new(files), writable: false };
    Ok(Mount { target: format!("/dev/pipes/{name}"), span: *span, kind })
}

fn files(from: CopyFrom, source: CopySource) -> Copy {
    Copy::without_flags(from, source, paths::display(CACHE_ROOT), [b"/", CACHE_ROOT].concat())
}
