//! Gzip forms of the layers that were made here, for archives: `layers/<diff id>.gzip` names the blob.
//!
//! One is made when it is first asked for, by an encoder whose bytes depend on the layer only, and kept as long as the
//! layer is.

use std::io::{self, Read};
use std::path::PathBuf;

use kiln_image::manifest::layer_media_type;
use kiln_image::{Compression, Descriptor, Manifest, compress};
use kiln_types::{Digest, Hasher};

use crate::files::{self, Durability};
use crate::locks::LockFile;
use crate::{Result, Store};

impl Store {
    /// The manifest of an image for those who want compressed layers. What was received stays as it is; an image that
    /// was made here has the gzip forms of its layers, which are among the blobs afterwards.
    pub fn compressed_manifest(&self, id: &Digest) -> Result<Vec<u8>> {
        let (_, bytes) = self.manifest(id)?;
        let mut manifest = Manifest::parse(&bytes)?;
        let config = self.existing_record(id)?.parse_config()?;
        if !is_made_here(&manifest, &config.rootfs.diff_ids) {
            return Ok(bytes);
        }
        manifest.layers = manifest.layers.iter().map(|layer| self.gzip_form(&layer.digest)).collect::<Result<_>>()?;
        Ok(manifest.to_json())
    }

    /// The blob with the gzip form of a layer, if it was made already.
    pub(crate) fn known_gzip_form(&self, diff_id: &Digest) -> Result<Option<Digest>> {
        let path = self.gzip_path(diff_id);
        let bytes = files::read_optional(&path).map_err(|source| self.io("read", &path, source))?;
        let blob = bytes.and_then(|bytes| String::from_utf8(bytes).ok()?.trim_end().parse().ok());
        Ok(blob.filter(|blob| self.has_blob(blob)))
    }

    fn gzip_form(&self, diff_id: &Digest) -> Result<Descriptor> {
        let describe = |blob: Digest| {
            let path = self.blob_path(&blob);
            let metadata = std::fs::metadata(&path).map_err(|source| self.io("read", &path, source))?;
            Ok(Descriptor::new(layer_media_type(Compression::Gzip), blob, metadata.len()))
        };
        if let Some(blob) = self.known_gzip_form(diff_id)? {
            return describe(blob);
        }
        let path = self.lock_path("gzip", diff_id);
        let _making = LockFile::acquire(path.clone()).map_err(|source| self.io("lock", &path, source))?;
        match self.known_gzip_form(diff_id)? {
            Some(blob) => describe(blob),
            None => describe(self.make_gzip_form(diff_id)?),
        }
    }

    fn make_gzip_form(&self, diff_id: &Digest) -> Result<Digest> {
        let mut tar = Checked { input: self.open_blob(diff_id)?, hasher: Hasher::new() };
        let mut writer = self.writer()?;
        compress::gzip(&mut tar, &mut writer)
            .map_err(|source| self.io("compress", &self.blob_path(diff_id), source))?;
        if tar.hasher.finish() != *diff_id {
            return Err(self.remove_damaged(diff_id));
        }
        let blob = writer.finish()?;
        self.write_file(&self.gzip_path(diff_id), format!("{blob}\n").as_bytes(), Durability::Later)?;
        Ok(blob)
    }

    fn gzip_path(&self, diff_id: &Digest) -> PathBuf {
        self.root().join(format!("layers/{}.gzip", diff_id.hex()))
    }
}

/// Whether the manifest says nothing but what this store says of an image that it made.
fn is_made_here(manifest: &Manifest, diff_ids: &[Digest]) -> bool {
    let plain = |blob: &Descriptor| Descriptor::new(&blob.media_type, blob.digest, blob.size);
    let uncompressed = layer_media_type(Compression::None);
    manifest.layers.iter().all(|layer| layer.media_type == uncompressed)
        && manifest.layers.iter().map(|layer| &layer.digest).eq(diff_ids)
        && *manifest == Manifest::new(plain(&manifest.config), manifest.layers.iter().map(plain).collect())
}

/// Digests what is read.
struct Checked<R> {
    input: R,
    hasher: Hasher,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestStore;
    use crate::{Error, RemoveOptions};

    #[test]
    fn layers_are_compressed_once_and_forgotten_with_their_image() {
        let store = TestStore::new();
        let id = store.make_image(&["one", "two"], None, false);
        store.tag(&id, &"app".parse().expect("name")).expect("tag");
        let plain = store.manifest(&id).expect("manifest").1;
        let bytes = store.compressed_manifest(&id).expect("compressed");
        let manifest = Manifest::parse(&bytes).expect("manifest");
        for (layer, plain) in manifest.layers.iter().zip(Manifest::parse(&plain).expect("manifest").layers) {
            assert_eq!(layer.media_type, "application/vnd.oci.image.layer.v1.tar+gzip");
            let blob = store.read_blob(&layer.digest, layer.size).expect("blob");
            let mut tar = Vec::new();
            Compression::Gzip.decoder(&blob[..]).expect("gzip").read_to_end(&mut tar).expect("read");
            assert_eq!(Digest::of(tar), plain.digest);
        }
        store.sync().expect("sync");
        let modified = || {
            let file = std::fs::metadata(store.blob_path(&manifest.layers[0].digest)).expect("blob");
            file.modified().expect("time")
        };
        let before = modified();
        assert_eq!(store.another().compressed_manifest(&id).expect("again"), bytes);
        assert_eq!(modified(), before);
        assert_eq!(store.manifest(&id).expect("manifest").1, plain, "its own manifest stays");

        assert_eq!(store.collect().expect("collect").files, 0);
        files::remove_tree(&store.blob_path(&manifest.layers[0].digest)).expect("remove");
        assert_eq!(store.compressed_manifest(&id).expect("made again"), bytes);
        store.remove_image("app", RemoveOptions::default()).expect("remove");
        store.collect().expect("collect");
        assert_eq!((store.files_below("blobs"), store.files_below("layers")), (0, 0));
    }

    #[test]
    fn damaged_layers_are_not_compressed() {
        let store = TestStore::new();
        let id = store.make_image(&["content"], None, false);
        store.sync().expect("sync");
        let diff_id = store.image(&id).expect("image").expect("there").config.rootfs.diff_ids[0];
        let size = store.read_blob(&diff_id, 1 << 20).expect("blob").len();
        files::remove_tree(&store.blob_path(&diff_id)).expect("remove");
        std::fs::write(store.blob_path(&diff_id), vec![7; size]).expect("write");
        assert!(matches!(store.compressed_manifest(&id), Err(Error::DamagedBlob { digest }) if digest == diff_id));
    }

    #[test]
    fn what_was_received_stays_as_it_came() {
        let store = TestStore::new();
        let id = store.make_image(&["content"], None, false);
        let mut manifest = Manifest::parse(&store.manifest(&id).expect("manifest").1).expect("manifest");
        manifest.annotations.insert("from".to_owned(), "elsewhere".to_owned());
        store.add_received(&manifest.to_json()).expect("received");
        assert_eq!(store.compressed_manifest(&id).expect("manifest"), manifest.to_json());
    }
}
