//! A busybox image, and running things in it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kiln_exec::namespaces::Namespaces;
use kiln_exec::{
    BoxError, Cancel, Error, Executor, Finished, Io, Mount, Network, Output, Process, Root, Status, Stdin, Stream,
};
use kiln_image::{Change, Content, Layer, Meta, Node, UnpackOptions, User, View, compare_paths, unpack, write_layer};
use kiln_sys::userns::{self, Ids};
use kiln_sys::{Lower, detached};
use kiln_types::Digest;

const BUSYBOX: &str = "/bin/busybox";
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) struct Host {
    pub(crate) ids: Ids,
    pub(crate) executor: Namespaces,
    pub(crate) temporary: tempfile::TempDir,
    pub(crate) base: Arc<Layer>,
    directories: Mutex<HashMap<Digest, PathBuf>>,
    mounts: Mutex<HashMap<Digest, Lower>>,
    number: AtomicUsize,
}

/// What a process did, with its output.
pub(crate) struct Ran {
    pub(crate) status: Status,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) finished: Finished,
}

pub(crate) fn with_host(run: impl FnOnce(&Host)) {
    let ids = match userns::enter() {
        Ok(ids) => ids,
        Err(denied) => return println!("skipped: {denied}"),
    };
    let executor = Namespaces::new(ids);
    if let Err(unavailable) = executor.preflight() {
        return println!("skipped: {unavailable}");
    }
    if !fs::exists(BUSYBOX).unwrap_or(false) {
        return println!("skipped: {BUSYBOX} is not installed (package busybox-static)");
    }
    let temporary = tempfile::tempdir().expect("temporary directory");
    let base = write(temporary.path().join("base.tar"), busybox());
    let host = Host {
        ids,
        executor,
        temporary,
        base,
        directories: Mutex::default(),
        mounts: Mutex::default(),
        number: AtomicUsize::new(0),
    };
    run(&host);
}

impl Host {
    pub(crate) fn next(&self, kind: &str) -> PathBuf {
        self.temporary.path().join(format!("{kind}{}", self.number.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn layer(&self, changes: Vec<Change>) -> Arc<Layer> {
        write(self.next("layer"), changes)
    }

    /// The layer of a step, with its upper directory as directory form.
    pub(crate) fn keep(&self, finished: Finished) -> Arc<Layer> {
        let layer = self.layer(finished.changes);
        let directory = finished.directory.expect("the upper directory").free();
        self.directories.lock().expect("lock").insert(layer.diff_id, directory);
        layer
    }

    /// Mounted where that is possible, but for what a step wrote.
    fn lower(&self, layer: &Layer) -> Result<Lower, BoxError> {
        let mut mounts = self.mounts.lock().expect("lock");
        if let Some(mount) = mounts.get(&layer.diff_id) {
            return Ok(mount.clone());
        }
        let is_kept = self.directories.lock().expect("lock").contains_key(&layer.diff_id);
        if self.ids != Ids::Root || is_kept {
            return self.directory(layer).map(Lower::Directory);
        }
        let image = self.next("index");
        fs::write(&image, layer.index.to_bytes()?)?;
        let below = File::open(self.temporary.path())?;
        let mount = detached::erofs(File::open(image)?, &layer.tar)
            .and_then(|mount| detached::overlay(&[mount.as_fd(), below.as_fd()]).map(|_| mount));
        let Ok(mount) = mount else { return self.directory(layer).map(Lower::Directory) };
        let mount = Lower::Mount(Arc::new(mount));
        mounts.insert(layer.diff_id, mount.clone());
        Ok(mount)
    }

    pub(crate) fn directory(&self, layer: &Layer) -> Result<PathBuf, BoxError> {
        let mut directories = self.directories.lock().expect("lock");
        if let Some(directory) = directories.get(&layer.diff_id) {
            return Ok(directory.clone());
        }
        let directory = self.next("directory");
        fs::create_dir(&directory)?;
        let options = UnpackOptions { userxattr: self.ids.in_user_namespace(), single_id: self.ids == Ids::Single };
        unpack(layer, &directory, options)?;
        directories.insert(layer.diff_id, directory.clone());
        Ok(directory)
    }

    pub(crate) fn base_view(&self) -> View {
        View::new(vec![self.base.clone()])
    }

    /// Runs a shell script in the base image.
    pub(crate) fn shell(&self, script: &str) -> Ran {
        self.shell_in(&self.base_view(), script)
    }

    pub(crate) fn shell_in(&self, view: &View, script: &str) -> Ran {
        self.run(view, &shell_process(script)).expect("the process can be started")
    }

    /// Runs a shell script in the base image with something mounted.
    pub(crate) fn mounted(&self, mounts: &[Mount], script: &str) -> Result<Ran, Error> {
        self.mounted_in(&self.base_view(), mounts, &shell_process(script))
    }

    pub(crate) fn run(&self, view: &View, process: &Process) -> Result<Ran, Error> {
        self.mounted_in(view, &[], process)
    }

    pub(crate) fn mounted_in(&self, view: &View, mounts: &[Mount], process: &Process) -> Result<Ran, Error> {
        let (out, err) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let each = |stream: Stream, bytes: &[u8]| {
            let output = if stream == Stream::Out { &out } else { &err };
            output.lock().expect("lock").extend_from_slice(bytes);
        };
        let finished = self.start(view, mounts, process, Output::Each(&each), Stdin::Empty, &Cancel::new())?;
        let text = |bytes: Mutex<Vec<u8>>| String::from_utf8_lossy(&bytes.into_inner().expect("lock")).into_owned();
        Ok(Ran { status: finished.status, out: text(out), err: text(err), finished })
    }

    pub(crate) fn run_with(
        &self,
        view: &View,
        process: &Process,
        output: Output<'_>,
        stdin: Stdin,
        cancel: &Cancel,
    ) -> Result<Finished, Error> {
        self.start(view, &[], process, output, stdin, cancel)
    }

    fn start(
        &self,
        view: &View,
        mounts: &[Mount],
        process: &Process,
        output: Output<'_>,
        stdin: Stdin,
        cancel: &Cancel,
    ) -> Result<Finished, Error> {
        self.with_root(view, mounts, |root| self.executor.run(root, process, &Io { stdin, output, cancel }))
    }

    /// With a scratch directory of its own.
    pub(crate) fn with_root<T>(&self, view: &View, mounts: &[Mount], run: impl FnOnce(&Root<'_>) -> T) -> T {
        let scratch = self.next("scratch");
        fs::create_dir(&scratch).expect("scratch");
        let directories = |layer: &Layer| self.lower(layer);
        let shared = self.temporary.path();
        run(&Root { view: view.clone(), mounts, directories: &directories, scratch: &scratch, shared })
    }
}

pub(crate) fn process(argv: &[&str]) -> Process {
    Process {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: vec![("PATH".to_owned(), PATH.to_owned())],
        cwd: "/".to_owned(),
        user: User::default(),
        hostname: "builder".to_owned(),
        network: Network::Host,
        hosts: Vec::new(),
        insecure: false,
        seed: Digest::of(""),
        clock: kiln_exec::Clock::Still(0),
        guest_tools: false,
    }
}

pub(crate) fn shell_process(script: &str) -> Process {
    process(&["/bin/sh", "-c", script])
}

impl Ran {
    /// The output of a script that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.status, Status::Exited(0), "out: {}\nerr: {}", self.out, self.err);
        self.out.trim_end()
    }

    /// Each change as one word: path, and what kind it is.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.finished.changes.iter().map(describe).collect()
    }
}

fn describe(change: &Change) -> String {
    let kind = match &change.node {
        Node::Directory { opaque: false } => "/".to_owned(),
        Node::Directory { opaque: true } => "/ opaque".to_owned(),
        Node::File(_) => String::new(),
        Node::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(target)),
        Node::HardLink(target) => format!(" = {}", String::from_utf8_lossy(target)),
        Node::CharDevice { .. } | Node::BlockDevice { .. } => " device".to_owned(),
        Node::Fifo => " fifo".to_owned(),
        Node::Whiteout => " removed".to_owned(),
    };
    format!("{}{kind}", String::from_utf8_lossy(&change.path))
}

fn write(tar: PathBuf, changes: Vec<Change>) -> Arc<Layer> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(tar).expect("tar");
    let written = write_layer(changes, &file).expect("layer");
    Arc::new(Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(file), index: written.index })
}

pub(crate) fn directory(path: &str) -> Change {
    change(path, 0o755, Node::Directory { opaque: false })
}

pub(crate) fn file(path: &str, mode: u32, text: &str) -> Change {
    change(path, mode, Node::File(Content::bytes(text.as_bytes().to_vec())))
}

pub(crate) fn link(path: &str, target: &str) -> Change {
    change(path, 0o777, Node::Symlink(target.as_bytes().to_vec()))
}

pub(crate) fn change(path: &str, mode: u32, node: Node) -> Change {
    let meta = Meta { mode, mtime: 1_000_000_000, ..Meta::default() };
    Change { path: path.as_bytes().to_vec(), meta, node }
}

pub(crate) fn sorted(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    changes
}

/// All of busybox's programs, some accounts, and every mount point, as real base images have them.
fn busybox() -> Vec<Change> {
    let list = Command::new(BUSYBOX).arg("--list").output().expect("busybox --list");
    let applets = String::from_utf8(list.stdout).expect("names");
    let busybox = Content::bytes(fs::read(BUSYBOX).expect("busybox"));
    let mut changes: Vec<Change> = ["bin", "dev", "etc", "proc", "sys", "d"].map(directory).into();
    changes
        .extend(applets.lines().filter(|name| *name != "busybox").map(|name| link(&format!("bin/{name}"), "busybox")));
    changes.extend([
        change("bin/busybox", 0o755, Node::File(busybox)),
        change("tmp", 0o1777, Node::Directory { opaque: false }),
        file("etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n"),
        file("etc/resolv.conf", 0o644, ""),
        file("etc/hosts", 0o644, ""),
        file("etc/hostname", 0o644, ""),
        file("d/one", 0o644, "1"),
        file("d/two", 0o644, "2"),
        file("plain", 0o755, "echo hello\n"),
        file("orphan-script", 0o755, "#!/no/interpreter\n"),
        file("script", 0o755, "#!/bin/sh\necho script \"$@\"\n"),
        file("not-executable", 0o644, "#!/bin/sh\n"),
    ]);
    sorted(changes)
}
