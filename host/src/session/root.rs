//! Where the store is unless the user says otherwise.

use std::path::PathBuf;

use crate::report::failure::Failure;

/// `/var/lib/kiln` for root, else the platform's directory for a user's data.
#[cfg(all(unix, not(target_os = "macos")))]
pub(super) fn default() -> anyhow::Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/kiln"));
    }
    // The XDG base directory specification: relative paths are to be ignored.
    match absolute("XDG_DATA_HOME") {
        Some(data) => Ok(data.join("kiln")),
        None => Ok(needed("HOME")?.join(".local/share/kiln")),
    }
}

#[cfg(target_os = "macos")]
pub(super) fn default() -> anyhow::Result<PathBuf> {
    Ok(needed("HOME")?.join("Library/Application Support/kiln"))
}

#[cfg(windows)]
pub(super) fn default() -> anyhow::Result<PathBuf> {
    Ok(needed("LOCALAPPDATA")?.join("kiln"))
}

fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn needed(variable: &str) -> anyhow::Result<PathBuf> {
    let failure = || Failure::new(format!("no place for the store: {variable} is not set to an absolute path"));
    Ok(absolute(variable).ok_or_else(|| failure().hint("choose a folder with --root or KILN_ROOT"))?)
}
