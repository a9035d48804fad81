//! Names of images: `images/names/<encoded>.json`, one file each, written only after all that it leads to is durable.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kiln_image::Manifest;
use kiln_types::{Digest, Reference};
use serde::{Deserialize, Serialize};

use crate::files::{self, Durability};
use crate::images::Record;
use crate::{Error, Result, Store, unnamed};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) id: Digest,
    /// The manifest of that image which it was pulled, loaded or pushed with.
    pub(crate) manifest: Option<Digest>,
    /// The index through which it came, if one did (platforms.rs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<Digest>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The image itself; of several platforms' the one that is taken where none is asked for.
    pub id: Digest,
    pub manifest: Option<Digest>,
    /// Of the images of all platforms, where there are several. Not all of them need be in the store.
    pub index: Option<Digest>,
}

impl Named {
    /// What a registry knows it by.
    pub fn digest(&self) -> Option<Digest> {
        self.index.or(self.manifest)
    }
}

/// Names are kept as Docker keeps them: with a tag, or as `repository@digest` without one.
pub(crate) fn normal(name: &Reference) -> Reference {
    if name.digest.is_some() { Reference { tag: None, ..name.clone() } } else { name.clone().with_default_tag() }
}

/// Upper case is escaped because some hosts do not tell it apart in names of files.
pub(crate) fn encoded(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What was encoded; `None` for what cannot have been.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        out.push(char::from(u8::from_str_radix(digits, 16).ok()?));
        out.push_str(rest);
    }
    Some(out)
}

/// A file name on every host.
fn file_name(name: &str) -> String {
    let out = encoded(name);
    // Hosts allow 255 bytes. No other encoded name lacks the escaped slash behind the registry.
    if out.len() > 240 { format!("long-{}.json", Digest::of(name).hex()) } else { out + ".json" }
}

impl Store {
    /// Gives an image a name and makes all that it needs durable first. Answers which other image had the name before.
    /// A reference with a digest is kept as `repository@digest` beside the tags, as after a pull or push.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<Option<Digest>> {
        let known = self.named(name)?.filter(|known| known.id == *id);
        self.give_name(id, name, known.and_then(|known| known.index).as_ref())
    }

    /// The same for what came from elsewhere, with the index in which it was found, if it was in one. The index is
    /// among the blobs; those of its images that are in the store stay as long as the name does.
    pub fn name_received(&self, id: &Digest, name: &Reference, index: Option<&Digest>) -> Result<Option<Digest>> {
        self.give_name(id, name, index)
    }

    /// One more name for what `source` stands for, with all its platforms. Answers which other image had it before.
    pub fn copy_name(&self, source: &str, name: &Reference) -> Result<Option<Digest>> {
        let (id, known) = self.resolve_id(source)?;
        let index = match known {
            Some(known) => self.named(&known)?.and_then(|named| named.index),
            None => return self.tag(&id, name),
        };
        self.give_name(&id, name, index.as_ref())
    }

    /// Whether an image can have that name at all.
    pub fn check_name(name: &Reference) -> Result<()> {
        if unnamed::is_unnamed(name) {
            return Err(Error::ReservedName { registry: unnamed::REGISTRY });
        }
        match (name.registry.as_str(), name.repository.as_str()) {
            ("docker.io", "library/scratch") => Err(Error::Scratch),
            ("docker.io", "library/sha256") => Err(Error::LooksLikeDigest),
            _ => Ok(()),
        }
    }

    fn give_name(&self, id: &Digest, name: &Reference, index: Option<&Digest>) -> Result<Option<Digest>> {
        Self::check_name(name)?;
        self.give_any_name(id, name, index)
    }

    pub(crate) fn give_any_name(
        &self,
        id: &Digest,
        name: &Reference,
        index: Option<&Digest>,
    ) -> Result<Option<Digest>> {
        let name = normal(name);
        let wanted = |record: &Record| {
            let manifest = name.digest.filter(|_| index.is_none());
            let manifest = manifest.or(record.manifest.as_ref().map(|manifest| manifest.digest));
            Name { name: name.to_string(), id: *id, manifest, index: index.copied() }
        };
        let record = self.existing_record(id)?;
        // What an index leads to may have grown.
        if !record.intermediate && index.is_none() && self.load_name(&name)? == Some(wanted(&record)) {
            return Ok(None);
        }
        self.promote(id)?;
        let mut needed = self.needs(id, &record)?;
        if let Some(index) = index {
            needed.extend(self.index_tree(index)?.0.digests().map(|index| self.blob_path(index)));
            for member in self.members(index)? {
                self.promote(&member)?;
                needed.extend(self.needs(&member, &self.existing_record(&member)?)?);
            }
        }
        needed.sort_unstable();
        needed.dedup();
        // Written out with what it leads to, and in its place after all that.
        let prepared = wanted(&record);
        let file = self.temporary_json(&prepared)?;
        self.settle(&needed, std::slice::from_ref(&file))?;

        let _lock = self.lock_images()?;
        // Another process may have removed it meanwhile.
        let new = wanted(&self.existing_record(id)?);
        let before = self.load_name(&name)?;
        if before.as_ref() != Some(&new) {
            // Before the name leads elsewhere: should this process be killed in between, nothing is lost.
            if let Some(before) = before.as_ref().filter(|before| before.index != new.index) {
                self.keep_former(&name, before)?;
            }
            if new == prepared {
                self.place(file, &self.name_path(&name), Durability::Reached)?;
            } else {
                self.write_json(&self.name_path(&name), &new, Durability::Now)?;
            }
            if let Some(index) = index.filter(|_| !unnamed::is_unnamed(&name)) {
                self.forget_unnamed(index)?;
            }
        }
        // A power loss within the next seconds may bring back what the name was before, but never half of it.
        match before {
            Some(before) if before.id != *id => Ok(self.load_record(&before.id)?.map(|_| before.id)),
            _ => Ok(None),
        }
    }

    /// What a name stands for; `None` where nothing has that name, or its image is lost.
    pub fn named(&self, name: &Reference) -> Result<Option<Named>> {
        let Some(kept) = self.load_name(&normal(name))? else { return Ok(None) };
        let there = self.load_record(&kept.id)?.is_some();
        Ok(there.then_some(Named { id: kept.id, manifest: kept.manifest, index: kept.index }))
    }

    /// Takes a name away; `false` where nothing had it. The image stays.
    pub(crate) fn untag(&self, name: &Reference) -> Result<bool> {
        let path = self.name_path(&normal(name));
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.io("remove", &path, source)),
        }
    }

    /// All names of an image, sorted: tags and `repository@digest`.
    pub fn names(&self, id: &Digest) -> Result<Vec<Reference>> {
        let names = self.all_names()?;
        let of_image = names.into_iter().filter(|(name, kept)| kept.id == *id && !unnamed::is_unnamed(name));
        Ok(of_image.map(|(name, _)| name).collect())
    }

    pub(crate) fn all_names(&self) -> Result<BTreeMap<Reference, Name>> {
        let directory = self.root().join("images/names");
        let entries = files::list(&directory).map_err(|source| self.io("list", &directory, source))?;
        let mut names = BTreeMap::new();
        for entry in entries {
            let path = entry.path();
            let bytes = files::read_optional(&path).map_err(|source| self.io("read", &path, source))?;
            // What is damaged is no name; tagging writes it anew.
            let Some(Ok(kept)) = bytes.map(|bytes| serde_json::from_slice::<Name>(&bytes)) else { continue };
            if let Some(name) = self.checked_name(&kept, &path) {
                names.insert(name, kept);
            }
        }
        Ok(names)
    }

    /// What a file says to be the name of, if it belongs there.
    pub(crate) fn checked_name(&self, kept: &Name, path: &Path) -> Option<Reference> {
        kept.name.parse().ok().filter(|name| self.name_path(name) == path)
    }

    /// From now on the name stands for one image only.
    pub(crate) fn forget_index(&self, name: &Reference) -> Result<()> {
        let Some(kept) = self.load_name(name)? else { return Ok(()) };
        self.write_json(&self.name_path(name), &Name { index: None, ..kept }, Durability::Now)
    }

    pub(crate) fn load_name(&self, name: &Reference) -> Result<Option<Name>> {
        let path = self.name_path(name);
        let bytes = files::read_optional(&path).map_err(|source| self.io("read", &path, source))?;
        let kept = bytes.and_then(|bytes| serde_json::from_slice::<Name>(&bytes).ok());
        Ok(kept.filter(|kept| kept.name == name.to_string()))
    }

    pub(crate) fn name_path(&self, name: &Reference) -> PathBuf {
        self.root().join("images/names").join(file_name(&name.to_string()))
    }

    /// The files without which an image is not whole.
    fn needs(&self, id: &Digest, record: &Record) -> Result<Vec<PathBuf>> {
        let mut blobs = Vec::new();
        let mut paths = vec![self.record_path(id)];
        for diff_id in record.parse_config()?.rootfs.diff_ids {
            let kept = self.layer_blobs(&diff_id)?;
            if kept.is_empty() {
                return Err(Error::MissingBlob { digest: diff_id });
            }
            if !kept.contains(&diff_id) {
                paths.push(self.source_path(&diff_id));
            }
            blobs.extend(kept);
        }
        if record.manifest.is_some() {
            let (descriptor, manifest) = self.manifest(id)?;
            blobs.extend([*id, descriptor.digest]);
            blobs.extend(Manifest::parse(&manifest)?.layers.iter().map(|layer| layer.digest));
            blobs.retain(|blob| self.has_blob(blob));
        }
        paths.extend(blobs.iter().map(|blob| self.blob_path(blob)));
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;

    fn name(text: &str) -> Reference {
        text.parse().expect(text)
    }

    #[test]
    fn file_names_are_legal_and_distinct() {
        assert_eq!(file_name("docker.io/library/a:V1"), "docker.io%2Flibrary%2Fa%3A%561.json");
        assert_eq!(decoded(&encoded("Ab.c-D_1")).as_deref(), Some("Ab.c-D_1"));
        assert!(["%", "%4", "%zz", "%4é"].iter().all(|text| decoded(text).is_none()));
        let long = |tag: &str| file_name(&format!("docker.io/{}:{tag}", "r/".repeat(100)));
        assert!(long("a").len() < 100 && long("a") != long("b"));
    }

    #[test]
    fn a_name_moves_and_says_from_where() {
        let store = TestStore::new();
        let (one, two) = (store.make_image(&["1"], None, false), store.make_image(&["2"], None, false));
        assert_eq!(store.tag(&one, &name("a")).expect("tag"), None);
        assert_eq!(store.tag(&one, &name("a:latest")).expect("tag"), None);
        assert_eq!(store.tag(&two, &name("a")).expect("tag"), Some(one));
        assert_eq!(store.names(&two).expect("names"), [name("a:latest")]);
        assert!(store.names(&one).expect("names").is_empty());
        assert!(store.untag(&name("a")).expect("untag") && !store.untag(&name("a")).expect("untag"));
        assert!(matches!(store.tag(&one, &name("scratch")), Err(Error::Scratch)));
        assert!(matches!(store.tag(&one, &name("sha256:1")), Err(Error::LooksLikeDigest)));
        assert!(matches!(store.tag(&Digest::of("x"), &name("a")), Err(Error::NoSuchImage { .. })));
    }

    #[test]
    fn a_tagged_image_is_durable_and_no_intermediate_one() {
        let store = TestStore::new();
        let id = store.make_image(&["1"], None, true);
        store.tag(&id, &name("a")).expect("tag");
        assert!(!store.image(&id).expect("image").expect("there").intermediate);
        #[cfg(unix)]
        for path in [store.record_path(&id), store.name_path(&name("a:latest"))] {
            assert!(fs::metadata(&path).expect("metadata").permissions().readonly(), "{path:?}");
        }
    }

    #[test]
    fn damaged_names_are_none() {
        let store = TestStore::new();
        let id = store.make_image(&["1"], None, false);
        store.tag(&id, &name("a")).expect("tag");
        let path = store.name_path(&name("a:latest"));
        for garbage in ["", "{", "[]", r#"{"name":"b","id":"sha256:1"}"#] {
            files::remove_tree(&path).expect("remove");
            fs::write(&path, garbage).expect("write");
            assert!(store.names(&id).expect("names").is_empty());
            assert!(matches!(store.resolve("a"), Err(Error::NoSuchImage { .. })));
        }
        store.tag(&id, &name("a")).expect("tag");
        assert_eq!(store.resolve("a").expect("image").id, id);
    }
}
