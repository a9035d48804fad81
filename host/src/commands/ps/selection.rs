//! Which containers are listed.

use std::collections::{BTreeSet, HashMap};

use kiln_container::{Container, MountSource, Phase, Protocol};
use kiln_store::Store;
use kiln_types::Digest;
use regex::{Regex, RegexBuilder};

use super::ports;
use crate::cli::filter;
use crate::cli::ps::Ps;
use crate::report::failure::Failure;

/// Most memory that a compiled name pattern may take.
const PATTERN_SIZE: usize = 1 << 20;

pub(super) struct Selection<'a> {
    options: &'a Ps,
    store: &'a Store,
    names: Vec<Regex>,
    exited: Vec<i32>,
    /// Ids of containers.
    before: Option<String>,
    since: Option<String>,
    ancestors: Option<BTreeSet<Digest>>,
    published: Vec<(u16, u16, Protocol)>,
    exposed: Vec<(u16, u16, Protocol)>,
    /// Of images that were looked at: whether one of the ancestors is below them.
    descends: HashMap<Digest, bool>,
}

impl<'a> Selection<'a> {
    pub(super) fn new(options: &'a Ps, store: &'a Store) -> anyhow::Result<Self> {
        let values = |key| filter::values(&options.filters, key);
        let invalid = |key: &str, value: &str| Failure::new(format!("invalid filter '{key}={value}'"));
        let names = values("name").map(|pattern| {
            RegexBuilder::new(pattern)
                .size_limit(PATTERN_SIZE)
                .build()
                .map_err(|error| invalid("name", pattern).because(error))
        });
        let exited = values("exited")
            .map(|code| code.parse::<i32>().map_err(|_| invalid("exited", code).hint("name an exit code: exited=0")));
        for (key, known) in [
            ("status", &["created", "restarting", "running", "removing", "paused", "exited", "dead"][..]),
            ("health", &["starting", "healthy", "unhealthy", "none"]),
        ] {
            if let Some(value) = values(key).find(|value| !known.contains(value)) {
                return Err(invalid(key, value).hint(format!("there are {}", known.join(", "))).into());
            }
        }
        let ports = |key| values(key).map(move |text| range(text).ok_or_else(|| invalid(key, text)));
        let port_hint = |failure: Failure| failure.hint("write PORT, or FIRST-LAST, with /tcp or /udp behind it");
        let container =
            |key| values(key).last().map(|text| store.container(text).map(|folder| folder.record.id)).transpose();
        let mut ancestors = None;
        for name in values("ancestor") {
            let wanted = ancestors.get_or_insert_with(BTreeSet::new);
            // As with Docker, nothing descends from an image that is not there.
            if let Ok(image) = store.resolve(name) {
                wanted.insert(image.id);
            }
        }
        Ok(Self {
            options,
            store,
            names: names.collect::<Result<_, _>>()?,
            exited: exited.collect::<Result<_, _>>()?,
            before: container("before")?,
            since: container("since")?,
            ancestors,
            published: ports("publish").collect::<Result<_, _>>().map_err(port_hint)?,
            exposed: ports("expose").collect::<Result<_, _>>().map_err(port_hint)?,
            descends: HashMap::new(),
        })
    }

    /// Of all containers, newest first, those that are wanted.
    pub(super) fn of(mut self, containers: Vec<Container>) -> Vec<Container> {
        let start = self.before.as_ref().map(|id| position(&containers, id).map_or(containers.len(), |at| at + 1));
        let end = self.since.as_ref().and_then(|id| position(&containers, id)).unwrap_or(containers.len());
        let limit = self.options.limit().unwrap_or(usize::MAX);
        let skip = start.unwrap_or(0);
        let between = containers.into_iter().take(end).skip(skip);
        between.filter(|container| self.wants(container)).take(limit).collect()
    }

    fn wants(&mut self, container: &Container) -> bool {
        let Container { spec, state, .. } = container;
        let values = |key| filter::values(&self.options.filters, key);
        let any = |key, test: &dyn Fn(&str) -> bool| values(key).next().is_none() || values(key).any(test);
        let everything = self.options.all || self.options.limit().is_some() || values("status").next().is_some();
        let (name, slashed) = (container.name(), format!("/{}", container.name()));
        let phase = state.phase.to_string();
        (everything || state.is_running())
            && any("id", &|id| container.id().starts_with(id))
            && (self.names.is_empty()
                || self.names.iter().any(|pattern| pattern.is_match(name) || pattern.is_match(&slashed)))
            && filter::labels_match(&self.options.filters, spec.labels())
            && any("status", &|wanted| phase == wanted)
            && (self.exited.is_empty() || (state.phase == Phase::Exited && self.exited.contains(&state.exit_code)))
            && any("health", &|wanted| super::health(container).unwrap_or("none") == wanted)
            && any("volume", &|wanted| has_volume(container, wanted))
            && any("network", &|wanted| super::network(spec.network) == wanted)
            && self.has_port(container)
            && self.descends(container)
    }

    fn has_port(&self, container: &Container) -> bool {
        if self.published.is_empty() && self.exposed.is_empty() {
            return true;
        }
        ports::of(container).iter().any(|port| {
            self.published.iter().any(|&range| port.is_published_in(range))
                || self.exposed.iter().any(|&range| port.is_exposed_in(range))
        })
    }

    fn descends(&mut self, container: &Container) -> bool {
        let Some(ancestors) = &self.ancestors else { return true };
        let record = &container.folder.record;
        if let Some(&known) = self.descends.get(&record.image) {
            return known;
        }
        let mut seen = BTreeSet::new();
        let mut next = Some(record.image);
        let mut found = false;
        // A damaged store must not make it go round for ever.
        while let Some(id) = next.filter(|id| seen.insert(*id)) {
            found |= ancestors.contains(&id);
            next = if found { None } else { self.store.image(&id).ok().flatten().and_then(|image| image.parent) };
        }
        self.descends.insert(record.image, found);
        found
    }
}

fn position(containers: &[Container], id: &str) -> Option<usize> {
    containers.iter().position(|container| container.id() == id)
}

/// By its name, by where it comes from, or by where the container sees it.
fn has_volume(container: &Container, wanted: &str) -> bool {
    container.spec.mounts.iter().any(|mount| {
        let source = match &mount.source {
            MountSource::Volume { name, .. } => name == wanted,
            MountSource::Bind { source } => source.as_os_str() == wanted,
            MountSource::Tmpfs(_) => false,
        };
        source || mount.target == wanted
    })
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn range(text: &str) -> Option<(u16, u16, Protocol)> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last, protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ports() {
        for (text, expected) in [
            ("80", Some((80, 80, Protocol::Tcp))),
            ("53/udp", Some((53, 53, Protocol::Udp))),
            ("8000-8010/tcp", Some((8000, 8010, Protocol::Tcp))),
            ("8010-8000", None),
            ("80:80", None),
            ("80/sctp", None),
            ("65536", None),
        ] {
            assert_eq!(range(text), expected, "{text}");
        }
    }
}
