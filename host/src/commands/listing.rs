//! How every list is written: ids only, JSON, or a table.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use crate::report::age;
use crate::report::table::Table;
use crate::session::now;

/// One line of a list.
pub(super) trait Row: Serialize {
    const HEADER: [&str; 5];

    fn id(&self) -> &str;
    fn cells(self) -> [String; 5];
}

pub(super) fn write<R: Row>(rows: Vec<R>, only_ids: bool, json: bool) -> anyhow::Result<()> {
    let mut out = super::stdout();
    if only_ids {
        for row in &rows {
            writeln!(out, "{}", row.id())?;
        }
    } else if json {
        for row in &rows {
            writeln!(out, "{}", serde_json::to_string(row)?)?;
        }
    } else {
        let mut table = Table::new(R::HEADER);
        rows.into_iter().for_each(|row| table.row(row.cells()));
        table.write(&mut out)?;
    }
    Ok(out.flush()?)
}

/// Not every image says when it was made.
pub(super) fn since(created: Option<Timestamp>) -> String {
    created.map_or_else(|| "N/A".to_owned(), |at| age::ago(now() - at.as_second()))
}
