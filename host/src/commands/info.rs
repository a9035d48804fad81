//! `kiln info`: the store, and what this host can run.

use std::io::Write;

use kiln_exec::Executor;
use kiln_store::{Part, Usage};
use kiln_types::Platform;
use serde::Serialize;

use crate::cli::info::Info;
use crate::report::size;
use crate::session::Session;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Facts {
    version: &'static str,
    platform: String,
    root_dir: String,
    images: u64,
    intermediate_images: u64,
    store: Vec<Folder>,
    executors: Vec<Availability>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Folder {
    name: &'static str,
    files: u64,
    bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Availability {
    name: &'static str,
    /// What is promised to the programs that it runs: enters the keys of steps.
    #[serde(rename = "ABI")]
    abi: &'static str,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

pub(super) fn run(options: &Info, session: &Session) -> anyhow::Result<()> {
    let store = session.store()?;
    let usage = store.usage()?;
    let facts = Facts {
        version: env!("CARGO_PKG_VERSION"),
        platform: Platform::host().to_string(),
        root_dir: session.root().display().to_string(),
        images: usage.images,
        intermediate_images: usage.intermediate_images,
        store: folders(&usage),
        executors: vec![
            availability("namespace", &*session.namespace_executor()),
            availability("wasi", &*session.wasi_executor(&store)),
        ],
    };
    let mut out = super::stdout();
    if options.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&facts)?)?;
    } else {
        write(&facts, &mut out)?;
    }
    Ok(out.flush()?)
}

fn folders(usage: &Usage) -> Vec<Folder> {
    let folder = |name, Part { files, bytes }| Folder { name, files, bytes };
    vec![
        folder("Blobs", usage.blobs),
        folder("Indexes", usage.indexes),
        folder("Unpacked Layers", usage.unpacked),
        folder("Step Records", usage.steps),
        folder("Compiled Modules", usage.modules),
    ]
}

fn availability(name: &'static str, executor: &dyn Executor) -> Availability {
    let (reason, remedy) = match executor.preflight() {
        Ok(()) => (None, None),
        Err(unavailable) => (Some(unavailable.reason), Some(unavailable.remedy)),
    };
    Availability { name, abi: executor.abi(), available: reason.is_none(), reason, remedy }
}

fn write(facts: &Facts, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "Version: {}", facts.version)?;
    writeln!(out, "Platform: {}", facts.platform)?;
    writeln!(out, "Root Dir: {}", facts.root_dir)?;
    writeln!(out, "Images: {}", facts.images)?;
    writeln!(out, "Intermediate Images: {}", facts.intermediate_images)?;
    writeln!(out, "Store: {}", size::short(facts.store.iter().map(|folder| folder.bytes).sum()))?;
    for Folder { name, files, bytes } in &facts.store {
        let noun = if *files == 1 { "file" } else { "files" };
        writeln!(out, " {name}: {} in {files} {noun}", size::short(*bytes))?;
    }
    writeln!(out, "Executors:")?;
    for executor in &facts.executors {
        match (&executor.reason, &executor.remedy) {
            (Some(reason), Some(remedy)) => {
                writeln!(out, " {}: not available: {reason}", executor.name)?;
                writeln!(out, "  hint: {remedy}")?;
            }
            _ => writeln!(out, " {}: available ({})", executor.name, executor.abi)?,
        }
    }
    Ok(())
}
