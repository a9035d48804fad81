//! `kiln system df -v`: each thing by itself. Docker's columns, and at their end what keeps it.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::SystemTime;

use jiff::Timestamp;
use kiln_store::{CacheUsage, DiskUsage, ImageUsage};
use kiln_template::Types;
use serde::Serialize;

use super::containers::{CONTAINERS, ContainerRow, VOLUMES, VolumeRow, container, volume};
use crate::commands::listing::since;
use crate::report::format::{Columns, Format};
use crate::report::size;

const IMAGES: Columns = Columns {
    row: "image",
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t\
            {{.Containers}}\t{{.KeptBy}}",
    headers: &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("Size", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
        ("KeptBy", "KEPT BY"),
    ],
    maps: &[],
};

const CACHE: Columns = Columns {
    row: "build cache",
    table: "{{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.LastUsedSince}}\t{{.Shared}}\t{{.Description}}",
    headers: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("LastUsedSince", "LAST USED"),
        ("Shared", "SHARED"),
        ("Description", "DESCRIPTION"),
    ],
    maps: &[],
};

/// Of these there are very many, each of them small: a row tells of all.
const MANY: [&str; 3] = ["step record", "layer index", "compiled module"];
const NONE: &str = "<none>";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Everything {
    images: Vec<Image>,
    containers: Vec<ContainerRow>,
    volumes: Vec<VolumeRow>,
    build_cache: Vec<Cache>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    repository: String,
    tag: String,
    #[serde(rename = "ID")]
    id: String,
    created_since: String,
    size: String,
    shared_size: String,
    unique_size: String,
    containers: String,
    kept_by: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Cache {
    #[serde(rename = "ID")]
    id: String,
    cache_type: String,
    size: String,
    last_used_since: String,
    shared: bool,
    in_use: bool,
    description: String,
}

pub(super) fn write(usage: &DiskUsage, format: &Format, out: &mut impl Write) -> anyhow::Result<()> {
    let everything = Everything {
        images: usage.images.iter().map(image).collect(),
        containers: usage.containers.iter().map(container).collect(),
        volumes: usage.volumes.iter().map(volume).collect(),
        build_cache: cache(&usage.cache),
    };
    if !matches!(format, Format::Table) {
        let types = Types {
            name: "disk usage",
            maps: &[],
            lists: &["Images", "Containers", "Volumes", "BuildCache"],
            methods: &[],
        };
        return format.write_one(&serde_json::to_value(everything)?, &types, out);
    }
    writeln!(out, "Images space usage:\n")?;
    Format::Table.write(&IMAGES, everything.images, out)?;
    writeln!(out, "\nContainers space usage:\n")?;
    Format::Table.write(&CONTAINERS, everything.containers, out)?;
    writeln!(out, "\nLocal Volumes space usage:\n")?;
    Format::Table.write(&VOLUMES, everything.volumes, out)?;
    let bytes = usage.cache.iter().map(|entry| entry.bytes).sum();
    writeln!(out, "\nBuild cache usage: {}\n", size::exact(bytes))?;
    Format::Table.write(&CACHE, everything.build_cache, out)
}

fn image(image: &ImageUsage) -> Image {
    let name = image.names.iter().find(|name| name.tag.is_some()).or(image.names.first());
    let mut kept_by: Vec<String> = image.names.iter().map(|name| name.familiar()).collect();
    kept_by.extend(image.platform_of.iter().map(|name| format!("platform of {}", name.familiar())));
    kept_by.extend(image.children.iter().map(|child| format!("base of {}", child.short())));
    kept_by.extend(image.containers.iter().map(|container| format!("container {container}")));
    Image {
        repository: name.map_or_else(|| NONE.to_owned(), |name| name.familiar_name()),
        tag: name.and_then(|name| name.tag.clone()).unwrap_or_else(|| NONE.to_owned()),
        id: image.id.short(),
        created_since: since(image.created.as_ref().and_then(|text| text.parse().ok())),
        size: size::exact(image.bytes),
        shared_size: size::exact(image.shared),
        unique_size: size::exact(image.bytes - image.shared),
        containers: image.containers.len().to_string(),
        kept_by: if kept_by.is_empty() { "nothing".to_owned() } else { kept_by.join(", ") },
    }
}

fn cache(entries: &[CacheUsage]) -> Vec<Cache> {
    let row = |entry: &CacheUsage| Cache {
        id: entry.id.clone(),
        cache_type: entry.kind.to_owned(),
        size: size::exact(entry.bytes),
        last_used_since: used(entry.used),
        shared: entry.of_image,
        in_use: entry.held,
        description: entry.created_by.clone().unwrap_or_default(),
    };
    let (many, single): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| MANY.contains(&entry.kind));
    let mut rows: Vec<Cache> = single.into_iter().map(row).collect();
    let mut sums: BTreeMap<(&str, bool, bool), (usize, u64, SystemTime)> = BTreeMap::new();
    for entry in many {
        let key = (entry.kind, entry.of_image, entry.held);
        let (count, bytes, used) = sums.entry(key).or_insert((0, 0, entry.used));
        *count += 1;
        *bytes += entry.bytes;
        *used = (*used).max(entry.used);
    }
    rows.extend(sums.into_iter().map(|((kind, shared, in_use), (count, bytes, last))| Cache {
        id: "-".to_owned(),
        cache_type: kind.to_owned(),
        size: size::exact(bytes),
        last_used_since: used(last),
        shared,
        in_use,
        description: format!("{count} of them"),
    }));
    rows
}

fn used(time: SystemTime) -> String {
    if time == SystemTime::UNIX_EPOCH { since(None) } else { since(Timestamp::try_from(time).ok()) }
}
