//! `kiln history`: the steps that made an image, newest first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kiln_store::{Image, Store};
use kiln_types::Digest;
use serde::Serialize;

use crate::cli::history::History;
use crate::commands::{commit, listing};
use crate::report::format::Columns;
use crate::report::size;
use crate::report::table::ellipsis;
use crate::session::Session;

/// Docker's width for the column CREATED BY.
const CREATED_BY_WIDTH: usize = 45;
/// As Docker has it, no step was made before the year 2000: such a time means that it is of no importance.
const SENSIBLE_SINCE: i64 = 946_684_800;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "ID")]
    id: String,
    created_at: String,
    created_since: String,
    created_by: String,
    size: String,
    comment: String,
    /// `commit` where nobody wrote down what was done.
    origin: String,
}

const COLUMNS: Columns = Columns {
    row: "step",
    table: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    headers: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
        ("Origin", "ORIGIN"),
    ],
    maps: &[],
};
const IN_NUMBERS: &str = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

pub(super) fn run(options: &History, session: &Session) -> anyhow::Result<()> {
    let store = session.store_to_read()?;
    let image = store.resolve(&options.image)?;
    let columns = if options.human { COLUMNS } else { Columns { table: IN_NUMBERS, ..COLUMNS } };
    let format = options.listing.format();
    let format = if options.quiet { format.ids_only() } else { format };
    listing::write(&columns, &format, rows(&store, &image, options)?)
}

fn rows(store: &Store, image: &Image, options: &History) -> anyhow::Result<Vec<Row>> {
    let ids = images_of_steps(store, image)?;
    let mut layers = image.config.rootfs.diff_ids.iter();
    let mut rows = Vec::new();
    for (at, step) in image.config.history.iter().enumerate() {
        let layer = if step.empty_layer { None } else { layers.next() };
        let bytes = layer.map_or(Ok(0), |diff_id| store.layer_size(diff_id))?;
        let created = step.created.as_deref().and_then(|created| created.parse::<Timestamp>().ok());
        let created_at = created.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default();
        let created_by = step.created_by.clone().unwrap_or_default().replace('\t', " ");
        let id = ids.get(&(at + 1)).map(|id| if options.no_trunc { id.to_string() } else { id.short() });
        rows.push(Row {
            id: id.unwrap_or_else(|| "<missing>".to_owned()),
            created_since: if options.human {
                listing::since(created.filter(|at| at.as_second() > SENSIBLE_SINCE))
            } else {
                created_at.clone()
            },
            created_at,
            created_by: if options.no_trunc { created_by } else { ellipsis(&created_by, CREATED_BY_WIDTH) },
            size: if options.human { size::short(bytes) } else { bytes.to_string() },
            comment: step.comment.clone().unwrap_or_default(),
            origin: commit::origin(step).unwrap_or_default().to_owned(),
        });
    }
    rows.reverse();
    Ok(rows)
}

/// The images of this store that the image was built on, by how many of its steps they contain.
fn images_of_steps(store: &Store, image: &Image) -> anyhow::Result<BTreeMap<usize, Digest>> {
    let mut ids = BTreeMap::from([(image.config.history.len(), image.id)]);
    let mut parent = image.parent;
    while let Some(id) = parent {
        let Some(image) = store.image(&id)? else { break };
        // Each parent has fewer steps than its child; anything else is a damaged store and must not go round for ever.
        if ids.first_key_value().is_some_and(|(&least, _)| image.config.history.len() >= least) {
            break;
        }
        ids.insert(image.config.history.len(), id);
        parent = image.parent;
    }
    Ok(ids)
}
