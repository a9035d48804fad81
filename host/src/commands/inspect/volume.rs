//! Everything about a volume.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kiln_store::Volume;
use kiln_template::Types;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    created_at: String,
    driver: &'static str,
    labels: BTreeMap<String, String>,
    mountpoint: String,
    name: String,
    /// Docker has them; volumes here have none.
    options: BTreeMap<String, String>,
    scope: &'static str,
}

pub(super) const TYPES: Types = Types { name: "volume", maps: &["Labels", "Options"], lists: &[], methods: &[] };

pub(super) fn inspect(volume: &Volume) -> Inspected {
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
