//! Runs one WebAssembly program over an image made of host files, prints what it changed and how long it took.
//!
//! `wasi_run <modules directory> <host file>:<image path>[,…] <working directory> <program> [argument…]`
//! `KILN_REPEAT=n` runs it n times in this process.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use kiln_exec::wasi::Wasi;
use kiln_exec::{Cancel, Executor, Io, Network, Output, Process, Root, Stdin};
use kiln_image::{Change, Content, Layer, Meta, Node, User, View, write_layer};
use kiln_types::{Digest, paths};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn image(files: &str) -> Result<View> {
    let mut changes = BTreeMap::new();
    for pair in files.split(',').filter(|pair| !pair.is_empty()) {
        let (host, path) = pair.split_once(':').ok_or("no colon")?;
        let file = Arc::new(File::open(host)?);
        let size = file.metadata()?.len();
        let path = paths::clean(path);
        for directory in paths::ancestors(&path) {
            let meta = Meta { mode: 0o755, ..Meta::default() };
            let change = Change { path: directory.to_vec(), meta, node: Node::Directory { opaque: false } };
            changes.insert(change.path.clone(), change);
        }
        let meta = Meta { mode: 0o755, ..Meta::default() };
        changes.insert(path.clone(), Change { path, meta, node: Node::File(Content::range(file, 0, size)) });
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
        seed: Digest::of("seed"),
        clock: 315_532_800,
        guest_tools: true,
    };
    let repeat = std::env::var("KILN_REPEAT").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let cancel = Cancel::new();
    let wasi = Wasi::new(modules.into());
    for _ in 0..repeat {
        let scratch = tempfile::tempdir()?;
        let root = Root {
            view: view.clone(),
            directories: &|_| Err("no directories here".into()),
            scratch: scratch.path(),
        };
        let io = Io { stdin: Stdin::Empty, output: Output::Inherit, cancel: &cancel };
        let start = Instant::now();
        let finished = wasi.run(&root, &process, &io);
        let time = start.elapsed();
        match finished {
            Ok(finished) => {
                for change in &finished.changes {
                    eprintln!("{:?} {:?} {:o}", paths::display(&change.path), change.node, change.meta.mode);
                }
                eprintln!("status {} in {time:?}", finished.status.code());
            }
            Err(error) => eprintln!("error: {error} in {time:?}"),
        }
    }
    Ok(())
}
