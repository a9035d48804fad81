//! Received layers are looked at once, before there is an image of them: they are tars with the diff ids that the images
//! say. Nothing is written but the size of the files in them (`layers/<diff id>.source`).
//!
//! A compressed blob is decompressed as a stream, bounded like everything that strangers have compressed: 16 GiB, or 200
//! times what it is itself. Of a plain tar, whose digest is the diff id, only the headers are read.

use std::fs::File;
use std::io::{self, Read};

use kiln_image::compress::{self, Compression};
use kiln_image::{survey, survey_file};
use kiln_types::Digest;

use crate::{Error, Result, Store};

/// Hears how many bytes of how many are read, and may end it.
pub(crate) type Told<'a> = &'a (dyn Fn(u64, u64) -> io::Result<()> + Sync);

impl Store {
    /// Looks at a blob that an image has as its layer `diff_id`, unless that was done before. `told` hears how many bytes
    /// of how many are read, and may end it.
    ///
    /// # Errors
    /// `NoLayer` and `WrongLayer` for what no image may have, `DamagedBlob` where the store's file is to blame.
    pub fn verify_source(&self, diff_id: &Digest, blob: &Digest, told: Told<'_>) -> Result<()> {
        if self.is_verified(diff_id, blob)? {
            return Ok(());
        }
        let file = self.open_blob(blob)?;
        match self.survey(&file, diff_id, blob, told) {
            Ok(size) => self.note_verified(diff_id, blob, size),
            // Whoever ends it wants nothing more to be read.
            Err(Error::NoLayer { .. } | Error::WrongLayer { .. })
                if told(0, 0).is_ok() && !self.is_sound(&file, blob)? =>
            {
                Err(self.remove_damaged(blob))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn is_verified(&self, diff_id: &Digest, blob: &Digest) -> Result<bool> {
        // The index of a tar was made from it.
        let has_index = blob == diff_id && self.layer_header(diff_id).is_some();
        Ok(has_index || self.sources(diff_id)?.verified.contains(blob))
    }

    /// The bytes of the files in the layer that the blob in `file` is.
    pub(crate) fn survey(&self, mut file: &File, diff_id: &Digest, blob: &Digest, told: Told<'_>) -> Result<u64> {
        let io = |source| self.io("read", &self.blob_path(blob), source);
        let failed = |source| match self.image_error(source) {
            // The decoders' own errors have no number of the system.
            Error::Image(kiln_image::Error::Io { source, .. }) if source.raw_os_error().is_some() => io(source),
            Error::Image(source) => Error::NoLayer { layer: *blob, source },
            error => error,
        };
        if blob == diff_id {
            return survey_file(file).map_err(failed);
        }
        let wrong = |found| Error::WrongLayer { layer: *blob, diff_id: *diff_id, found };
        let total = file.metadata().map_err(io)?.len();
        let (compression, _) = compress::sniff(file).map_err(io)?;
        io::Seek::rewind(&mut file).map_err(io)?;
        if compression == Compression::None {
            return Err(wrong(*blob));
        }
        let plain = compress::decompressed(Telling { file, done: 0, total, told });
        let plain = plain.map_err(|source| failed(kiln_image::Error::Io { action: "decompress it", source }))?;
        match survey(plain).map_err(failed)? {
            (found, size) if found == *diff_id => Ok(size),
            (found, _) => Err(wrong(found)),
        }
    }
}

struct Telling<'a> {
    file: &'a File,
    done: u64,
    total: u64,
    told: Told<'a>,
}

impl Read for Telling<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.done += read as u64;
        (self.told)(self.done, self.total)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kiln_image::compress::gzip;

    use super::*;
    use crate::testing::{TestStore, one_file};

    #[test]
    fn what_is_verified_is_not_read_again_and_the_size_stays() {
        let made = TestStore::new();
        let diff_id = made.add_layer(one_file("file", "content")).expect("layer").diff_id;
        let tar = made.read_blob(&diff_id, 1 << 20).expect("tar");
        let mut packed = Vec::new();
        gzip(&tar[..], &mut packed).expect("gzip");
        let store = TestStore::new();
        let blobs = [store.put_blob(&packed).expect("put"), store.put_blob(&tar).expect("put")];
        let nobody = |_, _| Err(io::Error::other("read again"));
        for blob in &blobs {
            store.verify_source(&diff_id, blob, &|_, _| Ok(())).expect("a layer");
            store.verify_source(&diff_id, blob, &nobody).expect("known");
            assert_eq!(store.another().layer_size(&diff_id).expect("size"), 7);
        }
        assert_eq!(store.sources(&diff_id).expect("sources").verified, blobs);
        // Notes of older kilns have no size.
        fs::write(store.source_path(&diff_id), format!("{} verified\n", blobs[0])).expect("write");
        assert_eq!(
            (store.sources(&diff_id).expect("sources").verified, store.is_verified(&diff_id, &blobs[1]).expect("told")),
            (vec![blobs[0]], false)
        );
    }

    #[test]
    fn who_ends_it_is_not_told_of_damage_and_damage_is_told() {
        let store = TestStore::new();
        let mut packed = Vec::new();
        gzip(&[7; 5000][..], &mut packed).expect("gzip");
        let (blob, diff_id) = (store.put_blob(&packed).expect("put"), Digest::of([7; 5000]));
        let ended = |_, _| Err(io::Error::other("ended"));
        assert!(matches!(store.verify_source(&diff_id, &blob, &ended), Err(Error::NoLayer { .. })));
        let goes_on = |_, _| Ok(());
        assert!(matches!(store.verify_source(&diff_id, &blob, &goes_on), Err(Error::NoLayer { .. })));
        store.sync().expect("sync");
        crate::files::remove_tree(&store.blob_path(&blob)).expect("remove");
        fs::write(store.blob_path(&blob), &packed[..20]).expect("write");
        assert!(matches!(store.verify_source(&diff_id, &blob, &goes_on), Err(Error::DamagedBlob { .. })));
        assert!(!store.has_blob(&blob));
    }
}
