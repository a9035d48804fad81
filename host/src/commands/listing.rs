//! How every list is written.

use std::io::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::report::age;
use crate::report::format::{Columns, Format};
use crate::session::now;

pub(super) fn write<R: Serialize>(
    columns: &Columns,
    format: &Format,
    rows: impl IntoIterator<Item = R>,
) -> anyhow::Result<()> {
    let mut out = super::stdout();
    format.write(columns, rows, &mut out)?;
    Ok(out.flush()?)
}

/// Not every image says when it was made.
pub(super) fn since(created: Option<Timestamp>) -> String {
    created.map_or_else(|| "N/A".to_owned(), |at| age::ago(now() - at.as_second()))
}
