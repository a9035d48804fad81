//! From what people type to an image, in Docker's order: a name, else an id or the beginning of one.

use kiln_types::{Digest, Reference};

use crate::{Error, Image, Result, Store, files, names, unnamed};

/// Of an id, in lists.
const SHOWN_DIGITS: usize = 12;

impl Store {
    /// A name, a full id, or a prefix of one that no other id shares. Names win over ids, as in Docker.
    /// `Error::NoSuchImage` where there is none.
    pub fn resolve(&self, text: &str) -> Result<Image> {
        let (id, _) = self.resolve_id(text)?;
        self.image(&id)?.ok_or_else(|| no_such_image(text))
    }

    /// The same for what stands in a file: fewer digits of an id than are usually shown are none, or a short name that
    /// is missing would now and then be some other image.
    pub fn resolve_written(&self, text: &str) -> Result<Image> {
        let (id, name) = self.resolve_id(text)?;
        if name.is_none() && text.len() < SHOWN_DIGITS {
            return Err(no_such_image(text));
        }
        files::touch(&self.record_path(&id));
        self.image(&id)?.ok_or_else(|| no_such_image(text))
    }

    /// With the name, if that is what was given.
    pub(crate) fn resolve_id(&self, text: &str) -> Result<(Digest, Option<Reference>)> {
        self.resolve_among(text, |prefix| {
            let mut found = self.image_ids()?;
            found.retain(|id| id.hex().starts_with(prefix));
            Ok(found)
        })
    }

    /// `with_prefix` finds the ids that begin with those digits.
    pub(crate) fn resolve_among(
        &self,
        text: &str,
        with_prefix: impl FnOnce(&str) -> Result<Vec<Digest>>,
    ) -> Result<(Digest, Option<Reference>)> {
        if text == "scratch" {
            return Err(Error::Scratch);
        }
        let name = text.parse().map(|name| names::normal(&name));
        let mut missing = no_such_image(text);
        if let Ok(name) = &name
            && let Some(kept) = self.load_name(name)?
        {
            if self.load_record(&kept.id)?.is_some() {
                return Ok((kept.id, Some(name.clone())));
            }
            missing = Error::LostImage { name: name.clone() };
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let is_id = (1..=64).contains(&digits.len()) && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_id {
            name?;
            return Err(missing);
        }
        let found = with_prefix(digits)?;
        match found[..] {
            [] => self.of_index(digits)?.ok_or(missing),
            [id] => Ok((id, None)),
            _ => Err(Error::AmbiguousId { prefix: digits.to_owned(), count: found.len() }),
        }
    }
}

impl Store {
    /// What a name stands for that has the index with that whole digest, which is what builds for several platforms answer;
    /// with the name where that is the index' own, as it has no other.
    fn of_index(&self, digits: &str) -> Result<Option<(Digest, Option<Reference>)>> {
        let Ok(index) = format!("sha256:{digits}").parse::<Digest>() else { return Ok(None) };
        let found = self.all_names()?.into_iter().find(|(_, kept)| kept.index == Some(index));
        let Some((name, kept)) = found else { return Ok(None) };
        let name = Some(name).filter(unnamed::is_unnamed);
        Ok(self.load_record(&kept.id)?.map(|_| (kept.id, name)))
    }
}

/// Docker names it with its tag.
fn no_such_image(text: &str) -> Error {
    let name = text.parse::<Reference>().map(|name| name.with_default_tag().familiar());
    Error::NoSuchImage { name: name.unwrap_or_else(|_| text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;

    #[test]
    fn names_ids_and_their_beginnings() {
        let store = TestStore::new();
        let (one, two) = (store.make_image(&["1"], None, false), store.make_image(&["2"], None, true));
        store.tag(&one, &"team/app:1".parse().expect("name")).expect("tag");
        let found = |text: &str| store.resolve(text).map(|image| image.id).map_err(|error| error.to_string());
        for text in
            ["team/app:1", "docker.io/team/app:1", &one.to_string(), &one.hex(), &one.short(), &one.to_string()[..20]]
        {
            assert_eq!(found(text), Ok(one), "{text}");
        }
        assert_eq!(found(&two.short()), Ok(two));
        assert_eq!(store.resolve_written(&two.short()).expect("found").id, two);
        assert!(matches!(store.resolve_written(&two.short()[..11]), Err(Error::NoSuchImage { .. })));
        for (text, message) in [
            ("team/app", "No such image: team/app:latest"),
            ("app:2", "No such image: app:2"),
            ("sha256:0123456789", "No such image: sha256:0123456789"),
            (
                "scratch",
                "`scratch` is a reserved name: the empty image can stand in FROM, but be neither run, inspected nor tagged",
            ),
        ] {
            assert_eq!(found(text), Err(message.to_owned()), "{text}");
        }
        assert!(found("Not A Name").expect_err("refused").starts_with("invalid image name"));
    }

    #[test]
    fn a_name_whose_image_is_damaged_says_so_and_can_be_removed() {
        let store = TestStore::new();
        let id = store.make_image(&["1"], None, false);
        let name: Reference = "app".parse().expect("name");
        store.tag(&id, &name).expect("tag");
        files::remove_tree(&store.record_path(&id)).expect("remove");
        std::fs::write(store.record_path(&id), "{").expect("write");
        assert!(matches!(store.resolve("app"), Err(Error::LostImage { .. })));
        assert_eq!(store.listing(false).expect("names").lost, [name.clone().with_default_tag()]);
        assert!(matches!(store.resolve(&id.short()), Err(Error::NoSuchImage { .. })));
        let removed = store.remove_image("app", crate::RemoveOptions::default()).expect("removed");
        assert_eq!(removed, [crate::Removed::Untagged(name.with_default_tag())]);
        assert!(matches!(store.resolve("app"), Err(Error::NoSuchImage { .. })));
        assert!(store.listing(false).expect("names").lost.is_empty());
    }

    #[test]
    fn names_win_over_ids_and_ambiguity_is_an_error() {
        let store = TestStore::new();
        let ids: Vec<Digest> = (0..20).map(|n| store.make_image(&[&n.to_string()], None, false)).collect();
        let shared = ids.iter().find(|id| ids.iter().any(|other| other != *id && other.hex()[..1] == id.hex()[..1]));
        let prefix = shared.expect("20 ids, 16 digits").hex()[..1].to_owned();
        assert!(matches!(store.resolve(&prefix), Err(Error::AmbiguousId { .. })));
        store.tag(&ids[0], &prefix.parse().expect("name")).expect("tag");
        assert_eq!(store.resolve(&prefix).expect("named").id, ids[0]);
    }
}
