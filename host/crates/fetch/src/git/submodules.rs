//! Repositories within repositories: what `.gitmodules` says of them, and their files at their places.

use std::collections::HashMap;

use super::command::Invocation;
use super::reference::{is_full_commit, shown};
use super::remote::Resolved;
use super::tree::{Entry, Place, Writer, joined};
use super::{Error, Git, Result, Settings};

/// Submodules of submodules of…
const DEEPEST: usize = 8;
/// In the whole tree: each of them may have others.
const MOST: usize = 1000;

/// Adds the files of all submodules among `entries`. One that `.gitmodules` does not know stays an empty directory, as
/// in a clone.
pub(super) fn add(
    git: &Git,
    settings: &Settings,
    writer: &mut Writer<'_>,
    place: &Place<'_>,
    entries: &[Entry],
) -> Result<()> {
    let urls = urls(settings, place)?;
    for entry in entries.iter().filter(|entry| entry.is_submodule()) {
        let path = joined(place.subdir.as_bytes(), &entry.path);
        let refused = |reason: &str| Error::Submodule {
            remote: shown(place.remote),
            path: String::from_utf8_lossy(&path).into_owned(),
            reason: reason.to_owned(),
        };
        let Some(url) = urls.get(&path) else { continue };
        writer.submodules += 1;
        if place.depth >= DEEPEST || writer.submodules > MOST {
            return Err(refused("there are too many of them"));
        }
        if !is_full_commit(&entry.object) {
            return Err(refused("it names no commit"));
        }
        let remote = resolve(place.remote, url).ok_or_else(|| {
            refused("only http, https, ssh and git are followed, and no files of this machine; add submodules=false to the URL to do without it")
        })?;
        let resolved = Resolved { commit: entry.object.clone(), name: None };
        let bare = git.repository(&remote, false, &resolved)?;
        let inner = Place {
            bare: &bare,
            commit: &resolved.commit,
            subdir: "",
            remote: &remote,
            below: joined(&place.below, &entry.path),
            depth: place.depth + 1,
        };
        writer.level(&inner, true)?;
    }
    Ok(())
}

/// Path → URL, as the commit's `.gitmodules` has them.
fn urls(settings: &Settings, place: &Place<'_>) -> Result<HashMap<Vec<u8>, String>> {
    let blob = format!("{}:.gitmodules", place.commit);
    let listing = Invocation::new(settings, "read .gitmodules of", place.remote, false)
        .repository(place.bare)
        .args(["config", "--blob", &blob, "--null", "--get-regexp", r"^submodule\..*\.(path|url)$"])
        .output();
    match listing {
        Ok(listing) => Ok(parse(&listing)),
        // No such file, or nothing in it.
        Err(Error::Failed { .. }) => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

/// `submodule.<name>.path\n<value>\0…`
fn parse(listing: &[u8]) -> HashMap<Vec<u8>, String> {
    /// Path and URL, each where it was seen.
    type Module<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);
    let mut modules: HashMap<&[u8], Module<'_>> = HashMap::new();
    for record in listing.split(|&byte| byte == 0) {
        let Some(end) = record.iter().position(|&byte| byte == b'\n') else { continue };
        let (key, value) = (&record[..end], &record[end + 1..]);
        if let Some(name) = key.strip_suffix(b".path") {
            modules.entry(name).or_default().0 = Some(value);
        } else if let Some(name) = key.strip_suffix(b".url") {
            modules.entry(name).or_default().1 = Some(value);
        }
    }
    let whole = |(path, url): Module<'_>| {
        let path = kiln_types::paths::clean(path?);
        Some((path, String::from_utf8(url?.to_vec()).ok()?))
    };
    modules.into_values().filter_map(whole).collect()
}

/// The remote of a submodule: relative ones begin at the parent's. `None`: not to be followed.
fn resolve(parent: &str, url: &str) -> Option<String> {
    let resolved = if url.starts_with("./") || url.starts_with("../") {
        let mut base = parent.trim_end_matches('/').to_owned();
        for part in url.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    let cut = base.rfind(['/', ':']).filter(|&cut| !base[..cut].ends_with(['/', ':']))?;
                    base.truncate(if base[cut..].starts_with(':') { cut + 1 } else { cut });
                }
                part if base.ends_with(':') => base.push_str(part),
                part => {
                    base.push('/');
                    base.push_str(part);
                }
            }
        }
        base
    } else {
        url.to_owned()
    };
    if resolved.starts_with('-') || resolved.bytes().any(|byte| byte <= b' ') {
        return None;
    }
    match resolved.split_once("://") {
        Some((scheme, rest)) => {
            let known = ["http", "https", "ssh", "git"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
            (known && !rest.starts_with('-') && !rest.is_empty()).then_some(resolved)
        }
        // `user@host:path`
        None => {
            let (host, path) = resolved.split_once(':')?;
            (host.contains('@') && !host.contains(['/', '\\']) && !path.is_empty()).then_some(resolved)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_and_refused() {
        for (parent, url, expected) in [
            ("https://h/a/b.git", "../c.git", Some("https://h/a/c.git")),
            ("https://h/a/b.git", "../../c", Some("https://h/c")),
            ("https://h/a/b.git", "./c", Some("https://h/a/b.git/c")),
            ("https://h/a", "../../../../c", None),
            ("git@h:a/b.git", "../c.git", Some("git@h:a/c.git")),
            ("git@h:a", "../c.git", Some("git@h:c.git")),
            ("https://h/a", "ssh://g@i/c", Some("ssh://g@i/c")),
            ("https://h/a", "g@i:c", Some("g@i:c")),
            ("https://h/a", "/etc", None),
            ("https://h/a", "file:///etc", None),
            ("file:///a/b", "../c", None),
            ("https://h/a", "ext::sh -c x", None),
            ("https://h/a", "-u@h:x", None),
            ("https://h/a", "ssh://-oProxyCommand=x/c", None),
            ("https://h/a", "C:\\x", None),
        ] {
            assert_eq!(resolve(parent, url).as_deref(), expected, "{parent} {url}");
        }
    }

    #[test]
    fn gitmodules() {
        let listing = b"submodule.a b.path\nlib/a\0submodule.a b.url\nhttps://h/a\0submodule.c.url\nhttps://h/c\0";
        let expected = HashMap::from([(b"lib/a".to_vec(), "https://h/a".to_owned())]);
        assert_eq!(parse(listing), expected);
    }
}
