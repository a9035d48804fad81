//! `kiln version`.

use std::io::Write;

use kiln_template::Types;
use kiln_types::Platform;
use serde_json::json;

use crate::cli::info::Version;
use crate::report::format::Format;

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn run(options: &Version) -> anyhow::Result<()> {
    let mut out = super::stdout();
    match &options.format {
        None | Some(Format::Table) => writeln!(out, "kiln {VERSION}")?,
        Some(format) => {
            let Platform { os, architecture, .. } = Platform::host();
            let program = json!({ "Version": VERSION, "Os": os, "Arch": architecture });
            // There is no daemon: whoever asks for the server's version means the program that builds.
            let version = json!({ "Client": program, "Server": program });
            format.write_one(&version, &Types { name: "version", maps: &[], lists: &[], methods: &[] }, &mut out)?;
        }
    }
    Ok(out.flush()?)
}
