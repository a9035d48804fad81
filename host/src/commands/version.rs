//! `kiln version`.

use std::io::Write;

pub(super) fn run() -> anyhow::Result<()> {
    let mut out = super::stdout();
    writeln!(out, "kiln {}", env!("CARGO_PKG_VERSION"))?;
    Ok(out.flush()?)
}
