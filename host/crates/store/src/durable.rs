//! Durability.

use crate::{Result, Store};

impl Store {
    /// Makes everything that this process wrote durable. Names are written only after it, by themselves.
    pub fn sync(&self) -> Result<()> {
        todo!()
    }
}
