//! The key of a step: what its result depends on, and nothing else.
//!
//! Table of what is keyed (a change of meaning is a new `VERSION`):
//!
//! | component     | RUN | COPY, ADD | WORKDIR | ENV, CMD, … |
//! |---------------|-----|-----------|---------|-------------|
//! | kind, version | yes | yes       | yes     | yes         |
//! | parent        | yes | yes       | yes     | yes         |
//! | platform      | native | yes    | yes     | yes         |
//! | executor      | yes | no        | no      | no          |
//! | command       | yes | no        | no      | no          |
//! | environment   | yes | no        | no      | no          |
//! | directory     | yes | no        | yes     | no          |
//! | user          | yes | no        | yes     | no          |
//! | network       | yes | no        | no      | no          |
//! | clock         | WASI| no        | no      | no          |
//! | mounts        | yes | no        | no      | no          |
//! | hosts         | native | no     | no      | no          |
//! | hostname      | native | no     | no      | no          |
//! | security      | yes | no        | no      | no          |
//! | tools         | seen| no        | no      | no          |
//! | files         | no  | yes       | no      | no          |
//! | configuration | no  | no        | no      | yes         |
//! | instruction   | no  | yes       | no      | yes         |
//!
//! *Parent* is the chain of content digests of the layers below: paths, types, modes, owners, link targets, contents and
//! extended attributes, without times; of nothing for COPY and ADD with `--link`, whose layer fits any image. *Platform* is
//! that of WASI for every WASI step. *Files* are, for each file that will be in the layer, its path there, type, mode, owner
//! and content. *Mounts* are their kinds, targets and options, and the content that bind mounts show; never what caches and
//! secrets hold. *Hosts* are the names of `--add-host`, *hostname* is that of BUILDKIT_SANDBOX_HOSTNAME: WASI steps see
//! neither. *Tools* are kiln's own, where the step can see them. Never keyed: host paths, times of files, the host's system
//! and kernel, limits, stage names, `-t`.

use kiln_types::{Digest, Hasher, Platform};

const VERSION: &str = "1";

/// A key while it is put together.
pub(crate) struct Key {
    components: Vec<(&'static str, String)>,
}

impl Key {
    pub(crate) fn new(kind: &str, parent: Digest, platform: &Platform) -> Self {
        let mut key = Self { components: Vec::with_capacity(10) };
        key.add("version", VERSION);
        key.add("kind", kind);
        key.add("parent", parent.to_string());
        key.add("platform", platform.to_string());
        key
    }

    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<String>) {
        self.components.push((name, value.into()));
    }

    /// A component that is a list: the border between two elements counts.
    pub(crate) fn add_list<'a>(&mut self, name: &'static str, values: impl IntoIterator<Item = &'a String>) {
        let values: Vec<_> = values.into_iter().collect();
        self.add(name, serde_json::to_string(&values).expect("strings are JSON"));
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for (name, value) in &self.components {
            hasher.field(name);
            hasher.field(value);
        }
        hasher.finish()
    }

    pub(crate) fn components(&self) -> &[(&'static str, String)] {
        &self.components
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.components.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The components for the record, so that a miss can be explained.
    pub(crate) fn into_components(self) -> Vec<(String, String)> {
        self.components.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(components: &[(&'static str, &str)]) -> Digest {
        let mut key = Key::new("run", Digest::of(""), &Platform::new("linux", "amd64"));
        components.iter().for_each(|(name, value)| key.add(name, *value));
        key.digest()
    }

    #[test]
    fn every_component_counts_and_borders_do_too() {
        let base = key(&[("command", "a"), ("user", "b")]);
        assert_eq!(base, key(&[("command", "a"), ("user", "b")]));
        assert_ne!(base, key(&[("command", "ab"), ("user", "")]));
        assert_ne!(base, key(&[("user", "b"), ("command", "a")]));
        assert_ne!(base, key(&[("command", "a")]));
    }

    #[test]
    fn lists_keep_their_borders() {
        let list = |values: &[&str]| {
            let mut key = Key::new("run", Digest::of(""), &Platform::wasi());
            let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
            key.add_list("command", &values);
            key.digest()
        };
        assert_ne!(list(&["a b"]), list(&["a", "b"]));
    }
}
