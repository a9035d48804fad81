//! `kiln images`: the list of images.

use std::cmp::Reverse;

use jiff::Timestamp;
use kiln_store::{Error, ListedImage};
use kiln_types::{Digest, Reference};
use serde::Serialize;

use crate::cli::images::Images;
use crate::commands::listing;
use crate::report::problem::Problem;
use crate::report::size;
use crate::session::Session;

const NONE: &str = "<none>";

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
}

impl listing::Row for Row {
    const HEADER: [&str; 5] = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];

    fn id(&self) -> &str {
        &self.id
    }

    fn cells(self) -> [String; 5] {
        [self.repository, self.tag, self.id, self.created_since, self.size]
    }
}

pub(super) fn run(options: &Images, session: &Session) -> anyhow::Result<()> {
    let store = session.store()?;
    let mut images = store.images()?;
    for name in store.lost_names()? {
        Problem::warning(Error::LostImage { name }.to_string()).show();
    }
    // Times count in seconds: of what was made within one, results come before their steps, names before none.
    images.sort_by_key(|image| (Reverse(created(image)), image.intermediate, image.names.is_empty()));
    let mut rows: Vec<Row> = Vec::new();
    for image in images.iter().filter(|image| options.all || !image.intermediate || !image.names.is_empty()) {
        rows.extend(rows_of(image, options));
    }
    listing::write(rows, options.quiet, options.listing.json())
}

/// A row for each tag; one for each repository that knows only a digest; one of `<none>` without any name.
fn rows_of(image: &ListedImage, options: &Images) -> Vec<Row> {
    let tags = image.names.iter().filter(|(name, _)| name.tag.is_some());
    let tagged =
        |name: &Reference| image.names.iter().any(|(other, _)| other.tag.is_some() && same_repository(other, name));
    let digests = image.names.iter().filter(|(name, _)| name.tag.is_none() && !tagged(name));
    let mut rows: Vec<Row> = tags
        .chain(digests)
        .filter(|(name, _)| options.repository.as_ref().is_none_or(|wanted| matches(wanted, name)))
        .map(|(name, digest)| row(image, Some(name), *digest, options))
        .collect();
    if image.names.is_empty() && options.repository.is_none() {
        rows.push(row(image, None, None, options));
    }
    rows
}

fn row(image: &ListedImage, name: Option<&Reference>, digest: Option<Digest>, options: &Images) -> Row {
    let none = || NONE.to_owned();
    let created = created(image);
    Row {
        repository: name.map_or_else(none, Reference::familiar_name),
        tag: name.and_then(|name| name.tag.clone()).unwrap_or_else(none),
        // Only where a registry knows the image is there a digest to ask it for.
        digest: name.and_then(|name| name.digest).or(digest).map_or_else(none, |digest| digest.to_string()),
        id: if options.no_trunc { image.id.to_string() } else { image.id.short() },
        created_at: created.map(|at| at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()).unwrap_or_default(),
        created_since: listing::since(created),
        size: size::short(image.size),
    }
}

fn created(image: &ListedImage) -> Option<Timestamp> {
    image.created.as_deref()?.parse().ok()
}

fn same_repository(a: &Reference, b: &Reference) -> bool {
    (&a.registry, &a.repository) == (&b.registry, &b.repository)
}

fn matches(wanted: &Reference, name: &Reference) -> bool {
    same_repository(wanted, name)
        && (wanted.tag.is_none() || wanted.tag == name.tag)
        && (wanted.digest.is_none() || wanted.digest == name.digest)
}
