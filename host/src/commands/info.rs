//! `kiln info`: the store, and what this host can run.

mod registries;

use std::io::Write;

use kiln_exec::Executor;
use kiln_exec::wasi::Limits;
use kiln_store::{Part, Usage};
use kiln_template::Types;
use kiln_types::Platform;
use serde::Serialize;

use super::version::VERSION;
use crate::cli::info::Info;
use crate::report::format::Format;
use crate::report::size;
use crate::session::Session;
use registries::{INDEX_SERVER, RegistryConfig};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Facts {
    version: &'static str,
    /// As Docker calls the version, the folder, and what it says of the host.
    server_version: &'static str,
    #[serde(rename = "OSType")]
    os_type: String,
    architecture: String,
    #[serde(rename = "NCPU")]
    cpus: usize,
    docker_root_dir: String,
    platform: String,
    root_dir: String,
    images: u64,
    intermediate_images: u64,
    store: Vec<Folder>,
    executors: Vec<Availability>,
    layers: Layers,
    index_server_address: &'static str,
    registry_config: RegistryConfig,
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
    /// What is missing: all of it, or something where it is available.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// How native steps get their root filesystem.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Layers {
    form: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

const TYPES: Types = Types { name: "info", maps: &["IndexConfigs"], lists: &[], methods: &[] };

pub(super) fn run(options: &Info, session: &Session) -> anyhow::Result<()> {
    let store = session.store_to_read()?;
    let usage = store.usage()?;
    session.config()?.show_warnings();
    let platform = Platform::host();
    let root_dir = session.root().display().to_string();
    let facts = Facts {
        version: VERSION,
        server_version: VERSION,
        platform: platform.to_string(),
        os_type: platform.os,
        architecture: platform.architecture,
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        docker_root_dir: root_dir.clone(),
        root_dir,
        images: usage.images,
        intermediate_images: usage.intermediate_images,
        store: folders(&usage),
        executors: vec![
            availability("namespace", &*session.namespace_executor(), session.remedy_for_one_id()),
            availability("wasi", &*session.wasi_executor(&store, Limits::BUILD), None),
        ],
        layers: match store.mounts_layers() {
            Ok(()) => Layers { form: "mounted", reason: None },
            Err(why) => Layers { form: "unpacked", reason: Some(why.to_owned()) },
        },
        index_server_address: INDEX_SERVER,
        registry_config: RegistryConfig::new(&session.config()?.registries),
    };
    let mut out = super::stdout();
    match &options.format {
        _ if options.json => writeln!(out, "{}", serde_json::to_string_pretty(&facts)?)?,
        None | Some(Format::Table) => write(&facts, &mut out)?,
        Some(format) => format.write_one(&serde_json::to_value(&facts)?, &TYPES, &mut out)?,
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
        folder("Cache Mounts", usage.caches),
    ]
}

fn availability(name: &'static str, executor: &dyn Executor, remedy_for_one_id: Option<&str>) -> Availability {
    let result = executor.preflight();
    let available = result.is_ok();
    let (reason, remedy) = match (result, remedy_for_one_id) {
        (Ok(()), None) => (None, None),
        (Ok(()), Some(remedy)) => (Some("root is the only user there is".to_owned()), Some(remedy.to_owned())),
        (Err(unavailable), _) => (Some(unavailable.reason), Some(unavailable.remedy)),
    };
    Availability { name, abi: executor.abi(), available, reason, remedy }
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
        let Availability { name, abi, available, reason, remedy } = executor;
        let state = if *available { format!("available ({abi})") } else { "not available".to_owned() };
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        writeln!(out, " {name}: {state}{reason}")?;
        if let Some(remedy) = remedy {
            writeln!(out, "  hint: {remedy}")?;
        }
    }
    let reason = facts.layers.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    writeln!(out, "Layers: {}{reason}", facts.layers.form)?;
    facts.registry_config.write(out)
}
