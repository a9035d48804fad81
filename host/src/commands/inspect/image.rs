//! What `inspect` shows of an image.

use kiln_image::Config;
use kiln_store::{Image, Store};
use kiln_template::Types;
use kiln_types::Digest;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::commands::commit;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
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
    /// `commit` where a layer was made by hand in a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

pub(super) const TYPES: Types = Types {
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

/// With all fields that an image may have.
pub(super) fn for_templates(image: &Inspected) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(image)?;
    let complete = |object: Option<&mut Map<String, Value>>, fields: &[&str]| {
        let Some(object) = object else { return };
        for &field in fields {
            let empty = match field {
                "Created" | "Variant" | "Origin" | "StopSignal" | "User" | "WorkingDir" => Value::from(""),
                "ArgsEscaped" => Value::from(false),
                _ => Value::Null,
            };
            object.entry(field).or_insert(empty);
        }
    };
    complete(value.as_object_mut(), &OPTIONAL);
    complete(value.get_mut("Metadata").and_then(Value::as_object_mut), &["Origin"]);
    complete(value.get_mut("Config").and_then(Value::as_object_mut), &OPTIONAL_IN_CONFIG);
    Ok(value)
}

pub(super) fn inspect(store: &Store, image: Image) -> anyhow::Result<Inspected> {
    let names = store.names(&image.id)?;
    let last_tag_time = store.last_tagged(&names).map_or_else(
        || "0001-01-01T00:00:00Z".to_owned(),
        |time| jiff::Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default(),
    );
    let (tags, digests): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.tag.is_some());
    let config = image.config;
    let origin = config.history.iter().find_map(commit::origin).map(str::to_owned);
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
        metadata: Metadata { last_tag_time, origin },
    })
}
