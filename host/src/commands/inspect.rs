//! `kiln inspect`: everything about images, with the fields of Docker's.

use std::io::Write;
use std::process::ExitCode;

use kiln_image::Config;
use kiln_store::{Image, Store};
use kiln_template::Types;
use kiln_types::Digest;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::inspect::{Inspect, InspectType};
use crate::report::failure::FAILED;
use crate::report::format::Format;
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
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    r#type: &'static str,
    layers: Vec<Digest>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    last_tag_time: String,
}

const TYPES: Types = Types {
    name: "image",
    maps: &["Labels", "ExposedPorts", "Volumes"],
    lists: &["RepoTags", "RepoDigests", "Env", "Entrypoint", "Cmd", "OnBuild", "Shell", "Test", "Layers"],
    methods: &[],
};
/// What an image may have: templates may ask for it, though JSON leaves it out where there is none.
const OPTIONAL: [&str; 2] = ["Created", "Variant"];
const OPTIONAL_IN_CONFIG: [&str; 13] = [
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
];

/// Tells about the images that exist, then fails if one did not.
pub(super) fn run(options: &Inspect, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    let mut inspected = Vec::new();
    let mut problems = Vec::new();
    for name in &options.images {
        if options.kind == Some(InspectType::Container) {
            problems.push(Problem::error(format!("No such container: {name}")));
            continue;
        }
        match store.resolve(name) {
            Ok(image) => inspected.push(inspect(&store, image)?),
            Err(error) => problems.push(Problem::chain(&error)),
        }
    }
    let mut out = super::stdout();
    write(&inspected, options.format.as_ref().unwrap_or(&Format::Table), &mut out)?;
    out.flush()?;
    problems.iter().for_each(Problem::show);
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn write(inspected: &[Inspected], format: &Format, out: &mut impl Write) -> anyhow::Result<()> {
    match format {
        Format::Table => {
            let indented = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            inspected.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, indented))?;
            writeln!(out)?;
        }
        Format::Json => writeln!(out, "{}", serde_json::to_string(inspected)?)?,
        template => {
            for image in inspected {
                template.write_one(&for_templates(image)?, &TYPES, out)?;
            }
        }
    }
    Ok(())
}

/// With all fields that an image may have.
fn for_templates(image: &Inspected) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(image)?;
    let complete = |object: Option<&mut Map<String, Value>>, fields: &[&str]| {
        let Some(object) = object else { return };
        for &field in fields {
            let empty = match field {
                "Created" | "Variant" | "StopSignal" | "User" | "WorkingDir" => Value::from(""),
                "ArgsEscaped" => Value::from(false),
                _ => Value::Null,
            };
            object.entry(field).or_insert(empty);
        }
    };
    complete(value.as_object_mut(), &OPTIONAL);
    complete(value.get_mut("Config").and_then(Value::as_object_mut), &OPTIONAL_IN_CONFIG);
    Ok(value)
}

fn inspect(store: &Store, image: Image) -> anyhow::Result<Inspected> {
    let names = store.names(&image.id)?;
    let last_tag_time = store.last_tagged(&names).map_or_else(
        || "0001-01-01T00:00:00Z".to_owned(),
        |time| jiff::Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default(),
    );
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
        metadata: Metadata { last_tag_time },
    })
}
