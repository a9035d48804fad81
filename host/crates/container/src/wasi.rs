//! Containers whose program is WebAssembly. They run in the process that starts them, on every host: it holds the lock,
//! writes log and state, and keeps what the program changes, in place of a supervisor.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kiln_exec::wasi::{Limit, Limits, Wasi};
use kiln_exec::{Cancel, Clock, Io, Mount, MountKind, Network, Output, Process, Root, Stdin, Stream};
use kiln_image::{User, View};
use kiln_store::{ContainerLock, Store};
use kiln_types::Digest;

use crate::environment::environment;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::{Container, MountSource, NetworkMode, Phase, RestartPolicy, Spec, State, now, protocol};

/// A program that could not be executed, and one that is not there.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// kiln's own failure.
const FAILED: u8 = 125;

/// Why there is no exec, attach or pause.
pub const ALONE: &str = "it is a WebAssembly program, which runs alone in the process that started it";

/// What the program that starts a container has for it.
pub struct Environment<'a> {
    pub stdin: Stdin,
    /// Where the output goes, besides the log. After an error the container is ended.
    pub output: &'a (dyn Fn(Stream, &[u8]) -> io::Result<()> + Sync),
    pub cancel: Cancel,
    /// The kind of the terminal, which a program that wants one has as it is.
    pub term: &'a str,
    /// What a container answers that was cancelled.
    pub cancelled: &'a dyn Fn() -> u8,
}

/// Refuses what WebAssembly programs cannot have, before a container is made of it.
pub fn check(spec: &Spec) -> Result<()> {
    let resources = &spec.resources;
    let cpus = resources.nano_cpus.is_some() || resources.cpu_shares.is_some();
    let refused = [
        (!spec.ports.is_empty() || spec.publish_all, "-p publishes no port", "it has no sockets"),
        (spec.network == NetworkMode::Host, "--network host gives none", "it has no sockets"),
        (
            !spec.dns.is_empty() || !spec.extra_hosts.is_empty(),
            "--dns and --add-host are of no use",
            "it has no sockets",
        ),
        (
            spec.privileged || !spec.cap_add.is_empty(),
            "it gets no capabilities",
            "no system call of it reaches the kernel",
        ),
        (cpus, "its processor time is not shared out", "bound it with --limit fuel= or time="),
        (!spec.ulimits.is_empty() || spec.shm_size.is_some(), "the kernel does not limit it", "use --limit"),
        (!spec.group_add.is_empty(), "--group-add has no effect", "files are not kept from it"),
        (!spec.devices.is_empty(), "--device shows none", "no system call of it reaches the kernel"),
        (!spec.sysctls.is_empty(), "--sysctl sets nothing", "no system call of it reaches the kernel"),
        (spec.restart != RestartPolicy::No, "--restart does not start it again", "it has no supervisor"),
    ];
    match refused.iter().find(|(refused, _, _)| *refused) {
        Some((_, what, why)) => {
            Err(Error::Refused { message: format!("a WebAssembly program is run: {what}, for {why}"), code: FAILED })
        }
        None => limits(spec).map(drop),
    }
}

/// Runs a container to its end, and answers what its program did. The store is not kept open meanwhile.
pub fn run(store: Store, container: &mut Container, environment: &Environment<'_>) -> Result<u8> {
    check(&container.spec)?;
    let root = store.root().to_owned();
    let Some(lock) = container.folder.try_lock()? else {
        let message = format!("container {} is running already", container.name());
        return Err(Error::Refused { message, code: FAILED });
    };
    container.refresh()?;
    let started = Instance::prepare(&store, container, environment.term);
    drop(store);
    let code = match started.and_then(|instance| instance.run(container, environment)) {
        Ok(code) => code,
        Err(error) => {
            end(container, code_of(&error), said(&error))?;
            remove(&root, container, lock)?;
            return Err(error);
        }
    };
    remove(&root, container, lock)?;
    Ok(code)
}

/// With `--rm`.
fn remove(root: &Path, container: &Container, lock: ContainerLock) -> Result<()> {
    if !container.spec.auto_remove {
        return Ok(());
    }
    let store = Store::open(root)?;
    let record = container.folder.record.clone();
    store.remove_locked_container(container.folder.clone(), lock)?;
    store.remove_anonymous_volumes(&record)?;
    Ok(())
}

/// All that a run needs of the store.
struct Instance {
    view: View,
    process: Process,
    mounts: Vec<Mount>,
    modules: PathBuf,
    limits: Limits,
}

impl Instance {
    fn prepare(store: &Store, container: &Container, term: &str) -> Result<Self> {
        let spec = &container.spec;
        let image = store.container_image(&container.folder.record)?;
        let diff_ids = &image.config.rootfs.diff_ids;
        let layers = diff_ids.iter().map(|diff_id| store.layer(diff_id)).collect::<Result<Vec<_>, _>>()?;
        let view = View::new(layers.into_iter().chain(container.kept_layer()?).collect());
        let user = kiln_image::resolve_user(&view, &spec.config.user)?;
        // Somebody may make keys of it.
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| Error::Random(io::Error::other(error)))?;
        let mut process = process(spec, user, Digest::of(random));
        if spec.terminal && !process.env.iter().any(|(name, _)| name == "TERM") {
            process.env.push(("TERM".to_owned(), term.to_owned()));
        }
        if process.argv.is_empty() {
            return Err(Error::Refused { message: "no command is given, and the image has none".into(), code: FAILED });
        }
        let path = process.env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
        let choice = kiln_exec::choose(&view, kiln_exec::Wanted::Wasi, &process.argv, path, &process.cwd)?;
        process.guest_tools = choice.guest_tools;
        let mounts = mounts(store, spec)?;
        Ok(Self { view, process, mounts, modules: store.modules(), limits: limits(spec)? })
    }

    fn run(&self, container: &mut Container, environment: &Environment<'_>) -> Result<u8> {
        let log = Log::open(&container.log(), &container.spec.log).map_err(Error::io("open", container.log()))?;
        let log = Mutex::new(log);
        let scratch = Scratch::make(container)?;
        let pid = std::process::id();
        container.state = State { phase: Phase::Running, pid: Some(pid), started: Some(now()), ..State::default() };
        #[cfg(target_os = "linux")]
        if let Ok(identity) = kiln_sys::process::Identity::of(pid) {
            container.state.pid_started = identity.started;
        }
        container.write_state()?;

        let Environment { output, cancel, .. } = environment;
        let lost = Cancel::new();
        let each = |stream, bytes: &[u8]| {
            let to = match stream {
                Stream::Out => protocol::Stream::Out,
                Stream::Err => protocol::Stream::Err,
            };
            log.lock().unwrap_or_else(PoisonError::into_inner).write(to, bytes);
            if !lost.is_cancelled() && output(stream, bytes).is_err() {
                lost.cancel();
                cancel.cancel();
            }
        };
        let io = Io { stdin: environment.stdin, output: Output::Each(&each), cancel };
        let root = Root {
            view: self.view.clone(),
            mounts: &self.mounts,
            directories: &|_| Err("WebAssembly programs need no directories".into()),
            scratch: &scratch.0,
            shared: &scratch.0,
        };
        let wasi = Wasi::new(self.modules.clone(), self.limits.clone());
        let stopped = wasi.run_and_keep(&root, &self.process, &io, container.spec.read_only);
        log.lock().unwrap_or_else(PoisonError::into_inner).finish();
        let stopped = stopped?;
        // Whoever sees that it has ended finds what it changed.
        container.keep_changes(stopped.changes)?;
        let code = match stopped.ended {
            Ok(status) => (status.code() & 0xff) as u8,
            Err(kiln_exec::Error::Cancelled) => (environment.cancelled)(),
            Err(error) => return Err(error.into()),
        };
        end(container, code, String::new())?;
        Ok(code)
    }
}

/// A folder of the container's to work in, gone when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make(container: &Container) -> Result<Self> {
        let path = container.folder.path().join("scratch");
        // What one that was killed has left.
        if path.exists() {
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
        fs::create_dir(&path).map_err(Error::io("make", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next start, or the container's end, removes what stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn end(container: &mut Container, code: u8, error: String) -> Result<()> {
    let state = &mut container.state;
    state.phase = if state.started.is_some() { Phase::Exited } else { Phase::Created };
    state.finished = state.started.map(|_| now());
    (state.pid, state.exit_code, state.error) = (None, code.into(), error);
    container.write_state()
}

/// Asks the process that runs it to end, or ends it; what the program changed so far is kept unless it is SIGKILL.
#[cfg(unix)]
pub fn signal(container: &Container, signal: rustix::process::Signal) -> Result<()> {
    let not_running = || Error::NotRunning { name: container.name().to_owned() };
    let pid = container.state.pid.filter(|_| container.state.is_running()).ok_or_else(not_running)?;
    #[cfg(target_os = "linux")]
    if !(kiln_sys::process::Identity { pid, started: container.state.pid_started }).is_alive() {
        return Err(not_running());
    }
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).ok_or_else(not_running)?;
    rustix::process::kill_process(pid, signal)
        .map_err(|errno| Error::io("signal", container.folder.path())(errno.into()))
}

fn process(spec: &Spec, user: User, seed: Digest) -> Process {
    Process {
        argv: spec.argv(),
        env: environment(spec, &user, false),
        cwd: spec.directory(),
        user,
        hostname: spec.hostname.clone(),
        network: Network::None,
        hosts: Vec::new(),
        insecure: false,
        seed,
        clock: Clock::Host,
        guest_tools: false,
    }
}

/// `--memory` and `--pids-limit` are limits here like others.
fn limits(spec: &Spec) -> Result<Limits> {
    let mut limits = Limits::FOREGROUND;
    if let Some(memory) = spec.resources.memory {
        limits.set(Limit::Memory(memory));
    }
    if let Some(pids) = spec.resources.pids.and_then(|pids| u64::try_from(pids).ok()).filter(|pids| *pids > 0) {
        limits.set(Limit::Processes(pids));
    }
    for text in &spec.limits {
        limits.set(text.parse().map_err(|error| Error::invalid("limit", text, format!("{error}")))?);
    }
    Ok(limits)
}

fn mounts(store: &Store, spec: &Spec) -> Result<Vec<Mount>> {
    let mut mounts = Vec::with_capacity(spec.mounts.len());
    for mount in &spec.mounts {
        let kind = match &mount.source {
            MountSource::Volume { name, .. } => MountKind::Directory(store.volume(name)?.data().to_owned()),
            MountSource::Bind { source } => MountKind::Directory(source.clone()),
            MountSource::Tmpfs(tmpfs) => MountKind::Memory((*tmpfs).into()),
        };
        mounts.push(Mount { target: mount.target.clone(), read_only: mount.read_only, kind });
    }
    Ok(mounts)
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::Exec(kiln_exec::Error::NotFound { .. }) => NOT_FOUND,
        Error::Exec(kiln_exec::Error::NotExecutable { .. }) => NOT_EXECUTABLE,
        Error::Refused { code, .. } => *code,
        _ => FAILED,
    }
}

/// An error with its causes, in one line.
fn said(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.fold(error.to_string(), |said, cause| {
        let cause = cause.to_string();
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}
