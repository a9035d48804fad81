//! Which commit a branch or tag is, as the remote says, and fetching a commit into the bare repository.

use std::path::Path;

use super::command::Invocation;
use super::reference::{Reference, is_full_commit, shown};
use super::{Error, Result, Settings};

/// The commit that a reference stands for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub commit: String,
    /// The branch or tag that it was found by: `refs/…`.
    pub name: Option<String>,
}

/// Asks the remote, unless the reference is a commit itself.
pub(super) fn resolve(settings: &Settings, wanted: &Reference) -> Result<Resolved> {
    if wanted.by_commit
        && let Some(commit) = &wanted.checksum
    {
        return Ok(Resolved { commit: commit.clone(), name: None });
    }
    let resolved = match wanted.reference.as_deref() {
        Some(commit) if is_full_commit(commit) => Resolved { commit: commit.to_owned(), name: None },
        name => ask(settings, wanted, name)?,
    };
    match &wanted.checksum {
        Some(expected) if !resolved.commit.starts_with(expected.as_str()) => {
            Err(Error::Checksum { remote: shown(&wanted.remote), expected: expected.clone(), found: resolved.commit })
        }
        _ => Ok(resolved),
    }
}

fn ask(settings: &Settings, wanted: &Reference, name: Option<&str>) -> Result<Resolved> {
    let peeled = name.map(|name| format!("{name}^{{}}"));
    let pattern = name.unwrap_or("HEAD");
    let listing = Invocation::new(settings, "list the branches and tags of", &wanted.remote, wanted.is_local())
        .args(["ls-remote", "--symref", "--", &wanted.remote, pattern])
        .args(peeled.as_deref())
        .text()?;
    let none = || Error::NoReference { remote: shown(&wanted.remote), reference: pattern.to_owned() };
    find(&listing, name).filter(|resolved| is_full_commit(&resolved.commit)).ok_or_else(none)
}

/// Reads what `ls-remote --symref` lists. Where a branch and a tag have the name, the branch is meant, as `git checkout`
/// has it; tags with an object of their own stand for their commit.
fn find(listing: &str, name: Option<&str>) -> Option<Resolved> {
    let commits = || listing.lines().filter(|line| !line.starts_with("ref: ")).filter_map(|line| line.split_once('\t'));
    let commit_of = |wanted: &str| commits().find(|(_, name)| *name == wanted).map(|(id, _)| id);
    let Some(name) = name else {
        let branch = listing.lines().find_map(|line| line.strip_prefix("ref: ")?.strip_suffix("\tHEAD"));
        return commit_of("HEAD").map(|id| Resolved { commit: id.to_owned(), name: branch.map(str::to_owned) });
    };
    let full = |prefix: &str| format!("{prefix}{}", name.strip_prefix(prefix).unwrap_or(name));
    let candidates = [full("refs/"), full("refs/heads/"), full("refs/tags/")];
    candidates.into_iter().find_map(|candidate| {
        let commit = commit_of(&format!("{candidate}^{{}}")).or_else(|| commit_of(&candidate))?;
        Some(Resolved { commit: commit.to_owned(), name: Some(candidate) })
    })
}

/// Sees to it that the bare repository `directory` has the commit: with as little history as the server allows.
pub(super) fn fetch(
    settings: &Settings,
    directory: &Path,
    remote: &str,
    local: bool,
    resolved: &Resolved,
) -> Result<()> {
    let commit = format!("{}^{{commit}}", resolved.commit);
    let has = || {
        let look = Invocation::new(settings, "look into", remote, local).repository(directory);
        match look.args(["cat-file", "-e", &commit]).output() {
            Ok(_) => Ok(true),
            Err(Error::Failed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    };
    if has()? {
        return Ok(());
    }
    let get = |options: &[&str], what: &[&str]| {
        Invocation::new(settings, "fetch from", remote, local)
            .repository(directory)
            .bounded(directory.join("objects/pack"))
            .args(["fetch", "--quiet", "--no-tags", "--force", "--no-write-fetch-head"])
            .args(options.iter().copied())
            .args(["--", remote])
            .args(what.iter().copied())
            .output()
    };
    // A ref for each commit, so that git knows it as something that it has.
    let kept = format!("{}:refs/kiln/{}", resolved.commit, resolved.commit);
    let mut failure = None;
    let mut attempt = |result: Result<Vec<u8>>| match result {
        Ok(_) => has(),
        Err(error @ Error::Failed { .. }) => {
            failure.get_or_insert(error);
            Ok(false)
        }
        Err(error) => Err(error),
    };
    if attempt(get(&["--depth=1"], &[&kept]))? {
        return Ok(());
    }
    // Servers that give out only what a name stands for, and those that cannot cut history off.
    if let Some(name) = &resolved.name {
        let named = format!("{name}:refs/kiln/{}", resolved.commit);
        if attempt(get(&["--depth=1"], &[&named]))? || attempt(get(&[], &[&named]))? {
            return Ok(());
        }
    }
    let everything = ["refs/heads/*:refs/kiln-heads/*", "refs/tags/*:refs/kiln-tags/*"];
    if attempt(get(&[], &everything))? {
        return Ok(());
    }
    match failure {
        // That it cannot be reached at all says more than that it lacks something.
        Some(error @ Error::Failed { .. }) if get(&[], &[]).is_err() => Err(error),
        _ => Err(Error::NoCommit { remote: shown(remote), commit: resolved.commit.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "ref: refs/heads/main\tHEAD\n1\tHEAD\n1\trefs/heads/main\n2\trefs/heads/both\n\
                           3\trefs/tags/both\n4\trefs/tags/object\n5\trefs/tags/object^{}\n6\trefs/pull/7/head\n";

    #[test]
    fn names_stand_for_commits() {
        for (name, expected) in [
            (None, Some(("1", "refs/heads/main"))),
            (Some("main"), Some(("1", "refs/heads/main"))),
            (Some("refs/heads/main"), Some(("1", "refs/heads/main"))),
            (Some("both"), Some(("2", "refs/heads/both"))),
            (Some("refs/tags/both"), Some(("3", "refs/tags/both"))),
            (Some("object"), Some(("5", "refs/tags/object"))),
            (Some("refs/pull/7/head"), Some(("6", "refs/pull/7/head"))),
            (Some("pull/7/head"), Some(("6", "refs/pull/7/head"))),
            (Some("nothing"), None),
        ] {
            let found = find(LISTING, name);
            let found = found.as_ref().map(|r| (r.commit.as_str(), r.name.as_deref().unwrap_or_default()));
            assert_eq!(found, expected, "{name:?}");
        }
    }
}
