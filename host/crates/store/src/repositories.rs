//! Which repositories are known to have a blob: those of the names that images came from or went to.

use std::collections::{BTreeSet, HashMap, HashSet};

use kiln_image::Manifest;
use kiln_image::config::MAX_DOCUMENT;
use kiln_types::Digest;

use crate::{Result, Store};

impl Store {
    /// Blobs of the images that have names of that registry, each with the repositories it should be in there. Only the
    /// registry knows whether it is.
    pub fn blob_repositories(&self, registry: &str) -> Result<HashMap<Digest, BTreeSet<String>>> {
        let mut manifests: HashSet<(Digest, String)> = HashSet::new();
        // A tag alone may have been given here.
        let received = |name: &kiln_types::Reference| name.registry == registry && name.digest.is_some();
        for (name, kept) in self.all_names()?.into_iter().filter(|(name, _)| received(name)) {
            manifests.extend(kept.manifest.map(|manifest| (manifest, name.repository.clone())));
            if let Some(index) = kept.index {
                let entries = self.index_entries(&index)?.into_iter();
                manifests.extend(entries.map(|entry| (entry.digest, name.repository.clone())));
            }
        }
        let mut repositories: HashMap<Digest, BTreeSet<String>> = HashMap::new();
        for (manifest, repository) in manifests.into_iter().filter(|(manifest, _)| self.has_blob(manifest)) {
            let bytes = self.read_blob(&manifest, MAX_DOCUMENT).unwrap_or_default();
            let Ok(parsed) = Manifest::parse(&bytes) else { continue };
            for blob in parsed.layers.iter().chain([&parsed.config]) {
                repositories.entry(blob.digest).or_default().insert(repository.clone());
            }
        }
        Ok(repositories)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;

    #[test]
    fn only_names_of_the_registry_with_a_digest_tell() {
        let store = TestStore::new();
        let id = store.make_image(&["one"], None, false);
        let (descriptor, bytes) = store.manifest(&id).expect("manifest");
        let layer = Manifest::parse(&bytes).expect("manifest").layers[0].digest;
        store.tag(&id, &"host:5000/tagged:1".parse().expect("name")).expect("tag");
        for name in ["host:5000/team/a", "host:5000/b", "other:5000/c"] {
            let name = format!("{name}@{}", descriptor.digest).parse().expect("name");
            store.name_received(&id, &name, None).expect("named");
        }
        let known = store.blob_repositories("host:5000").expect("known");
        for blob in [layer, id] {
            assert_eq!(known[&blob], BTreeSet::from(["team/a".to_owned(), "b".to_owned()]));
        }
        assert_eq!(known.len(), 2);
        assert!(store.blob_repositories("docker.io").expect("known").is_empty());
    }
}
