//! `-v`, `--mount` and `--tmpfs`: what a container sees besides its image.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::{MountPoint, MountSource, Tmpfs, size};

/// What one `-v` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub mount: MountPoint,
    /// Made as a directory where it is missing: `-v` does so, `--mount` refuses.
    pub make_source: bool,
}

/// `[SOURCE:]TARGET[:OPTIONS]`. A source with a slash is a path of the host, which is made absolute from `directory`;
/// else it is the name of a volume, and none is a volume of its own.
pub fn parse_volume(text: &str, directory: &Path) -> Result<Wanted> {
    let wrong = |reason: String| Error::invalid("volume", text, reason);
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] if target.starts_with('/') || !source.starts_with('/') => (Some(source), target, ""),
        // A volume of its own with options.
        [target, options] => (None, target, options),
        [source, target, options] => (Some(source), target, options),
        _ => return Err(wrong("write [NAME|PATH:]TARGET[:OPTIONS]".to_owned())),
    };
    check_target(target).map_err(wrong)?;
    let (mut read_only, mut copy) = (false, true);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" | "readonly" => read_only = true,
            "rw" => read_only = false,
            "nocopy" => copy = false,
            // Labels of SELinux, consistency of other hosts' file sharing, and the propagation that is the rule here.
            "z" | "Z" | "cached" | "delegated" | "consistent" | "private" | "rprivate" => {}
            _ => return Err(wrong(format!("the option `{option}` is not known; there are ro, rw and nocopy"))),
        }
    }
    let source = match source {
        None => MountSource::Volume { name: String::new(), anonymous: true, copy },
        Some("") => return Err(wrong("its source is empty".to_owned())),
        Some(path) if is_path(path) => MountSource::Bind { source: normal(&directory.join(path)) },
        Some(name) => {
            check_volume_name(name).map_err(wrong)?;
            MountSource::Volume { name: name.to_owned(), anonymous: false, copy }
        }
    };
    Ok(Wanted { mount: MountPoint { source, target: target.to_owned(), read_only }, make_source: true })
}

/// `type=bind|volume|tmpfs,source=…,target=…[,readonly]…`
pub fn parse_mount(text: &str, directory: &Path) -> Result<Wanted> {
    let wrong = |reason: String| Error::invalid("mount", text, reason);
    let mut kind = "volume".to_owned();
    let (mut source, mut target) = (None, None);
    let (mut read_only, mut copy, mut make_source) = (false, true, false);
    let mut tmpfs = Tmpfs::default();
    for field in text.split(',') {
        let (key, value) = field.split_once('=').map_or((field, None), |(key, value)| (key, Some(value)));
        let needed = || value.ok_or_else(|| wrong(format!("`{key}` needs a value")));
        match key.to_ascii_lowercase().as_str() {
            "type" => kind = needed()?.to_ascii_lowercase(),
            "source" | "src" => source = Some(needed()?),
            "target" | "dst" | "destination" => target = Some(needed()?),
            "readonly" | "ro" => read_only = flag(value).ok_or_else(|| wrong(format!("`{field}` is no yes or no")))?,
            "volume-nocopy" => copy = !flag(value).ok_or_else(|| wrong(format!("`{field}` is no yes or no")))?,
            "bind-create-src" => {
                make_source = flag(value).ok_or_else(|| wrong(format!("`{field}` is no yes or no")))?;
            }
            "tmpfs-size" => tmpfs.size = Some(size::parse(needed()?)?),
            "tmpfs-mode" => tmpfs.mode = Some(mode(needed()?).ok_or_else(|| wrong("its mode is not octal".into()))?),
            "consistency" => {}
            "bind-propagation" if matches!(value, Some("private" | "rprivate")) => {}
            "bind-propagation" => {
                return Err(wrong("mounts are private here; leave out bind-propagation".to_owned()));
            }
            "bind-recursive" if matches!(value, Some("enabled")) => {}
            "volume-driver" if value == Some("local") => {}
            "volume-driver" | "volume-opt" => {
                return Err(wrong(format!("kiln has no volume drivers; leave out {key}")));
            }
            _ => return Err(wrong(format!("the key `{key}` is not known"))),
        }
    }
    let target = target.ok_or_else(|| wrong("it has no target".to_owned()))?;
    check_target(target).map_err(wrong)?;
    if kind != "tmpfs" && tmpfs != Tmpfs::default() {
        return Err(wrong("tmpfs-size and tmpfs-mode are for type=tmpfs".to_owned()));
    }
    let source = match (kind.as_str(), source) {
        ("bind", Some(path)) if !path.is_empty() => MountSource::Bind { source: normal(&directory.join(path)) },
        ("bind", _) => return Err(wrong("type=bind needs a source".to_owned())),
        ("volume", None | Some("")) => MountSource::Volume { name: String::new(), anonymous: true, copy },
        ("volume", Some(name)) => {
            check_volume_name(name).map_err(wrong)?;
            MountSource::Volume { name: name.to_owned(), anonymous: false, copy }
        }
        ("tmpfs", None) => MountSource::Tmpfs(tmpfs),
        ("tmpfs", Some(_)) => return Err(wrong("type=tmpfs takes no source".to_owned())),
        (other, _) => return Err(wrong(format!("the type `{other}` is not known; there are bind, volume and tmpfs"))),
    };
    Ok(Wanted { mount: MountPoint { source, target: target.to_owned(), read_only }, make_source })
}

/// `TARGET[:OPTIONS]`, the options being those of mount(8).
pub fn parse_tmpfs(text: &str) -> Result<MountPoint> {
    let wrong = |reason: String| Error::invalid("tmpfs", text, reason);
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    check_target(target).map_err(wrong)?;
    let (mut tmpfs, mut read_only) = (Tmpfs::default(), false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let id = |value: &str| value.parse::<u32>().map_err(|_| wrong(format!("`{value}` is no number of a user")));
        match option.split_once('=') {
            Some(("size", value)) => tmpfs.size = Some(size::parse(value)?),
            Some(("mode", value)) => {
                tmpfs.mode = Some(mode(value).ok_or_else(|| wrong("its mode is not octal".into()))?);
            }
            Some(("uid", value)) => tmpfs.uid = id(value)?,
            Some(("gid", value)) => tmpfs.gid = id(value)?,
            None if option == "ro" => read_only = true,
            None if option == "rw" => read_only = false,
            None if option == "exec" => tmpfs.exec = true,
            None if option == "noexec" => tmpfs.exec = false,
            // As it is mounted in any case, or where only who asked is meant.
            None if ["nosuid", "nodev", "noatime", "relatime"].contains(&option) => {}
            None if option == "suid" || option == "dev" => {
                return Err(wrong(format!("`{option}` is not to be had: it is always mounted with no{option}")));
            }
            _ => {
                let known = "size, mode, uid, gid, exec, noexec, nosuid, nodev, ro and rw";
                return Err(wrong(format!("the option `{option}` is not known; there are {known}")));
            }
        }
    }
    Ok(MountPoint { source: MountSource::Tmpfs(tmpfs), target: target.to_owned(), read_only })
}

/// `CONTAINER[:ro|rw]`: whose mounts are wanted, and whether only for reading.
pub fn parse_volumes_from(text: &str) -> Result<(&str, bool)> {
    match text.split_once(':') {
        None if !text.is_empty() => Ok((text, false)),
        Some((name, "rw" | "z" | "Z")) if !name.is_empty() => Ok((name, false)),
        Some((name, "ro")) if !name.is_empty() => Ok((name, true)),
        _ => Err(Error::invalid("container with volumes", text, "write CONTAINER[:ro]")),
    }
}

/// Adds what another container has mounted, filesystems in memory excepted, where nothing else was asked for.
pub fn add_those_of(other: &[MountPoint], read_only: bool, mounts: &mut Vec<MountPoint>) {
    for mount in other {
        let target = kiln_types::paths::clean(&mount.target);
        let mut source = mount.source.clone();
        match &mut source {
            MountSource::Tmpfs(_) => continue,
            MountSource::Volume { copy, .. } => *copy = false,
            MountSource::Bind { .. } => {}
        }
        if !mounts.iter().any(|mount| kiln_types::paths::clean(&mount.target) == target) {
            let read_only = mount.read_only || read_only;
            mounts.push(MountPoint { source, target: mount.target.clone(), read_only });
        }
    }
}

fn is_path(source: &str) -> bool {
    source.starts_with(['/', '~'])
        || source == "."
        || source == ".."
        || source.starts_with("./")
        || source.starts_with("../")
}

/// Without `.` and `..`, as far as that can be said without looking.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

fn check_target(target: &str) -> Result<(), String> {
    if !target.starts_with('/') {
        return Err(format!("the path in the container, `{target}`, is not absolute"));
    }
    if target.split('/').all(|part| part.is_empty() || part == "." || part == "..") {
        return Err("the root directory itself cannot be mounted over".to_owned());
    }
    Ok(())
}

fn check_volume_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.len() > 1 && name.chars().all(plain) {
        return Ok(());
    }
    Err(format!(
        "`{name}` can be no name of a volume: at least two of [a-zA-Z0-9_.-], beginning with a letter or digit; for a \
         directory of this host write an absolute path"
    ))
}

fn flag(value: Option<&str>) -> Option<bool> {
    match value {
        None | Some("1" | "true") => Some(true),
        Some("0" | "false") => Some(false),
        Some(_) => None,
    }
}

fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(wanted: Result<Wanted>) -> Option<String> {
        let MountPoint { source, target, read_only } = wanted.ok()?.mount;
        let source = match source {
            MountSource::Volume { name, anonymous, copy } => {
                format!("{name}{}{}", if anonymous { "anonymous" } else { "" }, if copy { "" } else { " nocopy" })
            }
            MountSource::Bind { source } => source.display().to_string(),
            MountSource::Tmpfs(Tmpfs { size, mode, .. }) => format!("tmpfs {size:?} {mode:?}"),
        };
        Some(format!("{source} > {target}{}", if read_only { " ro" } else { "" }))
    }

    #[test]
    fn volumes_as_docker_takes_them() {
        for (text, expected) in [
            ("/data", "anonymous > /data"),
            ("/data:ro", "anonymous > /data ro"),
            ("data:/data", "data > /data"),
            ("data:/data:ro,z", "data > /data ro"),
            ("data:/data:nocopy", "data nocopy > /data"),
            ("/src:/data", "/src > /data"),
            ("./src:/data:rw", "/here/src > /data"),
            ("../x/./y:/data", "/x/y > /data"),
            (".:/data", "/here > /data"),
        ] {
            assert_eq!(shown(parse_volume(text, Path::new("/here"))).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "data",
            "data:relative",
            "/src:relative:ro",
            ":/data",
            "a/b:/data",
            "x:/data",
            "data:/:ro",
            "a:/b:c:d",
            "/a:/b:zz",
        ] {
            assert_eq!(shown(parse_volume(text, Path::new("/here"))), None, "{text}");
        }
    }

    #[test]
    fn mounts_as_docker_takes_them() {
        for (text, expected) in [
            ("type=bind,source=/a,target=/b", "/a > /b"),
            ("type=bind,src=a,dst=/b,readonly", "/here/a > /b ro"),
            ("src=data,destination=/b,ro=false", "data > /b"),
            ("target=/b,volume-nocopy", "anonymous nocopy > /b"),
            ("type=tmpfs,target=/b,tmpfs-size=1m,tmpfs-mode=700", "tmpfs Some(1048576) Some(448) > /b"),
        ] {
            assert_eq!(shown(parse_mount(text, Path::new("/here"))).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "type=bind,target=/b",
            "type=volume,source=x",
            "type=x,target=/b",
            "target=b",
            "target=/b,tmpfs-size=1",
            "type=tmpfs,source=x,target=/b",
            "target=/b,nonsense=1",
            "type=bind,source=/a,target=/b,bind-propagation=shared",
        ] {
            assert_eq!(shown(parse_mount(text, Path::new("/here"))), None, "{text}");
        }
    }

    #[test]
    fn tmpfs_with_options() {
        let mount = parse_tmpfs("/run:rw,noexec,size=64k,mode=1777").expect("valid");
        let tmpfs = Tmpfs { size: Some(65536), mode: Some(0o1777), ..Tmpfs::default() };
        assert_eq!(mount.source, MountSource::Tmpfs(tmpfs));
        let mount = parse_tmpfs("/run:ro,uid=5,gid=6,nodev,nosuid,exec").expect("valid");
        assert_eq!(mount.source, MountSource::Tmpfs(Tmpfs { uid: 5, gid: 6, exec: true, ..Tmpfs::default() }));
        assert!(mount.read_only);
        for text in ["run", "/run:huge=always", "/run:suid", "/run:uid=root", "/run:mode=9"] {
            parse_tmpfs(text).expect_err(text);
        }
    }

    #[test]
    fn mounts_of_other_containers() {
        let volume = |name: &str, target: &str| MountPoint {
            source: MountSource::Volume { name: name.to_owned(), anonymous: true, copy: true },
            target: target.to_owned(),
            read_only: false,
        };
        let bind = MountPoint {
            source: MountSource::Bind { source: "/src".into() },
            target: "/b".to_owned(),
            read_only: true,
        };
        let memory = parse_tmpfs("/run").expect("valid");
        let mut mounts = vec![volume("own", "/a/")];
        add_those_of(&[volume("one", "/a"), bind, memory, volume("two", "/c")], false, &mut mounts);
        let found: Vec<_> = mounts.iter().map(|mount| (mount.target.as_str(), mount.read_only)).collect();
        assert_eq!(found, [("/a/", false), ("/b", true), ("/c", false)]);
        let mut mounts = Vec::new();
        add_those_of(&[volume("one", "/a")], true, &mut mounts);
        assert!(mounts[0].read_only);
        assert_eq!(parse_volumes_from("db").ok(), Some(("db", false)));
        assert_eq!(parse_volumes_from("db:ro").ok(), Some(("db", true)));
        for text in ["", ":ro", "db:x"] {
            parse_volumes_from(text).expect_err(text);
        }
    }
}
