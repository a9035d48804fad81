//! dash and the GNU tools of this machine as the root filesystem of a native step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiln_image::{Change, compare_paths};

use super::{directory_change, file_change};

/// What the lines use. Whatever stands in none of these packages is on every Debian.
const TOOLS: &str = "awk base64 basename cat chgrp chmod chown cksum cmp column comm cp cut date dd diff dirname \
    du echo egrep env envsubst expand expr false fgrep find fold grep gunzip gzip head hostname id install join ln ls \
    md5sum mkdir mkfifo mktemp mv nl nproc od paste patch printenv printf pwd readlink realpath rev rm rmdir sed seq \
    sha1sum sha256sum sha512sum sleep sort split stat sync tac tail tar tee test touch tr true truncate uname \
    unexpand uniq unzip wc which whoami xargs xxd yes zcat";
const PACKAGES: &str = "bsdextrautils, gettext-base, patch, unzip, xxd";

/// A change set with the tools in `/bin` and the libraries they need where they are here.
pub(super) fn programs() -> Result<Vec<Change>, String> {
    let mut files: BTreeMap<Vec<u8>, PathBuf> = BTreeMap::new();
    let mut libraries = BTreeSet::new();
    let tools = TOOLS.split_whitespace().map(|tool| (tool, tool)).chain([("sh", "dash"), ("[", "[")]);
    for (name, program) in tools {
        let path = ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(program));
        let path = path.iter().find(|path| path.exists());
        let path = path.ok_or_else(|| format!("{program} is not installed; Debian's packages are {PACKAGES}"))?;
        libraries.extend(libraries_of(path));
        files.insert(format!("bin/{name}").into_bytes(), path.clone());
    }
    for library in libraries {
        files.insert(library.as_os_str().as_encoded_bytes()[1..].to_vec(), library);
    }
    let mut directories = BTreeSet::new();
    let mut changes = Vec::new();
    for (path, source) in &files {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        directories.extend(slashes.map(|(at, _)| path[..at].to_vec()));
        let bytes = fs::read(source).map_err(|error| format!("{}: {error}", source.display()))?;
        changes.push(file_change(path, 0o755, bytes));
    }
    changes.extend(directories.iter().map(|path| directory_change(path, 0o755)));
    changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
    Ok(changes)
}

/// As the dynamic linker finds them; none for a script.
fn libraries_of(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    listed.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':')).map(PathBuf::from).collect()
}
