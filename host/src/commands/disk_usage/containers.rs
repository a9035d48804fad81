//! Containers and volumes of `kiln system df -v`.

use jiff::Timestamp;
use kiln_container::Container;
use kiln_store::{ContainerUsage, VolumeUsage};
use serde::Serialize;

use crate::commands::listing::since;
use crate::commands::ps;
use crate::report::format::Columns;
use crate::report::size;
use crate::report::table::ellipsis;
use crate::session::now;

/// Docker's width for commands.
const COMMAND_WIDTH: usize = 20;

pub(super) const CONTAINERS: Columns = Columns {
    row: "container",
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
    headers: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Size", "SIZE"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("Names", "NAMES"),
    ],
    maps: &[],
};

pub(super) const VOLUMES: Columns = Columns {
    row: "volume",
    table: "{{.Name}}\t{{.Links}}\t{{.Size}}",
    headers: &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")],
    maps: &[],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerRow {
    #[serde(rename = "ID")]
    id: String,
    image: String,
    command: String,
    local_volumes: String,
    size: String,
    running_for: String,
    status: String,
    names: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VolumeRow {
    name: String,
    links: String,
    size: String,
    mountpoint: String,
}

/// Of one that is damaged only what the store knows.
pub(super) fn container(usage: &ContainerUsage) -> ContainerRow {
    let record = &usage.folder.record;
    let found = Container::open(usage.folder.clone()).ok();
    let (image, command, status) = match &found {
        Some(found) => (
            found.spec.image.clone(),
            ps::quoted(&ellipsis(&ps::command(&found.spec.argv()), COMMAND_WIDTH)),
            ps::status::text(&found.state, ps::health(found), now()),
        ),
        None => (record.image.short(), String::new(), "Dead".to_owned()),
    };
    ContainerRow {
        id: record.short_id().to_owned(),
        image,
        command,
        local_volumes: record.volumes.len().to_string(),
        size: size::exact(usage.bytes),
        running_for: since(Timestamp::from_second(record.created.div_euclid(1_000_000_000)).ok()),
        status,
        names: record.name.clone(),
    }
}

pub(super) fn volume(usage: &VolumeUsage) -> VolumeRow {
    VolumeRow {
        name: usage.volume.name.clone(),
        links: usage.containers.len().to_string(),
        size: size::exact(usage.bytes),
        mountpoint: usage.volume.data().to_string_lossy().into_owned(),
    }
}
