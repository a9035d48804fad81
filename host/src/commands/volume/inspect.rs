//! `kiln volume inspect`: everything about volumes, with the fields of Docker's.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use jiff::Timestamp;
use kiln_store::Volume;
use kiln_template::Types;
use serde::Serialize;

use crate::cli::volume::Inspect;
use crate::report::failure::FAILED;
use crate::report::format::Format;
use crate::report::problem::Problem;
use crate::session::Session;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::commands) struct Inspected {
    created_at: String,
    driver: &'static str,
    labels: BTreeMap<String, String>,
    mountpoint: String,
    name: String,
    /// Docker has them; volumes here have none.
    options: BTreeMap<String, String>,
    scope: &'static str,
}

pub(in crate::commands) const TYPES: Types =
    Types { name: "volume", maps: &["Labels", "Options"], lists: &[], methods: &[] };

pub(in crate::commands) fn inspected(volume: &Volume) -> Inspected {
    let created = Timestamp::from_second(volume.created.div_euclid(1_000_000_000));
    Inspected {
        created_at: created.map(|at| at.to_string()).unwrap_or_default(),
        driver: "local",
        labels: volume.labels.clone(),
        mountpoint: volume.data().to_string_lossy().into_owned(),
        name: volume.name.clone(),
        options: BTreeMap::new(),
        scope: "local",
    }
}

/// Tells about those that exist, then fails if one did not.
pub(super) fn run(options: &Inspect, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for name in &options.names {
        match store.volume(name) {
            Ok(volume) => found.push(inspected(&volume)),
            Err(error) => problems.push(Problem::chain(&error)),
        }
    }
    let mut out = crate::commands::stdout();
    match options.format.as_ref().unwrap_or(&Format::Table) {
        Format::Table => {
            let indented = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            found.serialize(&mut serde_json::Serializer::with_formatter(&mut out, indented))?;
            writeln!(out)?;
        }
        Format::Json => writeln!(out, "{}", serde_json::to_string(&found)?)?,
        template => {
            for volume in &found {
                template.write_one(&serde_json::to_value(volume)?, &TYPES, &mut out)?;
            }
        }
    }
    out.flush()?;
    problems.iter().for_each(Problem::show);
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
