//! A WebAssembly program as an OCI artifact, in the layout of the CNCF's guidance ("Wasm OCI Artifact layout"): a manifest
//! with a configuration of its own type and one layer, which is the module itself.
//!
//! Registries and WebAssembly runtimes take it as it is. Only the program is in it: no files, variables or arguments.

use std::io::Read;

use kiln_exec::dispatch;
use kiln_image::archive::BlobSource;
use kiln_image::{Content, Descriptor, Found, Manifest, Node, View};
use kiln_store::Store;
use kiln_types::{Digest, Platform, paths};
use serde::Serialize;

use crate::Error;

const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const MODULE_TYPE: &str = "application/wasm";
/// The magic and version 1; components have another version.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// The manifest, and the blobs that it names.
#[derive(Debug)]
pub struct WasmArtifact {
    pub manifest: Vec<u8>,
    config: (Digest, Vec<u8>),
    module: (Digest, Content),
}

/// The configuration. Its `component` is for components only.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WasmConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    author: &'a str,
    architecture: String,
    os: String,
    layer_digests: [Digest; 1],
}

impl WasmArtifact {
    /// The program of an image in the store.
    ///
    /// # Errors
    /// The image's entry point is not one WebAssembly module and nothing else.
    pub fn of_image(id: &Digest, store: &Store) -> Result<Self, Error> {
        let image = store
            .image(id)?
            .ok_or(Error::NoArtifact { reason: "it is not in the store".to_owned(), remedy: "build it first" })?
            .config;
        let config = &image.config;
        let entrypoint = config.entrypoint.as_deref().filter(|words| !words.is_empty());
        let command = entrypoint.or(config.cmd.as_deref()).unwrap_or_default();
        let [program] = command else {
            return Err(match command {
                [] => no_artifact("the image has neither ENTRYPOINT nor CMD", "name the module with ENTRYPOINT"),
                [program, ..] => no_artifact(
                    format!("its entry point gives arguments to `{program}`, which an artifact cannot hold"),
                    "let ENTRYPOINT, in JSON form, be the module alone",
                ),
            });
        };
        let layers = image.rootfs.diff_ids.iter().map(|diff_id| store.layer(diff_id)).collect::<Result<_, _>>()?;
        let env = config.env.as_deref().unwrap_or_default();
        let path = env.iter().find_map(|line| line.strip_prefix("PATH=")).unwrap_or_default();
        let cwd = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
        let (digest, content) = module(&View::new(layers), program, path, cwd)?;

        let Platform { os, architecture, .. } = Platform::wasi();
        let config = WasmConfig {
            created: image.created.as_deref(),
            author: &image.author,
            architecture,
            os,
            layer_digests: [digest],
        };
        let config = serde_json::to_vec(&config).expect("strings are always JSON");
        let config_digest = Digest::of(&config);
        let manifest = Manifest::new(
            Descriptor::new(CONFIG_TYPE, config_digest, config.len() as u64),
            vec![Descriptor::new(MODULE_TYPE, digest, content.size())],
        );
        Ok(Self { manifest: manifest.to_json(), config: (config_digest, config), module: (digest, content) })
    }
}

/// The file behind `program` and its digest, if it is a core module.
fn module(view: &View, program: &str, path: &str, cwd: &str) -> Result<(Digest, Content), Error> {
    let found = dispatch::find(view, program, path, cwd).map_err(|error| no_artifact(error.to_string(), LOOK))?;
    let Some(Found { node: Node::File(content), digest: Some(digest), path, .. }) = found else {
        return Err(no_artifact(format!("its entry point `{program}` is not a file of the image"), LOOK));
    };
    let mut first = Vec::new();
    let read = content.open().and_then(|input| input.take(CORE_MODULE.len() as u64).read_to_end(&mut first));
    read.map_err(|error| no_artifact(format!("{}: {error}", paths::display(&path)), LOOK))?;
    match first.as_slice() {
        CORE_MODULE => Ok((digest, content)),
        COMPONENT => Err(no_artifact(
            format!("its entry point `{program}` is a component, of which kiln makes no artifacts"),
            "compile the program for wasm32-wasip1, which gives a module",
        )),
        _ => Err(no_artifact(format!("its entry point `{program}` is not a WebAssembly module"), LOOK)),
    }
}

const LOOK: &str = "let ENTRYPOINT, in JSON form, name a module of the image";

fn no_artifact(reason: impl Into<String>, remedy: &'static str) -> Error {
    Error::NoArtifact { reason: reason.into(), remedy }
}

impl BlobSource for WasmArtifact {
    fn open(&self, digest: &Digest) -> kiln_image::Result<Box<dyn Read + Send>> {
        if *digest == self.config.0 {
            return Ok(Box::new(std::io::Cursor::new(self.config.1.clone())));
        }
        let failed = |source| kiln_image::Error::Io { action: "read the module", source };
        Ok(Box::new(self.module.1.open().map_err(failed)?))
    }
}
