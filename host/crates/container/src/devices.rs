//! `--device`: devices of the host that a container sees.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A device, or a directory of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub host: PathBuf,
    /// Beneath `/dev`.
    pub target: PathBuf,
}

/// Links and filesystems that each container's `/dev` has.
const OWN_PLACES: [&str; 9] = ["core", "fd", "mqueue", "ptmx", "pts", "shm", "stderr", "stdin", "stdout"];

/// `HOST[:TARGET][:rwm]`
pub fn parse(text: &str) -> Result<Device> {
    let wrong = |reason: &str| Error::invalid("device", text, reason);
    let parts: Vec<&str> = text.split(':').collect();
    let (host, target, rights) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, rights] if is_rights(rights) => (host, host, rights),
        [host, target] => (host, target, "rwm"),
        [host, target, rights] if is_rights(rights) => (host, target, rights),
        _ => return Err(wrong("write DEVICE[:PLACE][:rwm]")),
    };
    if !(rights.contains('r') && rights.contains('w')) {
        let reason = "a container may do with a device what the mode of the device says: r and w cannot be parted here";
        return Err(wrong(reason));
    }
    if !Path::new(host).is_absolute() {
        return Err(wrong("the path of the device is not absolute"));
    }
    let clean = PathBuf::from(format!("/{}", String::from_utf8_lossy(&kiln_types::paths::clean(target))));
    if !target.starts_with('/') || clean == Path::new("/dev") || !clean.starts_with("/dev") {
        return Err(wrong("its place in the container must be beneath /dev"));
    }
    let first = clean.components().nth(2).map(|name| name.as_os_str());
    if let Some(own) = OWN_PLACES.iter().find(|own| first.is_some_and(|first| first == **own)) {
        return Err(wrong(&format!("/dev/{own} is the container's own: choose another place in /dev")));
    }
    Ok(Device { host: host.into(), target: clean })
}

fn is_rights(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_as_docker_takes_them() {
        for (text, expected) in [
            ("/dev/fuse", Some("/dev/fuse /dev/fuse")),
            ("/dev/fuse:/dev/x", Some("/dev/fuse /dev/x")),
            ("/dev/fuse:rwm", Some("/dev/fuse /dev/fuse")),
            ("/dev/snd:/dev/a/../snd:rw", Some("/dev/snd /dev/snd")),
            ("/dev/fuse:r", None),
            ("/dev/fuse:/dev/fuse:r", None),
            ("/dev/fuse:/dev/fuse:x", None),
            ("/dev/fuse:/x", None),
            ("/dev/fuse:/dev/../x", None),
            ("/dev/fuse:/dev", None),
            ("/dev/fuse:/dev/fd/1", None),
            ("/dev/fuse:/dev/x/../stdout", None),
            ("/dev/fuse:/dev/pts/0", None),
            ("/dev/fuse:/dev/fd1", Some("/dev/fuse /dev/fd1")),
            ("dev/fuse", None),
            ("", None),
        ] {
            let found = parse(text).ok().map(|device| format!("{} {}", device.host.display(), device.target.display()));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
