//! Runs the preview 1 programs of the WASI test suite (github.com/WebAssembly/wasi-testsuite, whose branch
//! `prod/testsuite-base` has them built) and says which of them fail and how.
//!
//! `wasi_testsuite <modules directory> <directory of .wasm and .json files>…`
//! `KILN_ONLY=<name>` runs one program and prints all that it wrote.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use kiln_exec::wasi::{Limits, Wasi};
use kiln_exec::{Cancel, Executor, Io, Network, Output, Process, Root, Stdin, Stream};
use kiln_image::{Change, Content, Layer, Meta, Node, User, View, compare_paths, write_layer};
use kiln_types::{Digest, paths};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the suite says of a program; see its `doc/specification.md`.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Specification {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    /// A directory beside the program that is its root.
    root: Option<String>,
    exit_code: i32,
    stdout: Option<String>,
}

/// Programs that fail because a step's world is another, and why.
const DIFFERENT: [(&str, &str); 7] = [
    ("environ_get-multiple-variables", "PWD is always set"),
    ("environ_sizes_get-multiple-variables", "PWD is always set"),
    ("environ_sizes_get-no-variables", "PWD is always set"),
    ("interesting_paths", "a path that is absolute or has too many `..` means the step's root, not an error"),
    ("sock_shutdown-invalid_fd", "3 is open: the root is there for every program"),
    ("sock_shutdown-not_sock", "whatever concerns sockets is ENOTSUP"),
    ("symlink_create", "links of images may be absolute, so those of steps may"),
];

const PROGRAM: &str = "/.test/program.wasm";

fn add(host: &Path, path: Vec<u8>, changes: &mut Vec<Change>) -> Result<()> {
    let meta = Meta { mode: 0o755, ..Meta::default() };
    if host.is_dir() {
        changes.push(Change { path: path.clone(), meta, node: Node::Directory { opaque: false } });
        for entry in std::fs::read_dir(host)? {
            let entry = entry?;
            add(&entry.path(), paths::join(&path, entry.file_name().as_encoded_bytes()), changes)?;
        }
        return Ok(());
    }
    changes.push(Change { path, meta, node: Node::File(Content::bytes(std::fs::read(host)?)) });
    Ok(())
}

fn image(program: &Path, root: Option<&Path>) -> Result<View> {
    let mut changes = Vec::new();
    if let Some(root) = root {
        add(root, Vec::new(), &mut changes)?;
    }
    let path = paths::clean(PROGRAM);
    for directory in paths::ancestors(&path) {
        let meta = Meta { mode: 0o755, ..Meta::default() };
        if !directory.is_empty() {
            changes.push(Change { path: directory.to_vec(), meta, node: Node::Directory { opaque: false } });
        }
    }
    add(program, path, &mut changes)?;
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    let tar = tempfile::tempfile()?;
    let written = write_layer(changes, &tar)?;
    let layer = Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(tar), index: written.index };
    Ok(View::new(vec![Arc::new(layer)]))
}

/// Nothing, or why it fails.
fn run(wasi: &Wasi, program: &Path) -> Result<Option<String>> {
    let specification = program.with_extension("json");
    let specification: Specification = if specification.exists() {
        serde_json::from_slice(&std::fs::read(specification)?)?
    } else {
        Default::default()
    };
    let root = specification.root.as_deref().and_then(|name| Some(program.parent()?.join(name)));
    let view = image(program, root.as_deref())?;
    let process = Process {
        argv: [PROGRAM.to_owned()].into_iter().chain(specification.args).collect(),
        env: specification.env.into_iter().collect(),
        cwd: "/".to_owned(),
        user: User { uid: 0, gid: 0, groups: Vec::new(), home: None, name: None },
        hostname: "kiln".to_owned(),
        network: Network::None,
        hosts: Vec::new(),
        insecure: false,
        seed: Digest::of("seed"),
        clock: kiln_exec::Clock::Still(315_532_800),
        guest_tools: false,
    };
    let output = Mutex::new((Vec::new(), Vec::new()));
    let each = |stream, bytes: &[u8]| {
        if let Ok(mut output) = output.lock() {
            let to = if stream == Stream::Out { &mut output.0 } else { &mut output.1 };
            to.extend_from_slice(bytes);
        }
    };
    let scratch = tempfile::tempdir()?;
    let cancel = Cancel::new();
    let root = Root {
        view,
        mounts: &[],
        directories: &|_| Err("no directories here".into()),
        scratch: scratch.path(),
        shared: scratch.path(),
    };
    let io = Io { stdin: Stdin::Empty, output: Output::Each(&each), cancel: &cancel };
    let finished = wasi.run(&root, &process, &io);
    let (out, err) = output.into_inner()?;
    let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    if std::env::var_os("KILN_ONLY").is_some() {
        println!("{out}{err}");
    }
    let code = match finished {
        Ok(finished) => finished.status.code(),
        Err(error) => return Ok(Some(error.to_string())),
    };
    let first_line =
        err.lines().filter(|line| !line.starts_with("kiln: compiling")).take(2).collect::<Vec<_>>().join(" ");
    Ok(if code != specification.exit_code {
        Some(format!("status {code} instead of {}: {first_line}", specification.exit_code))
    } else if specification.stdout.as_ref().is_some_and(|expected| *expected != out) {
        Some(format!("wrote {out:?}"))
    } else {
        None
    })
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let wasi = Wasi::new(arguments.next().ok_or("no modules directory")?.into(), Limits::BUILD);
    let only = std::env::var("KILN_ONLY").ok();
    let (mut passed, mut different, mut failed) = (0, 0, 0);
    for directory in arguments {
        let mut programs: Vec<_> =
            std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        programs.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        programs.sort();
        for program in programs {
            let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if only.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            let meant = DIFFERENT.iter().find(|(other, _)| *other == name);
            match (run(&wasi, &program)?, meant) {
                (None, _) => passed += 1,
                (Some(_), Some((_, reason))) => {
                    different += 1;
                    println!("{name}: different on purpose: {reason}");
                }
                (Some(reason), None) => {
                    failed += 1;
                    println!("{name}: {reason}");
                }
            }
        }
    }
    println!("{passed} passed, {different} different on purpose, {failed} failed");
    if failed == 0 { Ok(()) } else { Err("some programs failed".into()) }
}
