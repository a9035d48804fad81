//! `kiln logout`: forgets credentials.

use std::io::Write;

use crate::cli::logout::Logout;
use crate::session::{DOCKER_HUB, credential_files, registry_name};

pub(super) fn run(options: &Logout) -> anyhow::Result<()> {
    let registry = registry_name(options.server.as_deref())?;
    let known = credential_files(options.authfile.as_deref())?.forget(&registry)?;
    // As Docker calls its own.
    let shown = if registry == DOCKER_HUB { "https://index.docker.io/v1/" } else { &registry };
    let mut out = super::stdout();
    if known {
        writeln!(out, "Removing login credentials for {shown}")?;
    } else {
        writeln!(out, "Not logged in to {shown}")?;
    }
    Ok(out.flush()?)
}
