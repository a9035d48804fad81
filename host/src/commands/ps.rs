//! `kiln ps`: the list of containers.

pub(in crate::commands) mod ports;
mod selection;
pub(in crate::commands) mod status;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use kiln_container::{Container, Damaged, MountSource, NetworkMode};
use kiln_image::Node;
use kiln_store::Store;
use kiln_types::Digest;
use serde::Serialize;

use crate::cli::ps::Ps;
use crate::commands::listing;
use crate::report::age;
use crate::report::format::Columns;
use crate::report::problem::Problem;
use crate::report::size;
use crate::report::table::ellipsis;
use crate::session::{Session, now};
use selection::Selection;

/// Docker's widths for commands and for names of mounts.
const COMMAND_WIDTH: usize = 20;
const MOUNT_WIDTH: usize = 15;
const SHORT_ID: usize = 12;

const COLUMNS: Columns = Columns {
    row: "container",
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    headers: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Names", "NAMES"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
        ("HealthStatus", "HEALTH STATUS"),
    ],
    maps: &["Label"],
};
const WITH_SIZE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    image: String,
    command: String,
    created_at: String,
    running_for: String,
    ports: String,
    state: String,
    status: String,
    size: String,
    names: &'a str,
    labels: String,
    label: &'a BTreeMap<String, String>,
    mounts: String,
    local_volumes: String,
    networks: &'static str,
    platform: String,
    health_status: &'static str,
}

pub(super) fn run(options: &Ps, session: &Session) -> anyhow::Result<()> {
    let store = session.store_to_read()?;
    let selection = Selection::new(options, &store)?;
    let listed = kiln_container::list(&store)?;
    listed.damaged.iter().for_each(warn);
    let containers = selection.of(listed.containers);
    let columns = if options.size { Columns { table: WITH_SIZE, ..COLUMNS } } else { COLUMNS };
    let format = options.listing.format();
    let format = if options.quiet { format.ids_only() } else { format };
    let platforms = options.listing.is_json() || format.mentions("Platform");
    let mut images = Images { store: &store, named: HashMap::new() };
    let mut rows = Vec::new();
    for container in &containers {
        let mut row = row(container, options, &mut images);
        if options.shows_size() {
            let written = written(container)?;
            let base = store.size(&container.folder.record.image)?;
            row.size = format!("{} (virtual {})", size::short(written), size::short(written + base));
        }
        if platforms {
            row.platform = store.container_image(&container.folder.record)?.config.platform().to_string();
        }
        rows.push(row);
    }
    listing::write(&columns, &format, rows)
}

/// Nothing can be shown of it but that it is there.
fn warn(damaged: &Damaged) {
    let id = &damaged.id[..damaged.id.len().min(SHORT_ID)];
    let called = damaged.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let runs = if damaged.runs { ", and it runs" } else { "" };
    let mut problem = Problem::warning(format!("container {id}{called} is damaged{runs}: {}", damaged.reason));
    problem.hints.push(format!("remove it: kiln rm -f {id}"));
    problem.show();
}

fn row<'a>(container: &'a Container, options: &Ps, images: &mut Images<'_>) -> Row<'a> {
    let Container { folder, spec, state } = container;
    let shorten = !options.no_trunc;
    let cut = |text: &str, width| if shorten { ellipsis(text, width) } else { text.to_owned() };
    let created = folder.record.created.div_euclid(1_000_000_000);
    let created_at = Timestamp::from_second(created).map(|at| at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
    let health = health(container);
    let labels: Vec<String> = spec.labels().iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mounts = spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some(cut(name, MOUNT_WIDTH)),
        MountSource::Bind { source } => Some(cut(&source.to_string_lossy(), MOUNT_WIDTH)),
        MountSource::Tmpfs(_) => None,
    });
    Row {
        id: if shorten { container.short_id() } else { container.id() },
        image: images.shown(&spec.image, &folder.record.image, shorten),
        command: quoted(&cut(&command(&spec.argv()), COMMAND_WIDTH)),
        created_at: created_at.unwrap_or_default(),
        running_for: age::ago(now() - created),
        ports: ports::line(&ports::of(container)),
        state: state.phase.to_string(),
        status: status::text(state, health, now()),
        size: "0B".to_owned(),
        names: container.name(),
        labels: labels.join(","),
        label: spec.labels(),
        mounts: mounts.collect::<Vec<_>>().join(","),
        local_volumes: spec.volumes().len().to_string(),
        networks: network(spec.network),
        platform: String::new(),
        health_status: health.unwrap_or_default(),
    }
}

/// What a container's network is called.
pub(in crate::commands) fn network(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::Private => "bridge",
        NetworkMode::Host => "host",
        NetworkMode::None => "none",
    }
}

/// What its healthcheck found, of a container that has one.
pub(in crate::commands) fn health(container: &Container) -> Option<&'static str> {
    use kiln_container::HealthStatus;
    container.state.health.as_ref().map(|health| match health.status {
        HealthStatus::Starting => "starting",
        HealthStatus::Healthy => "healthy",
        HealthStatus::Unhealthy => "unhealthy",
    })
}

/// Bytes of the files that the container itself has written.
pub(in crate::commands) fn written(container: &Container) -> anyhow::Result<u64> {
    let sizes = container.changes()?.into_iter().map(|change| match change.node {
        Node::File(content) => content.size(),
        _ => 0,
    });
    Ok(sizes.sum())
}

/// A command line as one text: arguments with spaces in quotation marks.
pub(in crate::commands) fn command(argv: &[String]) -> String {
    let Some((program, arguments)) = argv.split_first() else { return String::new() };
    let mut line = program.clone();
    for argument in arguments {
        line.push(' ');
        match argument.contains(' ') {
            true => line.extend(["'", argument, "'"]),
            false => line.push_str(argument),
        }
    }
    line
}

/// As Go quotes a text.
pub(in crate::commands) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() && u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Names of images that were looked up, for many containers have the same.
struct Images<'a> {
    store: &'a Store,
    named: HashMap<String, Option<Digest>>,
}

impl Images<'_> {
    /// The name that the container was made with, as long as it means the same image; else the image's id.
    fn shown(&mut self, asked: &str, image: &Digest, shorten: bool) -> String {
        let id = || if shorten { image.short() } else { image.to_string() };
        if asked.is_empty() || asked == image.to_string() {
            return id();
        }
        let found = self.named.entry(asked.to_owned()).or_insert_with(|| {
            let found = self.store.resolve(asked).ok();
            found.map(|found| found.id)
        });
        if *found == Some(*image) { asked.to_owned() } else { id() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_as_lists_show_them() {
        for (argv, shown) in [
            (&["/bin/bash"][..], "\"/bin/bash\""),
            (&["nginx", "-g", "daemon off;"], "\"nginx -g 'daemon of…\""),
            (&["sh", "-c", "echo \"a\"\tb"], "\"sh -c 'echo \\\"a\\\"\\tb'\""),
            (&[], "\"\""),
            (&["a\u{1b}[0m"], "\"a\\x1b[0m\""),
        ] {
            let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(quoted(&ellipsis(&command(&argv), COMMAND_WIDTH)), shown);
        }
    }
}
