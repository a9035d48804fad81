//! Where the store and configurations are unless the user says otherwise.

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

/// kiln's own configuration.
pub(super) fn config_file() -> Option<PathBuf> {
    let folder = if is_system_user() { Some(PathBuf::from("/etc")) } else { user_config() };
    Some(folder?.join("kiln/config.toml"))
}

/// Where Docker's daemon has its configuration: that of this user, then that of the system.
pub(super) fn docker_folders() -> Vec<PathBuf> {
    let own = user_config().filter(|_| cfg!(unix) && !is_system_user()).map(|folder| folder.join("docker"));
    let system = if cfg!(windows) {
        absolute("PROGRAMDATA").map(|folder| folder.join("docker/config"))
    } else {
        Some(PathBuf::from("/etc/docker"))
    };
    own.into_iter().chain(system).collect()
}

/// Whether this is root on a system where root has folders of its own.
fn is_system_user() -> bool {
    #[cfg(all(unix, not(target_os = "macos")))]
    return rustix::process::geteuid().is_root();
    #[cfg(not(all(unix, not(target_os = "macos"))))]
    return false;
}

fn user_config() -> Option<PathBuf> {
    if cfg!(windows) {
        absolute("APPDATA")
    } else if cfg!(target_os = "macos") {
        Some(absolute("HOME")?.join("Library/Application Support"))
    } else {
        absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))
    }
}

fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn needed(variable: &str) -> anyhow::Result<PathBuf> {
    let failure = || Failure::new(format!("no place for the store: {variable} is not set to an absolute path"));
    Ok(absolute(variable).ok_or_else(|| failure().hint("choose a folder with --root or KILN_ROOT"))?)
}
