//! Who needs an image, whatever its names: containers that run, and those that could run again.

use std::path::PathBuf;

use kiln_image::ImageConfig;
use kiln_types::Digest;

use crate::images::Record;
use crate::{ContainerRecord, Error, Image, Result, Store, files, images};

/// One container that was made of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) image: Digest,
    /// The beginning of the container's id.
    pub(crate) container: String,
    pub(crate) running: bool,
}

impl Store {
    /// All but containers with these ids. Those that run come first.
    pub(crate) fn users(&self, without: &[String]) -> Result<Vec<User>> {
        let mut users = Vec::new();
        for folder in self.containers()?.into_iter().filter(|folder| !without.contains(&folder.record.id)) {
            let running = folder.is_locked()?;
            let container = folder.record.short_id().to_owned();
            users.push(User { image: folder.record.image, container, running });
        }
        users.sort_by_key(|user| !user.running);
        Ok(users)
    }

    /// The image that a container was made of. It is there as long as the container is, also if it was removed by force.
    pub fn container_image(&self, container: &ContainerRecord) -> Result<Image> {
        let id = &container.image;
        let found = self.image(id)?.or_else(|| {
            let found = images::read_whole(&self.kept_record_path(id), id)?;
            Some(images::image_of(id, found))
        });
        found.ok_or_else(|| Error::NoSuchImage { name: id.to_string() })
    }

    /// The image is no more, but for the containers that were made of it.
    pub(crate) fn keep_record_for_containers(&self, id: &Digest) -> Result<()> {
        let from = self.record_path(id);
        std::fs::rename(&from, self.kept_record_path(id)).map_err(|source| self.io("move", &from, source))
    }

    /// Records of images that were removed by force. One counts as long as a container needs it, and there is no image
    /// with that id once more.
    pub(crate) fn kept_records(&self) -> Result<Vec<(Digest, PathBuf)>> {
        let entries = self.entries("images/removed")?.into_iter();
        let found = entries.filter_map(|entry| Some((images::id_of(entry.file_name().to_str()?)?, entry.path())));
        Ok(found.collect())
    }

    pub(crate) fn kept_record(&self, id: &Digest) -> Option<(Record, ImageConfig)> {
        images::read_whole(&self.kept_record_path(id), id)
    }

    pub(crate) fn remove_kept_record(&self, id: &Digest) -> Result<()> {
        let path = self.kept_record_path(id);
        files::remove_tree(&path).map_err(|source| self.io("remove", &path, source))
    }

    fn kept_record_path(&self, id: &Digest) -> PathBuf {
        self.root().join(format!("images/removed/{}.json", id.hex()))
    }
}
