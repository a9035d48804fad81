//! `kiln system df`: what takes how much of the disk, and what keeps it.

mod containers;
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
    let usage = session.store_to_read()?.disk_usage()?;
    let format = options.listing.format();
    if options.verbose {
        let mut out = super::stdout();
        verbose::write(&usage, &format, &mut out)?;
        return Ok(out.flush()?);
    }
    listing::write(&COLUMNS, &format, rows(&usage))
}

fn rows(usage: &DiskUsage) -> [Row; 4] {
    let DiskUsage { images, images_bytes, images_reclaimable, containers, volumes, cache } = usage;
    let used = images.iter().filter(|image| !image.containers.is_empty()).count();
    let running = containers.iter().filter(|container| container.running).count();
    let stopped = containers.iter().filter(|container| !container.running).map(|container| container.bytes).sum();
    let written = containers.iter().map(|container| container.bytes).sum();
    let mounted = volumes.iter().filter(|volume| !volume.containers.is_empty()).count();
    let unmounted = volumes.iter().filter(|volume| volume.containers.is_empty()).map(|volume| volume.bytes).sum();
    let stored = volumes.iter().map(|volume| volume.bytes).sum();
    let cached = cache.iter().map(|entry| entry.bytes).sum();
    let unused = cache.iter().filter(|entry| !entry.held).map(|entry| entry.bytes).sum();
    let held = cache.iter().filter(|entry| entry.held).count();
    [
        row("Images", images.len(), used, *images_bytes, share(*images_reclaimable, *images_bytes)),
        row("Containers", containers.len(), running, written, share(stopped, written)),
        row("Local Volumes", volumes.len(), mounted, stored, share(unmounted, stored)),
        row("Build Cache", cache.len(), held, cached, size::exact(unused)),
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
