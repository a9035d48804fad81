//! Which images and names are listed: `--filter`, `-a`, and the name on the command line.

use std::collections::HashSet;

use jiff::Timestamp;
use kiln_dockerfile::glob;
use kiln_store::Store;
use kiln_types::{Digest, Reference};

use super::Made;
use crate::cli::filter;
use crate::cli::images::Images;
use crate::report::failure::Failure;

pub(super) struct Selection<'a> {
    all: bool,
    /// Those with the labels that are asked for, if any are.
    labelled: Option<HashSet<Digest>>,
    dangling: Option<bool>,
    /// Made before all of these.
    before: Vec<Timestamp>,
    /// Made after all of these.
    since: Vec<Timestamp>,
    /// Of the command line and of the filters: each kind must be met by any of its patterns.
    patterns: Vec<Vec<&'a str>>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(options: &'a Images, store: &Store) -> anyhow::Result<Self> {
        let filters = &options.filters;
        let time_of = |name: &str| -> anyhow::Result<Timestamp> {
            // An image that does not say when it was made counts as the oldest.
            Ok(store.resolve(name)?.config.created.and_then(|text| text.parse().ok()).unwrap_or(Timestamp::MIN))
        };
        let mut before = filter::values(filters, "before").map(time_of).collect::<Result<Vec<_>, _>>()?;
        for text in filter::values(filters, "until") {
            before.push(filter::parse_time(text).map_err(anyhow::Error::msg)?);
        }
        let mut patterns: Vec<Vec<&str>> = options.repository.iter().map(|pattern| vec![pattern.as_str()]).collect();
        let references: Vec<&str> = filter::values(filters, "reference").collect();
        if !references.is_empty() {
            patterns.push(references);
        }
        for pattern in patterns.iter().flatten() {
            glob::matches(pattern.as_bytes(), b"")
                .map_err(|error| Failure::new(format!("invalid filter `reference={pattern}`")).because(error))?;
        }
        let by_label = ["label", "label!"].into_iter().any(|key| filter::values(filters, key).next().is_some());
        let labelled = || store.labelled_images(&|labels| filter::labels_match(filters, labels));
        Ok(Self {
            all: options.all,
            labelled: by_label.then(labelled).transpose()?,
            dangling: filter::values(filters, "dangling").find_map(|value| filter::parse_bool(value).ok()),
            before,
            since: filter::values(filters, "since").map(time_of).collect::<Result<_, _>>()?,
            patterns,
        })
    }

    /// The names under which an image is listed, and its indexes without one; `None` if it is not listed.
    pub(super) fn names<'i>(&self, &Made { created, image }: &Made<'i>) -> Option<(Vec<&'i Reference>, &'i [Digest])> {
        let hidden = image.is_hidden() && !self.all;
        let made = created.unwrap_or(Timestamp::MIN);
        let in_time = self.before.iter().all(|&before| made < before) && self.since.iter().all(|&since| made > since);
        let labelled = self.labelled.as_ref().is_none_or(|labelled| labelled.contains(&image.id));
        if hidden || !in_time || !labelled {
            return None;
        }
        let mut names: Vec<&Reference> =
            image.names.iter().map(|(name, _)| name).filter(|name| self.wants(name)).collect();
        let may_be_unnamed = self.patterns.is_empty() && self.dangling != Some(false);
        let unnamed = if may_be_unnamed { &image.unnamed[..] } else { &[] };
        let has_tag = names.iter().any(|name| name.tag.is_some());
        let listed = match self.dangling {
            Some(true) if has_tag => {
                names.clear();
                !unnamed.is_empty()
            }
            Some(false) => !names.is_empty(),
            Some(true) | None => true,
        };
        (listed && (self.patterns.is_empty() || !names.is_empty())).then_some((names, unnamed))
    }

    fn wants(&self, name: &Reference) -> bool {
        self.patterns.iter().all(|patterns| patterns.iter().any(|pattern| is_like(pattern, name)))
    }
}

/// As Docker compares them: the pattern with the name as it is shown, with and without its tag. A name may also be
/// written out, with its registry.
fn is_like(pattern: &str, name: &Reference) -> bool {
    let fits = |text: String| glob::matches(pattern.as_bytes(), text.as_bytes()).unwrap_or(false);
    let same = |wanted: Reference| {
        super::same_repository(&wanted, name)
            && (wanted.tag.is_none() || wanted.tag == name.tag)
            && (wanted.digest.is_none() || wanted.digest == name.digest)
    };
    fits(name.familiar()) || fits(name.familiar_name()) || pattern.parse().is_ok_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_dockers() {
        for (pattern, name, like) in [
            ("nginx", "nginx:latest", true),
            ("ngin", "nginx:latest", false),
            ("ngin*", "nginx:latest", true),
            ("nginx:latest", "nginx:latest", true),
            ("nginx:1", "nginx:latest", false),
            ("docker.io/library/nginx", "nginx:latest", true),
            ("*", "team/app:1", false),
            ("*/*", "team/app:1", true),
            ("team/*", "team/app:1", true),
            ("*/app:?", "team/app:1", true),
            ("*:1", "app:1", true),
            ("127.0.0.1:5000/app", "127.0.0.1:5000/app:1", true),
            ("[", "app:1", false),
        ] {
            assert_eq!(is_like(pattern, &name.parse().expect(name)), like, "{pattern} {name}");
        }
    }
}
