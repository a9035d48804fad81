//! What of a repository is wanted: BuildKit's URLs for git, as build contexts and ADD take them.
//!
//! `remote#ref:subdir`, and the query form `remote?ref=…&tag=…&branch=…&subdir=…&checksum=…&submodules=…&keep-git-dir=…`.

use crate::url::decode;

/// A repository, and what to take of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// As git takes it.
    pub remote: String,
    /// A branch, a tag or a commit; without it what HEAD is there.
    pub reference: Option<String>,
    /// Clean, without slashes at its ends; empty for all.
    pub subdir: String,
    /// What the commit's id begins with.
    pub checksum: Option<String>,
    pub keep_git_dir: Option<bool>,
    pub submodules: bool,
    /// The checksum is the commit to fetch, wherever the reference is now.
    pub by_commit: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseReferenceError(String);

fn wrong<T>(message: impl Into<String>) -> Result<T, ParseReferenceError> {
    Err(ParseReferenceError(message.into()))
}

impl Reference {
    /// `None` if the text does not name a git repository. `github.com/…` does so only where no local file can be meant;
    /// that is for the caller to know.
    pub fn parse(text: &str) -> Option<Result<Self, ParseReferenceError>> {
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
        let lower = remote.to_ascii_lowercase();
        let scheme = lower.split_once("://").map(|(scheme, _)| scheme);
        let remote = match scheme {
            Some("http" | "https") if remote.ends_with(".git") => remote.to_owned(),
            Some("git" | "ssh" | "file") => remote.to_owned(),
            Some(_) => return None,
            None if lower.starts_with("github.com/") => format!("https://{remote}"),
            None if is_scp_style(remote) => remote.to_owned(),
            None => return None,
        };
        Some(Self::with(remote, query, fragment))
    }

    /// Whether it is a repository of this machine.
    pub fn is_local(&self) -> bool {
        self.remote.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file://"))
    }

    fn with(remote: String, query: &str, fragment: &str) -> Result<Self, ParseReferenceError> {
        if remote.bytes().any(|byte| byte.is_ascii_control()) {
            return wrong("a URL has no control characters");
        }
        let (name, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut reference = Self {
            remote,
            reference: none_if_empty(decode(name)),
            subdir: decode(subdir),
            checksum: None,
            keep_git_dir: None,
            submodules: true,
            by_commit: false,
        };
        reference.read_query(query)?;
        reference.subdir = clean(&reference.subdir);
        let hostile = |name: &str| name.starts_with('-') || name.bytes().any(|byte| byte <= b' ');
        if let Some(name) = reference.reference.as_deref().filter(|name| hostile(name)) {
            return wrong(format!("`{name}` cannot be a branch, a tag or a commit"));
        }
        if let Some(checksum) = &reference.checksum {
            check_commit(checksum)?;
        }
        if reference.by_commit && reference.checksum.as_ref().is_none_or(|commit| !is_full_commit(commit)) {
            return wrong("fetch-by-commit needs checksum= with the whole id of a commit");
        }
        Ok(reference)
    }

    fn read_query(&mut self, query: &str) -> Result<(), ParseReferenceError> {
        let (mut tag, mut branch) = (None, None);
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&key) {
                return wrong(format!("query `{key}` has multiple values"));
            }
            seen.push(key);
            let value = decode(&value.replace('+', " "));
            let is_switch = matches!(key, "submodules" | "keep-git-dir" | "fetch-by-commit");
            if value.is_empty() && !is_switch {
                return wrong(format!("query `{key}` has no value"));
            }
            match key {
                "ref" => set("ref", &mut self.reference, value)?,
                "tag" => tag = Some(with_prefix("refs/tags/", value)),
                "branch" => branch = Some(with_prefix("refs/heads/", value)),
                "subdir" => {
                    let mut subdir = none_if_empty(std::mem::take(&mut self.subdir));
                    set("subdir", &mut subdir, value)?;
                    self.subdir = subdir.unwrap_or_default();
                }
                "checksum" | "commit" => self.checksum = Some(value),
                "keep-git-dir" => self.keep_git_dir = Some(switch(key, &value)?),
                "submodules" => self.submodules = switch(key, &value)?,
                "fetch-by-commit" => self.by_commit = switch(key, &value)?,
                // Times of files are those of the commit in any case: nothing else is the same tomorrow.
                "mtime" if matches!(value.as_str(), "checkout" | "commit") => {}
                "mtime" => return wrong(format!("mtime cannot be `{value}`: it is `checkout` or `commit`")),
                _ => return wrong(format!("unexpected query `{key}`")),
            }
        }
        if tag.is_some() && branch.is_some() {
            return wrong("branch conflicts with tag");
        }
        if let Some(name) = tag.or(branch) {
            set("ref", &mut self.reference, name)?;
        }
        Ok(())
    }

    /// What `--checksum` and `--keep-git-dir` of ADD add.
    pub fn require(&mut self, checksum: Option<&str>, keep_git_dir: Option<bool>) -> Result<(), ParseReferenceError> {
        if let Some(checksum) = checksum {
            check_commit(checksum)?;
            if self.checksum.as_deref().is_some_and(|own| own != checksum) {
                return wrong(format!("the URL and --checksum={checksum} name different commits"));
            }
            self.checksum = Some(checksum.to_owned());
        }
        if let Some(keep) = keep_git_dir {
            if self.keep_git_dir.is_some_and(|own| own != keep) {
                return wrong("the URL and --keep-git-dir say different things");
            }
            self.keep_git_dir = Some(keep);
        }
        Ok(())
    }
}

/// For people: without what the remote may hold of a password.
pub(super) fn shown(remote: &str) -> String {
    match remote.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            match rest[..end].rfind('@') {
                Some(at) if rest[..at].contains(':') => format!("{scheme}://…{}", &rest[at..]),
                _ => remote.to_owned(),
            }
        }
        None => remote.to_owned(),
    }
}

/// The whole id of a commit: SHA-1 or SHA-256.
pub(super) fn is_full_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_commit(text: &str) -> Result<(), ParseReferenceError> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hex || !(7..=64).contains(&text.len()) {
        return wrong(format!("`{text}` is no id of a commit, nor the beginning of one"));
    }
    Ok(())
}

/// `user@host:path`, as ssh has it.
fn is_scp_style(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else { return false };
    let Some((host, path)) = rest.split_once(':') else { return false };
    let word = |text: &str, also: &str| {
        !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
            && !text.starts_with('-')
    };
    word(user, "-_") && word(host, "-.") && !path.is_empty()
}

fn set(key: &str, place: &mut Option<String>, value: String) -> Result<(), ParseReferenceError> {
    match place {
        Some(old) if *old != value => wrong(format!("{key} conflicts: `{old}` and `{value}`")),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

fn switch(key: &str, value: &str) -> Result<bool, ParseReferenceError> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => wrong(format!("{key} cannot be `{value}`: it is `true` or `false`")),
    }
}

fn with_prefix(prefix: &str, name: String) -> String {
    if name.starts_with(prefix) { name } else { format!("{prefix}{name}") }
}

fn none_if_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn clean(path: &str) -> String {
    String::from_utf8_lossy(&kiln_types::paths::clean(path)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `remote|ref|subdir|checksum|keep|submodules|by-commit`, or the beginning of the error.
    fn parsed(text: &str) -> Option<String> {
        Some(match Reference::parse(text)? {
            Ok(r) => format!(
                "{}|{}|{}|{}|{}|{}|{}",
                r.remote,
                r.reference.unwrap_or_default(),
                r.subdir,
                r.checksum.unwrap_or_default(),
                r.keep_git_dir.map_or(String::new(), |keep| keep.to_string()),
                r.submodules,
                r.by_commit
            ),
            Err(error) => format!("! {error}"),
        })
    }

    #[test]
    fn repositories() {
        for (text, expected) in [
            ("https://h/r.git", "https://h/r.git||||"),
            ("https://h/r.git#v1:a/../b/", "https://h/r.git|v1|b||"),
            ("https://h/r.git#:d", "https://h/r.git||d||"),
            ("https://u:p@h/r.git", "https://u:p@h/r.git||||"),
            ("http://h/r.git#release/1.2", "http://h/r.git|release/1.2|||"),
            ("git://h/r", "git://h/r||||"),
            ("ssh://u@h:22/r#x", "ssh://u@h:22/r|x|||"),
            ("git@h:a/r.git?subdir=/s#v1", "git@h:a/r.git|v1|s||"),
            ("github.com/a/r#main:x", "https://github.com/a/r|main|x||"),
            ("file:///a/r", "file:///a/r||||"),
            ("https://h/r.git?ref=v1&subdir=/s", "https://h/r.git|v1|s||"),
            ("https://h/r.git?tag=v1", "https://h/r.git|refs/tags/v1|||"),
            ("https://h/r.git?branch=refs/heads/b", "https://h/r.git|refs/heads/b|||"),
            ("https://h/r.git?keep-git-dir&commit=deadbeef", "https://h/r.git|||deadbeef|true"),
            ("https://h/r.git?keep-git-dir=0&mtime=commit", "https://h/r.git||||false"),
        ] {
            assert_eq!(parsed(text), Some(format!("{expected}|true|false")), "{text}");
        }
        assert_eq!(parsed("https://h/r.git?submodules=false").as_deref(), Some("https://h/r.git|||||false|false"));
    }

    #[test]
    fn other_things() {
        for text in [
            "",
            ".",
            "./.git",
            "../r.git",
            "https://h/",
            "https://h/r",
            "https://h/r.git/",
            "https://h/r.git.x",
            "h/a/r.git",
            "http://h/r.git:#b",
            "docker-image://alpine",
            "a@b",
            "-o@h:x",
            "oci-layout://d",
            "C:\\x",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn contradictions() {
        for (text, expected) in [
            ("https://h/r.git?ref=a#b", "ref conflicts"),
            ("https://h/r.git?ref=a&tag=b", "ref conflicts"),
            ("https://h/r.git?tag=a&branch=b", "branch conflicts with tag"),
            ("https://h/r.git?subdir=a#:b", "subdir conflicts"),
            ("https://h/r.git?ref=a&ref=a", "query `ref` has multiple values"),
            ("https://h/r.git?ref=", "query `ref` has no value"),
            ("https://h/r.git?mtime=now", "mtime cannot be `now`"),
            ("https://h/r.git?submodules=x", "submodules cannot be `x`"),
            ("https://h/r.git?x=1", "unexpected query `x`"),
            ("https://h/r.git?commit=xyz", "`xyz` is no id"),
            ("https://h/r.git?fetch-by-commit&commit=deadbeef", "fetch-by-commit needs"),
            ("https://h/r.git#--upload-pack=x", "`--upload-pack=x` cannot be"),
            ("https://h/r.git#a%0ab", "`a\nb` cannot be"),
        ] {
            let found = parsed(text).expect(text);
            assert!(found.strip_prefix("! ").is_some_and(|error| error.starts_with(expected)), "{text}: {found}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("https://u:p@h/r@x.git"), "https://…@h/r@x.git");
        assert_eq!(shown("ssh://git@h/r.git"), "ssh://git@h/r.git");
        assert_eq!(shown("https://h/a:b@c"), "https://h/a:b@c");
    }
}
