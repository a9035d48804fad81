//! `kiln tree`: what each layer of an image did to its files.

mod changes;
mod text;

use std::io::Write as _;

use jiff::Timestamp;
use kiln_image::{History, View};
use kiln_store::{Image, Store};
use kiln_template::Types;
use kiln_types::{Digest, paths};
use serde::Serialize;

use self::changes::Change;
use crate::cli::tree::Tree;
use crate::commands::listing;
use crate::report::failure::Failure;
use crate::report::format::{Columns, Format};
use crate::report::size;
use crate::report::table::ellipsis;
use crate::session::Session;

const CREATED_BY_WIDTH: usize = 45;

/// All that is told of an image.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(rename = "ID")]
    id: Digest,
    size: u64,
    layers: Vec<Step>,
}

/// A layer, and the step that made it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    /// The lowest is 1.
    number: usize,
    digest: Digest,
    size: u64,
    created_at: String,
    created_by: String,
    changes: Vec<Change>,
}

/// One step that touched a path.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Touch {
    layer: usize,
    digest: String,
    change: &'static str,
    size: String,
    created_since: String,
    created_at: String,
    created_by: String,
}

const TOUCHES: Columns = Columns {
    row: "step",
    table: "{{.Layer}}\t{{.Change}}\t{{.Size}}\t{{.CreatedSince}}\t{{.CreatedBy}}",
    headers: &[
        ("Layer", "LAYER"),
        ("Digest", "DIGEST"),
        ("Change", "CHANGE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
    ],
    maps: &[],
};

pub(super) fn run(options: &Tree, session: &Session) -> anyhow::Result<()> {
    let store = session.store_to_read()?;
    let image = store.resolve(&options.image)?;
    let chosen = options.layer.as_deref().map(|layer| chosen_layer(&image, layer)).transpose()?;
    let steps = steps(&store, &image, chosen)?;
    let format = options.listing.format();
    if let Some(path) = &options.path {
        return touches(&image, steps, path, &format);
    }
    let mut out = super::stdout();
    if matches!(format, Format::Table) {
        text::write(&steps, image.config.rootfs.diff_ids.len(), options.depth, &mut out)?;
    } else {
        let size = store.size(&image.id)?;
        let document = serde_json::to_value(Document { id: image.id, size, layers: steps })?;
        format.write_one(&document, &Types { name: "tree", maps: &[], lists: &[], methods: &[] }, &mut out)?;
    }
    Ok(out.flush()?)
}

/// The number of a layer, from 0. Up to three digits are a number even if a digest begins with them.
fn chosen_layer(image: &Image, text: &str) -> Result<usize, Failure> {
    let layers = &image.config.rootfs.diff_ids;
    let found: Vec<usize> = if text.len() <= 3
        && let Ok(number) = text.parse::<usize>()
    {
        (0..layers.len()).filter(|at| at + 1 == number).collect()
    } else {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        (0..layers.len()).filter(|&at| layers[at].hex().starts_with(digits)).collect()
    };
    match found[..] {
        [at] => Ok(at),
        _ => Err(Failure::new(format!("the image has no layer `{text}`"))
            .hint(format!("layers are numbered from 1 to {}, or are named by their digests", layers.len()))),
    }
}

fn steps(store: &Store, image: &Image, chosen: Option<usize>) -> anyhow::Result<Vec<Step>> {
    let with_layer: Vec<&History> = image.config.history.iter().filter(|step| !step.empty_layer).collect();
    let mut layers = Vec::new();
    let mut steps = Vec::new();
    for (at, diff_id) in image.config.rootfs.diff_ids.iter().enumerate() {
        let below = View::new(layers.clone());
        let layer = store.layer(diff_id)?;
        if chosen.is_none_or(|chosen| chosen == at) {
            let step = with_layer.get(at);
            let created = step.and_then(|step| step.created.clone());
            let created_by = step.and_then(|step| step.created_by.clone());
            steps.push(Step {
                number: at + 1,
                digest: *diff_id,
                size: layer.index.files_size(),
                created_at: created.unwrap_or_default(),
                created_by: created_by.unwrap_or_default().replace('\t', " "),
                changes: changes::of_layer(&layer, &below)?,
            });
        }
        layers.push(layer);
    }
    Ok(steps)
}

/// Newest first: the one that counts stands above.
fn touches(image: &Image, steps: Vec<Step>, path: &str, format: &Format) -> anyhow::Result<()> {
    let path = paths::clean(path);
    let mut touches = Vec::new();
    for step in steps {
        let Some(change) = step.changes.iter().find(|change| change.touches(&path)) else { continue };
        let created = step.created_at.parse::<Timestamp>().ok();
        touches.push(Touch {
            layer: step.number,
            digest: step.digest.to_string(),
            change: change.kind.word(),
            size: size::short(change.size),
            created_since: listing::since(created),
            created_at: step.created_at,
            created_by: ellipsis(&step.created_by, CREATED_BY_WIDTH),
        });
    }
    if touches.is_empty() {
        let name = paths::display(&path);
        let id = image.id.short();
        return Err(Failure::new(format!("no layer of {id} has `{name}`"))
            .hint(format!("`kiln tree --depth 99 {id}` shows every file"))
            .into());
    }
    touches.reverse();
    listing::write(&TOUCHES, format, touches)
}
