//! `kiln system df`: what takes how much of the disk, and what keeps it.

mod verbose;

use std::io::Write;

use kiln_store::DiskUsage;
use serde::Serialize;

use super::listing;
use crate::cli::system;
use crate::report::format::Columns;
use crate::report::size;
use crate::session::Session;

const COLUMNS: Columns = Columns {
    row: "disk usage",
    table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    headers: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    maps: &[],
};

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    r#type: &'static str,
    /// Docker has numbers as texts here.
    total_count: String,
    active: String,
    size: String,
    reclaimable: String,
}

pub(super) fn run(options: &system::DiskUsage, session: &Session) -> anyhow::Result<()> {
    let usage = session.store()?.disk_usage()?;
    let format = options.listing.format();
    if options.verbose {
        let mut out = super::stdout();
        verbose::write(&usage, &format, &mut out)?;
        return Ok(out.flush()?);
    }
    listing::write(&COLUMNS, &format, rows(&usage))
}

fn rows(usage: &DiskUsage) -> [Row; 4] {
    let running = usage.images.iter().filter(|image| !image.processes.is_empty()).count();
    let containers = usage.holds.iter().map(|hold| hold.bytes).sum();
    let cache = usage.cache.iter().map(|entry| entry.bytes).sum();
    let unused = usage.cache.iter().filter(|entry| !entry.held).map(|entry| entry.bytes).sum();
    let held = usage.cache.iter().filter(|entry| entry.held).count();
    [
        row(
            "Images",
            usage.images.len(),
            running,
            usage.images_bytes,
            share(usage.images_reclaimable, usage.images_bytes),
        ),
        // Those that were stopped are gone.
        row("Containers", usage.holds.len(), usage.holds.len(), containers, share(0, containers)),
        row("Local Volumes", 0, 0, 0, share(0, 0)),
        row("Build Cache", usage.cache.len(), held, cache, size::exact(unused)),
    ]
}

fn row(r#type: &'static str, total: usize, active: usize, bytes: u64, reclaimable: String) -> Row {
    Row { r#type, total_count: total.to_string(), active: active.to_string(), size: size::exact(bytes), reclaimable }
}

/// With the percentage, as Docker has it.
fn share(reclaimable: u64, bytes: u64) -> String {
    let size = size::exact(reclaimable);
    match (u128::from(reclaimable) * 100).checked_div(u128::from(bytes)) {
        Some(percent) => format!("{size} ({percent}%)"),
        None => size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down() {
        for (reclaimable, bytes, expected) in [
            (0, 0, "0B"),
            (0, 10, "0B (0%)"),
            (680_500_000, 982_000_000, "680.5MB (69%)"),
            (10, 10, "10B (100%)"),
            (u64::MAX, u64::MAX, "18.45EB (100%)"),
        ] {
            assert_eq!(share(reclaimable, bytes), expected);
        }
    }
}
