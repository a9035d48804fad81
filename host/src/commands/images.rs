//! `kiln images`: the list of images.

mod selection;

use std::cmp::Reverse;

use jiff::Timestamp;
use kiln_store::{Error, ListedImage, Listing};
use kiln_types::{Digest, Reference};
use serde::Serialize;

use crate::cli::images::Images;
use crate::commands::listing;
use crate::report::format::Columns;
use crate::report::problem::Problem;
use crate::report::size;
use crate::session::Session;
use selection::Selection;

const NONE: &str = "<none>";

const COLUMNS: Columns = Columns {
    row: "image",
    table: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
    headers: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("VirtualSize", "SIZE"),
    ],
    maps: &[],
};
const WITH_DIGESTS: &str = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

/// One line: an image under one of its names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    repository: String,
    tag: String,
    digest: String,
    #[serde(rename = "ID")]
    id: String,
    created_at: String,
    created_since: String,
    size: String,
    /// As Docker has it in lists: what costs too much to find out.
    containers: &'static str,
    shared_size: &'static str,
    unique_size: &'static str,
    /// The same; Docker had it until version 27, so older scripts ask for it.
    virtual_size: String,
}

pub(super) fn run(options: &Images, session: &Session) -> anyhow::Result<()> {
    let store = session.store_to_read()?;
    let Listing { images, lost } = store.listing(options.all)?;
    for name in lost {
        Problem::warning(Error::LostImage { name }.to_string()).show();
    }
    let selection = Selection::new(options, &store)?;
    // Times count in seconds: of what was made within one, results come before their steps, names before none.
    let mut images: Vec<Made<'_>> = images.iter().map(|image| Made { created: created(image), image }).collect();
    images.sort_by_key(|made| (Reverse(made.created), made.image.intermediate, made.image.names.is_empty()));
    let mut format = options.listing.format();
    let columns = if options.digests { Columns { table: WITH_DIGESTS, ..COLUMNS } } else { COLUMNS };
    if options.quiet {
        format = format.ids_only();
    } else if options.digests {
        format = format.with_column("Digest");
    }
    let digests = options.digests || options.listing.is_json() || format.mentions("Digest");
    let rows = images.iter().flat_map(|made| {
        let found = selection.names(made);
        found.map(|(names, unnamed)| rows_of(made, &names, unnamed, digests, options)).unwrap_or_default()
    });
    listing::write(&columns, &format, rows)
}

/// An image, and when it was made.
#[derive(Clone, Copy)]
struct Made<'a> {
    created: Option<Timestamp>,
    image: &'a ListedImage,
}

/// A row for each tag, with digests for each of both; for each repository that knows no tag, one, or one for each digest;
/// one of `<none>` without any name, and for each index without one.
fn rows_of(made: &Made<'_>, names: &[&Reference], unnamed: &[Digest], digests: bool, options: &Images) -> Vec<Row> {
    if names.is_empty() && unnamed.is_empty() {
        return vec![row(made, None, None, options)];
    }
    let digests_of = |name: &Reference| {
        let others = made.image.names.iter().map(|(other, _)| other);
        others.filter(|other| same_repository(other, name)).filter_map(|other| other.digest).collect::<Vec<_>>()
    };
    let mut rows = Vec::new();
    for name in names.iter().filter(|name| name.tag.is_some()) {
        let known = if digests { digests_of(name) } else { Vec::new() };
        rows.extend(known.iter().map(|digest| row(made, Some(name), Some(digest.to_string()), options)));
        if known.is_empty() {
            rows.push(row(made, Some(name), None, options));
        }
    }
    let mut before: Option<&Reference> = None;
    for &name in names.iter().filter(|name| name.tag.is_none()) {
        let has_tag = names.iter().any(|other| other.tag.is_some() && same_repository(other, name));
        let again = !digests && before.is_some_and(|before| same_repository(before, name));
        if !has_tag && !again {
            let digest = name.digest.filter(|_| digests).map(|digest| digest.to_string());
            rows.push(row(made, Some(name), digest, options));
        }
        before = Some(name);
    }
    rows.extend(unnamed.iter().map(|index| row(made, None, Some(index.to_string()), options)));
    rows
}

fn row(&Made { created, image }: &Made<'_>, name: Option<&Reference>, digest: Option<String>, options: &Images) -> Row {
    let none = || NONE.to_owned();
    let size = size::short(image.size);
    Row {
        repository: name.map_or_else(none, Reference::familiar_name),
        tag: name.and_then(|name| name.tag.clone()).unwrap_or_else(none),
        digest: digest.unwrap_or_else(none),
        id: if options.no_trunc { image.id.to_string() } else { image.id.short() },
        created_at: created.map(|at| at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()).unwrap_or_default(),
        created_since: listing::since(created),
        size: size.clone(),
        containers: "N/A",
        shared_size: "N/A",
        unique_size: "N/A",
        virtual_size: size,
    }
}

fn created(image: &ListedImage) -> Option<Timestamp> {
    image.created.as_deref()?.parse().ok()
}

fn same_repository(a: &Reference, b: &Reference) -> bool {
    (&a.registry, &a.repository) == (&b.registry, &b.repository)
}
