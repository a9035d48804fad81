//! `kiln inspect`: everything about images, with the fields of Docker's.

use std::io::Write;
use std::process::ExitCode;

use kiln_image::Config;
use kiln_store::{Image, Store};
use kiln_types::Digest;
use serde::Serialize;

use crate::cli::inspect::Inspect;
use crate::report::failure::FAILED;
use crate::report::problem::Problem;
use crate::session::Session;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: Digest,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    /// Empty without one.
    parent: String,
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    author: String,
    config: Config,
    architecture: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    os: String,
    size: u64,
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    r#type: &'static str,
    layers: Vec<Digest>,
}

/// Tells about the images that exist, then fails if one did not.
pub(super) fn run(options: &Inspect, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    let mut inspected = Vec::new();
    let mut problems = Vec::new();
    for name in &options.images {
        match store.resolve(name) {
            Ok(image) => inspected.push(inspect(&store, image)?),
            Err(error) => problems.push(Problem::chain(&error)),
        }
    }
    let mut out = super::stdout();
    let mut json =
        serde_json::Serializer::with_formatter(&mut out, serde_json::ser::PrettyFormatter::with_indent(b"    "));
    inspected.serialize(&mut json)?;
    writeln!(out)?;
    out.flush()?;
    problems.iter().for_each(Problem::show);
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn inspect(store: &Store, image: Image) -> anyhow::Result<Inspected> {
    let names = store.names(&image.id)?;
    let (tags, digests): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.tag.is_some());
    let config = image.config;
    Ok(Inspected {
        id: image.id,
        repo_tags: tags.into_iter().map(|name| name.familiar()).collect(),
        repo_digests: digests.into_iter().map(|name| name.familiar()).collect(),
        parent: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        comment: config.history.last().and_then(|step| step.comment.clone()).unwrap_or_default(),
        created: config.created,
        author: config.author,
        config: config.config,
        architecture: config.architecture,
        variant: config.variant,
        os: config.os,
        size: store.size(&image.id)?,
        root_fs: RootFs { r#type: "layers", layers: config.rootfs.diff_ids },
    })
}
