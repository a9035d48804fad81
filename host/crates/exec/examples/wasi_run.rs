//! Runs one WebAssembly program over an image made of host files, prints what it changed and how long it took.
//!
//! `wasi_run <modules directory> <host path>:<image path>[,…] <working directory> <program> [argument…]`
//! `KILN_REPEAT=n` runs it n times in this process, `KILN_KEEP=<directory>` keeps the files it has made.

#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kiln_exec::wasi::{Limits, Wasi};
use kiln_exec::{Cancel, Executor, Io, Network, Output, Process, Root, Stdin};
use kiln_image::{Change, Content, Layer, Meta, Node, User, View, write_layer};
use kiln_types::{Digest, paths};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A host file, or all that is in a host directory, under a path of the image.
fn add(host: &Path, path: &[u8], changes: &mut BTreeMap<Vec<u8>, Change>) -> Result<()> {
    let meta = Meta { mode: 0o755, ..Meta::default() };
    for directory in paths::ancestors(path) {
        let change = Change { path: directory.to_vec(), meta: meta.clone(), node: Node::Directory { opaque: false } };
        changes.insert(change.path.clone(), change);
    }
    if host.is_dir() {
        for entry in std::fs::read_dir(host)? {
            let entry = entry?;
            add(&entry.path(), &paths::join(path, entry.file_name().as_encoded_bytes()), changes)?;
        }
        return Ok(());
    }
    // Not one open file for each of thousands.
    const SMALL: u64 = 1 << 20;
    let size = host.metadata()?.len();
    let content = match size {
        0..SMALL => Content::bytes(std::fs::read(host)?),
        _ => Content::range(Arc::new(File::open(host)?), 0, size),
    };
    changes.insert(path.to_vec(), Change { path: path.to_vec(), meta, node: Node::File(content) });
    Ok(())
}

fn image(files: &str) -> Result<View> {
    let mut changes = BTreeMap::new();
    for pair in files.split(',').filter(|pair| !pair.is_empty()) {
        let (host, path) = pair.split_once(':').ok_or("no colon")?;
        add(Path::new(host), &paths::clean(path), &mut changes)?;
    }
    let mut changes: Vec<_> = changes.into_values().collect();
    changes.sort_by(|a, b| kiln_image::compare_paths(&a.path, &b.path));
    let tar = tempfile::tempfile()?;
    let written = write_layer(changes, &tar)?;
    let layer = Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(tar), index: written.index };
    Ok(View::new(vec![Arc::new(layer)]))
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let modules = arguments.next().ok_or("no modules directory")?;
    let view = image(&arguments.next().ok_or("no files")?)?;
    let cwd = arguments.next().ok_or("no working directory")?;
    let process = Process {
        argv: arguments.collect(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        cwd,
        user: User { uid: 0, gid: 0, groups: Vec::new(), home: None, name: None },
        hostname: "kiln".to_owned(),
        network: Network::None,
        hosts: Vec::new(),
        insecure: false,
        seed: Digest::of("seed"),
        clock: kiln_exec::Clock::Still(315_532_800),
        guest_tools: true,
    };
    let repeat = std::env::var("KILN_REPEAT").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let cancel = Cancel::new();
    let wasi = Wasi::new(modules.into(), Limits::BUILD);
    for _ in 0..repeat {
        let scratch = tempfile::tempdir()?;
        let root = Root {
            view: view.clone(),
            mounts: &[],
            directories: &|_| Err("no directories here".into()),
            scratch: scratch.path(),
            shared: scratch.path(),
        };
        let io = Io { stdin: Stdin::Empty, output: Output::Inherit, cancel: &cancel };
        let start = Instant::now();
        let finished = wasi.run(&root, &process, &io);
        let time = start.elapsed();
        match finished {
            Ok(finished) => {
                for change in &finished.changes {
                    eprintln!("{:?} {:?} {:o}", paths::display(&change.path), change.node, change.meta.mode);
                    if let (Ok(directory), Node::File(content)) = (std::env::var("KILN_KEEP"), &change.node) {
                        let mut file = File::create(
                            Path::new(&directory).join(String::from_utf8_lossy(paths::name(&change.path)).as_ref()),
                        )?;
                        std::io::copy(&mut content.open()?, &mut file)?;
                    }
                }
                eprintln!("status {} in {time:?}", finished.status.code());
            }
            Err(error) => eprintln!("error: {error} in {time:?}"),
        }
    }
    Ok(())
}
