//! `kiln search`: repositories of Docker Hub, or of a registry that the term names.

use kiln_registry::Found;
use kiln_types::Reference;
use serde::Serialize;

use crate::cli::filter::{parse_bool, values};
use crate::cli::pull::Access;
use crate::cli::search::Search;
use crate::commands::listing;
use crate::report::failure::Failure;
use crate::report::format::Columns;
use crate::report::table::ellipsis;
use crate::session::{DOCKER_HUB, Session};

/// Of a description in the table.
const SHOWN: usize = 45;
const YES: &str = "[OK]";

const COLUMNS: Columns = Columns {
    row: "repository",
    table: "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}\t{{.IsAutomated}}",
    headers: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
        ("IsAutomated", "AUTOMATED"),
    ],
    maps: &[],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    name: String,
    description: String,
    star_count: String,
    is_official: &'static str,
    is_automated: &'static str,
}

/// What was asked for, by the new options and the old ones.
#[derive(Debug, Default)]
struct Wanted {
    stars: u64,
    official: Option<bool>,
    automated: Option<bool>,
}

pub(super) fn run(options: &Search, session: &Session) -> anyhow::Result<()> {
    let wanted = Wanted::new(options)?;
    let (registry, term) = split(&options.term);
    let cancel = session.interrupts.catch()?;
    let registries = session.registries(&cancel, &Access::default(), &registry)?;
    let found = registries.search(&registry, term, options.limit)?;
    let rows = found.into_iter().filter(|found| wanted.matches(found)).map(|found| row(found, options.no_trunc));
    listing::write(&COLUMNS, &options.format.clone().unwrap_or_default(), rows)
}

/// The registry and what to look for in it.
fn split(term: &str) -> (String, &str) {
    let hub = || DOCKER_HUB.to_owned();
    match term.split_once('/') {
        // What counts as a registry is for names of images to say.
        Some((first, rest)) => match format!("{first}/x").parse::<Reference>() {
            Ok(name) if name.registry == first => (name.registry, rest),
            Ok(name) if name.repository == "library/x" => (hub(), rest),
            _ => (hub(), term),
        },
        None => (hub(), term),
    }
}

impl Wanted {
    fn new(options: &Search) -> Result<Self, Failure> {
        let filters = &options.filters;
        let number = |text: &str| {
            let wrong =
                || Failure::new(format!("`stars={text}` is no number of stars")).hint("write for example stars=20");
            text.parse::<u64>().map_err(|_| wrong())
        };
        let flag = |key: &'static str| -> Result<Option<bool>, Failure> {
            values(filters, key).last().map(|text| parse_bool(text).map_err(Failure::new)).transpose()
        };
        let stars = values(filters, "stars").map(number).collect::<Result<Vec<u64>, _>>()?;
        Ok(Self {
            stars: stars.into_iter().chain(options.stars).max().unwrap_or(0),
            official: flag("is-official")?,
            // `--automated=false` of old asks for nothing.
            automated: flag("is-automated")?.or(options.automated.filter(|&only| only)),
        })
    }

    fn matches(&self, found: &Found) -> bool {
        found.stars >= self.stars
            && self.official.is_none_or(|wanted| wanted == found.is_official)
            && self.automated.is_none_or(|wanted| wanted == found.is_automated)
    }
}

fn row(found: Found, whole: bool) -> Row {
    let description = found.description.replace(['\n', '\r'], " ");
    let mark = |is: bool| if is { YES } else { "" };
    Row {
        name: found.name,
        description: if whole { description } else { ellipsis(&description, SHOWN) },
        star_count: found.stars.to_string(),
        is_official: mark(found.is_official),
        is_automated: mark(found.is_automated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_may_name_its_registry() {
        for (term, registry, rest) in [
            ("centos", "docker.io", "centos"),
            ("team/app", "docker.io", "team/app"),
            ("127.0.0.1:5000/centos", "127.0.0.1:5000", "centos"),
            ("localhost/a/b", "localhost", "a/b"),
            ("index.docker.io/a", "docker.io", "a"),
        ] {
            assert_eq!(split(term), (registry.to_owned(), rest), "{term}");
        }
    }
}
