//! Images out of a few lines, guests out of lists of calls, runs, and readable change sets.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use kiln_exec::wasi::{Limits, Wasi};
use kiln_exec::{Cancel, Error, Executor as _, Io, Network, Output, Process, Root, Stdin, Stream};
use kiln_image::{Change, Content, Layer, Meta, Node, User, View, compare_paths, write_layer};
use kiln_types::{Digest, paths};

/// Files are `("path", Some(bytes))`, directories `("path", None)`; the directories above are implied.
pub(crate) fn layer(entries: &[(&str, Option<&[u8]>)]) -> Arc<Layer> {
    let entry = |(path, bytes): &(&str, Option<&[u8]>)| Change {
        path: path.as_bytes().to_vec(),
        meta: Meta { mode: 0o755, mtime: 1000, ..Meta::default() },
        node: match bytes {
            Some(bytes) => Node::File(Content::bytes(bytes.to_vec())),
            None => Node::Directory { opaque: false },
        },
    };
    layer_of(entries.iter().map(entry).collect())
}

pub(crate) fn layer_of(mut changes: Vec<Change>) -> Arc<Layer> {
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    let tar = tempfile::tempfile().expect("temporary file");
    let written = write_layer(changes, &tar).expect("the layer is written");
    Arc::new(Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(tar), index: written.index })
}

pub(crate) fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Modules compiled by one test are there for all.
pub(crate) fn wasi() -> &'static Wasi {
    static WASI: OnceLock<(Wasi, tempfile::TempDir)> = OnceLock::new();
    let (wasi, _) = WASI.get_or_init(|| {
        let directory = tempfile::tempdir().expect("temporary directory");
        (Wasi::new(directory.path().join("modules"), Limits::BUILD), directory)
    });
    wasi
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    /// One line for each change: what it is, the path, the mode, the content.
    pub(crate) changes: Vec<String>,
}

pub(crate) fn process(argv: &[&str]) -> Process {
    Process {
        argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        env: vec![("PATH".to_owned(), "/bin".to_owned())],
        cwd: "/".to_owned(),
        user: User { uid: 0, gid: 0, groups: Vec::new(), home: None, name: None },
        hostname: "kiln".to_owned(),
        network: Network::None,
        hosts: Vec::new(),
        insecure: false,
        seed: Digest::of("seed"),
        clock: kiln_exec::Clock::Still(315_532_800),
        guest_tools: false,
    }
}

pub(crate) fn run(view: &View, process: &Process) -> Result<Outcome, Error> {
    let scratch = tempfile::tempdir().expect("temporary directory");
    run_in(wasi(), scratch.path(), view, process, &Cancel::new())
}

pub(crate) fn run_in(
    wasi: &Wasi,
    scratch: &Path,
    view: &View,
    process: &Process,
    cancel: &Cancel,
) -> Result<Outcome, Error> {
    let output = Mutex::new((Vec::new(), Vec::new()));
    let each = |stream, bytes: &[u8]| {
        let mut output = output.lock().expect("nothing panics here");
        match stream {
            Stream::Out => output.0.extend_from_slice(bytes),
            // Whether it takes long enough for a word depends on the machine.
            Stream::Err if bytes.starts_with(b"kiln: compil") => {}
            Stream::Err => output.1.extend_from_slice(bytes),
        }
    };
    let directories = |_: &Layer| Err("not asked for".into());
    let root = Root { view: view.clone(), mounts: &[], directories: &directories, scratch, shared: scratch };
    let io = Io { stdin: Stdin::Empty, output: Output::Each(&each), cancel };
    let finished = wasi.run(&root, process, &io)?;
    let (out, err) = output.into_inner().expect("nothing panics here");
    Ok(Outcome {
        code: finished.status.code(),
        out: String::from_utf8_lossy(&out).into_owned(),
        err: String::from_utf8_lossy(&err).into_owned(),
        changes: finished.changes.iter().map(line).collect(),
    })
}

fn line(change: &Change) -> String {
    let path = paths::display(&change.path);
    let Meta { mode, uid, gid, mtime, .. } = change.meta;
    let meta = format!("{mode:o} {uid}:{gid} {mtime}");
    match &change.node {
        Node::Directory { opaque } => format!("dir {path} {meta}{}", if *opaque { " opaque" } else { "" }),
        Node::File(content) => {
            let mut bytes = Vec::new();
            content.open().and_then(|mut input| input.read_to_end(&mut bytes)).expect("content can be read");
            assert_eq!(bytes.len() as u64, content.size());
            match std::str::from_utf8(&bytes) {
                Ok(text) if bytes.len() < 80 => format!("file {path} {meta} {text:?}"),
                _ => format!("file {path} {meta} {} bytes {}", bytes.len(), Digest::of(&bytes).short()),
            }
        }
        Node::Symlink(target) => format!("link {path} -> {}", String::from_utf8_lossy(target)),
        Node::HardLink(target) => format!("hard {path} = {}", paths::display(target)),
        Node::Whiteout => format!("gone {path}"),
        other => format!("{other:?} {path}"),
    }
}

/// A guest that makes one call after the other and prints each error number.
#[derive(Default)]
pub(crate) struct Script {
    data: Vec<u8>,
    body: String,
}

/// An argument of a call.
#[derive(Clone, Copy)]
pub(crate) enum A<'a> {
    I(i32),
    L(i64),
    /// A string: address and length.
    S(&'a str),
    /// The address of one of the guest's 64-byte slots.
    Slot(u32),
    /// The number in a slot.
    At(u32),
}

const SLOTS: u32 = 0;
const STRINGS: u32 = 8192;
/// For reading: 32 KiB.
pub(crate) const BUFFER: i32 = 32 << 10;

/// Name, and the types of the parameters.
pub(crate) const IMPORTS: &[(&str, &str, &str)] = &[
    ("wasi_snapshot_preview1", "args_sizes_get", "ii"),
    ("wasi_snapshot_preview1", "args_get", "ii"),
    ("wasi_snapshot_preview1", "environ_sizes_get", "ii"),
    ("wasi_snapshot_preview1", "environ_get", "ii"),
    ("wasi_snapshot_preview1", "clock_time_get", "ili"),
    ("wasi_snapshot_preview1", "fd_allocate", "ill"),
    ("wasi_snapshot_preview1", "fd_close", "i"),
    ("wasi_snapshot_preview1", "fd_fdstat_get", "ii"),
    ("wasi_snapshot_preview1", "fd_fdstat_set_flags", "ii"),
    ("wasi_snapshot_preview1", "fd_fdstat_set_rights", "ill"),
    ("wasi_snapshot_preview1", "fd_filestat_get", "ii"),
    ("wasi_snapshot_preview1", "fd_filestat_set_size", "il"),
    ("wasi_snapshot_preview1", "fd_filestat_set_times", "illi"),
    ("wasi_snapshot_preview1", "fd_pread", "iiili"),
    ("wasi_snapshot_preview1", "fd_prestat_get", "ii"),
    ("wasi_snapshot_preview1", "fd_prestat_dir_name", "iii"),
    ("wasi_snapshot_preview1", "fd_pwrite", "iiili"),
    ("wasi_snapshot_preview1", "fd_read", "iiii"),
    ("wasi_snapshot_preview1", "fd_readdir", "iiili"),
    ("wasi_snapshot_preview1", "fd_renumber", "ii"),
    ("wasi_snapshot_preview1", "fd_seek", "ilii"),
    ("wasi_snapshot_preview1", "fd_tell", "ii"),
    ("wasi_snapshot_preview1", "fd_write", "iiii"),
    ("wasi_snapshot_preview1", "path_create_directory", "iii"),
    ("wasi_snapshot_preview1", "path_filestat_get", "iiiii"),
    ("wasi_snapshot_preview1", "path_filestat_set_times", "iiiilli"),
    ("wasi_snapshot_preview1", "path_link", "iiiiiii"),
    ("wasi_snapshot_preview1", "path_open", "iiiiillii"),
    ("wasi_snapshot_preview1", "path_readlink", "iiiiii"),
    ("wasi_snapshot_preview1", "path_remove_directory", "iii"),
    ("wasi_snapshot_preview1", "path_rename", "iiiiii"),
    ("wasi_snapshot_preview1", "path_symlink", "iiiii"),
    ("wasi_snapshot_preview1", "path_unlink_file", "iii"),
    ("wasi_snapshot_preview1", "poll_oneoff", "iiii"),
    ("wasi_snapshot_preview1", "proc_raise", "i"),
    ("wasi_snapshot_preview1", "random_get", "ii"),
    ("wasi_snapshot_preview1", "sock_shutdown", "ii"),
    ("kiln_proc_v1", "spawn", "iiiiiiiii"),
    ("kiln_proc_v1", "wait", "iiii"),
    ("kiln_proc_v1", "pipe", "ii"),
    ("kiln_proc_v1", "kill", "ii"),
    ("kiln_proc_v1", "self", ""),
    ("kiln_fs_v1", "chmod", "iiiii"),
    ("kiln_fs_v1", "chown", "iiiiii"),
    ("kiln_fs_v1", "stat", "iiiii"),
    ("kiln_fs_v1", "umask", "i"),
];

/// Prints what is in `fd_write`'s own buffer, and numbers.
const HELPERS: &str = r#"
(func $say (param $at i32) (param $length i32)
  (i32.store (i32.const 4096) (local.get $at))
  (i32.store (i32.const 4100) (local.get $length))
  (drop (call $fd_write (i32.const 1) (i32.const 4096) (i32.const 1) (i32.const 4104))))
(func $number (param $value i64)
  (local $at i32)
  (local.set $at (i32.const 4160))
  (i32.store8 (local.get $at) (i32.const 32))
  (loop $digits
    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
    (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $value) (i64.const 10)))))
    (local.set $value (i64.div_u (local.get $value) (i64.const 10)))
    (br_if $digits (i64.ne (local.get $value) (i64.const 0))))
  (call $say (local.get $at) (i32.sub (i32.const 4161) (local.get $at))))
"#;

impl Script {
    fn string(&mut self, text: &str) -> (u32, u32) {
        let at = STRINGS + self.data.len() as u32;
        self.data.extend_from_slice(text.as_bytes());
        (at, text.len() as u32)
    }

    fn arguments(&mut self, arguments: &[A<'_>]) -> String {
        let mut text = String::new();
        for argument in arguments {
            match *argument {
                A::I(number) => write!(text, " (i32.const {number})"),
                A::L(number) => write!(text, " (i64.const {number})"),
                A::S(string) => {
                    let (at, length) = self.string(string);
                    write!(text, " (i32.const {at}) (i32.const {length})")
                }
                A::Slot(slot) => write!(text, " (i32.const {})", SLOTS + slot * 64),
                A::At(slot) => write!(text, " (i32.load (i32.const {}))", SLOTS + slot * 64),
            }
            .expect("writing to a String cannot fail");
        }
        text
    }

    /// Calls and prints the result.
    pub(crate) fn call(mut self, function: &str, arguments: &[A<'_>]) -> Self {
        let arguments = self.arguments(arguments);
        writeln!(self.body, "(call $number (i64.extend_i32_u (call ${function}{arguments})))").expect("a String");
        self
    }

    /// Calls and says nothing.
    pub(crate) fn quiet(mut self, function: &str, arguments: &[A<'_>]) -> Self {
        let arguments = self.arguments(arguments);
        writeln!(self.body, "(drop (call ${function}{arguments}))").expect("a String");
        self
    }

    /// Opens `path` for reading, and for writing unless it asks for a directory, into a slot.
    pub(crate) fn open(self, path: &str, flags: i32, slot: u32) -> Self {
        const O_DIRECTORY: i32 = 2;
        const FD_WRITE: i64 = 1 << 6;
        let rights = A::L(0x1fff_ffff & if flags & O_DIRECTORY == 0 { i64::MAX } else { !FD_WRITE });
        self.call("path_open", &[A::I(3), A::I(1), A::S(path), A::I(flags), rights, A::L(0), A::I(0), A::Slot(slot)])
    }

    pub(crate) fn write(mut self, fd: A<'_>, text: &str) -> Self {
        let (at, length) = self.string(text);
        let vector = |place: u32, value: u32| format!("(i32.store (i32.const {place}) (i32.const {value}))");
        writeln!(self.body, "{}{}", vector(4200, at), vector(4204, length)).expect("a String");
        self.call("fd_write", &[fd, A::I(4200), A::I(1), A::I(4208)])
    }

    /// Reads up to `length` bytes and prints them.
    pub(crate) fn read(mut self, fd: A<'_>, length: u32) -> Self {
        let vector = |place: u32, value: u32| format!("(i32.store (i32.const {place}) (i32.const {value}))");
        writeln!(self.body, "{}{}", vector(4200, BUFFER as u32), vector(4204, length)).expect("a String");
        self = self.call("fd_read", &[fd, A::I(4200), A::I(1), A::I(4208)]);
        writeln!(self.body, "(call $say (i32.const {BUFFER}) (i32.load (i32.const 4208)))").expect("a String");
        self
    }

    pub(crate) fn store(mut self, address: u32, value: u32) -> Self {
        writeln!(self.body, "(i32.store (i32.const {address}) (i32.const {value}))").expect("a String");
        self
    }

    pub(crate) fn print_u32(mut self, address: u32) -> Self {
        writeln!(self.body, "(call $number (i64.extend_i32_u (i32.load (i32.const {address}))))").expect("a String");
        self
    }

    pub(crate) fn print_u64(mut self, address: u32) -> Self {
        writeln!(self.body, "(call $number (i64.load (i32.const {address})))").expect("a String");
        self
    }

    pub(crate) fn print_bytes(mut self, address: i32, length: i32) -> Self {
        writeln!(self.body, "(call $say (i32.const {address}) (i32.const {length}))").expect("a String");
        self
    }

    pub(crate) fn raw(mut self, text: &str) -> Self {
        self.body.push_str(text);
        self.body.push('\n');
        self
    }

    /// A module that imports of kiln's own functions only those that it calls.
    pub(crate) fn wasm(&self) -> Vec<u8> {
        let mut text = String::from("(module\n");
        for (module, name, parameters) in IMPORTS {
            if *module != "wasi_snapshot_preview1" && !self.body.contains(&format!("(call ${name}")) {
                continue;
            }
            write!(text, "(import \"{module}\" \"{name}\" (func ${name} (param").expect("a String");
            for parameter in parameters.chars() {
                text.push_str(if parameter == 'l' { " i64" } else { " i32" });
            }
            text.push_str(") (result i32)))\n");
        }
        text.push_str("(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $proc_exit (param i32)))\n");
        let data: String = self.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        write!(
            text,
            "(memory (export \"memory\") 4)\n(data (i32.const {STRINGS}) \"{data}\")\n{HELPERS}\n\
             (func $main (export \"_start\") (local $i i32)\n{}))",
            self.body
        )
        .expect("a String");
        wasm(&text)
    }

    /// Runs it as `/bin/test` in an image that has `entries` besides.
    pub(crate) fn run(&self, entries: &[(&str, Option<&[u8]>)]) -> Outcome {
        let program = self.wasm();
        let mut all = vec![("bin/test", Some(&program[..]))];
        all.extend_from_slice(entries);
        run(&View::new(vec![layer(&all)]), &process(&["test"])).expect("the test program runs")
    }
}
