//! Step records: what a step made, by its key.

use kiln_types::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Result, Store};

impl Store {
    /// The record of a step. A record that cannot be read, or that refers to something which is gone, is a miss.
    pub fn record<T: DeserializeOwned>(&self, key: &Digest) -> Result<Option<T>> {
        todo!()
    }

    /// Keeps the record of a step. `refers_to` are the image ids and diff ids it is worthless without.
    pub fn put_record<T: Serialize>(&self, key: &Digest, refers_to: &[Digest], record: &T) -> Result<()> {
        todo!()
    }

    /// The right to make the step with this key; `None` while another process (or thread) has it.
    pub fn try_lock_key(&self, key: &Digest) -> Result<Option<KeyLock>> {
        todo!()
    }

    /// The same, waiting. Look for the record again afterwards: who had the lock has most likely written it.
    pub fn lock_key(&self, key: &Digest) -> Result<KeyLock> {
        todo!()
    }
}

/// Held while a step is being made; dropping it lets the next one go on.
pub struct KeyLock {}
