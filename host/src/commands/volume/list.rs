//! `kiln volume ls`: the list of volumes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::Write;

use kiln_store::Volume;
use regex::{Regex, RegexBuilder};
use serde::Serialize;

use crate::cli::filter;
use crate::cli::volume::Ls;
use crate::commands::listing;
use crate::report::failure::Failure;
use crate::report::format::{Columns, Format};
use crate::session::Session;

/// Most memory that a compiled name pattern may take.
const PATTERN_SIZE: usize = 1 << 20;

const COLUMNS: Columns = Columns {
    row: "volume",
    table: "{{.Driver}}\t{{.Name}}",
    headers: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
        ("Status", "STATUS"),
    ],
    maps: &["Label"],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    /// The last three are about clusters.
    availability: &'static str,
    driver: &'static str,
    group: &'static str,
    labels: String,
    label: &'a BTreeMap<String, String>,
    /// As Docker has it in lists: what costs too much to find out.
    links: &'static str,
    mountpoint: String,
    name: &'a str,
    scope: &'static str,
    size: &'static str,
    status: &'static str,
}

pub(super) fn run(options: &Ls, session: &Session) -> anyhow::Result<()> {
    let store = session.store_to_read()?;
    let values = |key| filter::values(&options.filters, key);
    let pattern = |text: &str| {
        let compiled = RegexBuilder::new(text).size_limit(PATTERN_SIZE).build();
        compiled.map_err(|error| Failure::new(format!("invalid filter 'name={text}'")).because(error))
    };
    let names = values("name").map(pattern).collect::<Result<Vec<Regex>, _>>()?;
    let dangling = values("dangling").find_map(|value| filter::parse_bool(value).ok());
    let used = if dangling.is_some() { store.volume_users()? } else { BTreeMap::new() };
    let is_wanted = |volume: &Volume| {
        (names.is_empty() || names.iter().any(|pattern| pattern.is_match(&volume.name)))
            && dangling.is_none_or(|dangling| dangling != used.contains_key(&volume.name))
            && (values("driver").next().is_none() || values("driver").any(|driver| driver == "local"))
            && filter::labels_match(&options.filters, &volume.labels)
    };
    let mut volumes = store.volumes()?;
    volumes.retain(is_wanted);
    volumes.sort_by(|one, other| natural(&one.name, &other.name));
    let format = options.listing.format();
    if options.quiet && matches!(format, Format::Table) {
        let mut out = crate::commands::stdout();
        for volume in &volumes {
            writeln!(out, "{}", volume.name)?;
        }
        return Ok(out.flush()?);
    }
    listing::write(&COLUMNS, &format, volumes.iter().map(row))
}

fn row(volume: &Volume) -> Row<'_> {
    let labels: Vec<String> = volume.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Row {
        availability: "N/A",
        driver: "local",
        group: "N/A",
        labels: labels.join(","),
        label: &volume.labels,
        links: "N/A",
        mountpoint: volume.data().to_string_lossy().into_owned(),
        name: &volume.name,
        scope: "local",
        size: "N/A",
        status: "N/A",
    }
}

/// As people sort, and Docker: `data2` before `data10`.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (left, right) = (part(&mut one), part(&mut other));
        if left.is_empty() || right.is_empty() {
            return left.len().cmp(&right.len());
        }
        let are_numbers = [left, right].iter().all(|part| part.starts_with(|c: char| c.is_ascii_digit()));
        let by_value = || {
            let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            left.len().cmp(&right.len()).then(left.cmp(right))
        };
        let order = if are_numbers { by_value().then(left.len().cmp(&right.len())) } else { left.cmp(right) };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Takes the digits at the beginning, or all up to the first digit.
fn part<'a>(text: &mut &'a str) -> &'a str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    let (part, rest) = text.split_at(end);
    *text = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_by_value() {
        let mut names = ["v10", "v2", "a", "v", "v2b", "v02", "10", "9", "v2a10", "v2a9"];
        names.sort_by(|one, other| natural(one, other));
        assert_eq!(names, ["9", "10", "a", "v", "v2", "v2a9", "v2a10", "v2b", "v02", "v10"]);
    }
}
