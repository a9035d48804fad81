//! `.dockerignore` and `--exclude`: which paths of a context are left out, exactly as moby's patternmatcher decides.
//!
//! The last pattern that matches wins; `!` makes exceptions; what matches a directory matches all that is in it. Patterns
//! are tested in their order, and an exception is not even tried while nothing is excluded: so a directory's answer
//! depends on its own path only, and its entries start from there (see [`IgnoreFile::check`]).

use crate::diagnostic::quoted;
use crate::{glob, go_regex};
use regex::Regex;
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IgnoreError {
    #[error("line {line}: {} is not a valid pattern: a bracket or a backslash is out of place", quoted(.pattern))]
    BadPattern { line: usize, pattern: String },
    #[error("line {line}: an exception needs a pattern after !")]
    EmptyException { line: usize },
}

#[derive(Clone, Debug, Default)]
pub struct IgnoreFile {
    patterns: Vec<Pattern>,
}

/// Which patterns match a directory: what its entries inherit. The default is that of the context's root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched(Vec<bool>);

#[derive(Clone, Debug)]
struct Pattern {
    line: usize,
    exception: bool,
    text: String,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Exact,
    /// Ends with `**`, and the rest stands for itself.
    Prefix,
    /// Begins with `**`, and the rest stands for itself.
    Suffix,
    Regex(Regex),
}

impl IgnoreFile {
    /// Reads an ignore file. Bytes that are not UTF-8 are replaced, as nothing could match them.
    pub fn parse(text: &[u8]) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let text = String::from_utf8_lossy(text);
        let mut patterns = Vec::new();
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let line = line.trim();
            let (sign, pattern) = match line.strip_prefix('!') {
                Some(pattern) => ("!", pattern.trim()),
                None => ("", line),
            };
            let mut pattern = if pattern.is_empty() { String::new() } else { clean(pattern) };
            if pattern.len() > 1 && pattern.starts_with('/') {
                pattern.remove(0);
            }
            patterns.extend(Pattern::new(&format!("{sign}{pattern}"), index + 1)?);
        }
        Ok(Self { patterns })
    }

    /// Takes patterns one by one, as `--exclude` has them. Errors count the patterns as lines.
    pub fn from_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, IgnoreError> {
        let mut kept = Vec::new();
        for (index, pattern) in patterns.into_iter().enumerate() {
            kept.extend(Pattern::new(pattern, index + 1)?);
        }
        Ok(Self { patterns: kept })
    }

    /// Are there patterns that take in again what others leave out?
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception)
    }

    /// Does a pattern leave out everything there is?
    pub fn excludes_everything(&self) -> bool {
        let everything = |pattern: &Pattern| matches!(pattern.text.as_str(), "*" | "**" | "**/*");
        self.patterns.iter().any(|pattern| !pattern.exception && everything(pattern))
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// For a walk from the root down: is `path` left out, and what do its entries inherit?
    ///
    /// `path` is clean, without a leading slash, below the directory that `parent` belongs to.
    pub fn check(&self, path: &[u8], parent: &Matched) -> (bool, Matched) {
        let path = String::from_utf8_lossy(path);
        let mut excluded = false;
        let mut matched = vec![false; self.patterns.len()];
        for (index, pattern) in self.patterns.iter().enumerate() {
            let inherited = parent.0.get(index).copied().unwrap_or(false);
            if !inherited && (pattern.exception != excluded || !pattern.matches(&path)) {
                continue;
            }
            matched[index] = true;
            excluded = !pattern.exception;
        }
        (excluded, Matched(matched))
    }

    /// Is `path` left out? For single questions: a walk had better use [`Self::check`].
    pub fn excludes(&self, path: &[u8]) -> bool {
        self.excluded_by(path).is_some()
    }

    /// The line and the text of the pattern that leaves `path` out.
    pub fn excluded_by(&self, path: &[u8]) -> Option<(usize, &str)> {
        let (mut excluded, mut matched) = (false, Matched::default());
        let ends = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            (excluded, matched) = self.check(&path[..end], &matched);
        }
        let decisive = self.patterns.iter().zip(&matched.0).rfind(|(_, matched)| **matched);
        decisive.filter(|_| excluded).map(|(pattern, _)| (pattern.line, &*pattern.text))
    }

    /// May something below the excluded directory `dir` be taken in again by an exception? If not, a walk can pass it by.
    pub fn may_reinclude(&self, dir: &[u8]) -> bool {
        self.patterns.iter().filter(|pattern| pattern.exception).any(|pattern| pattern.may_match_below(dir))
    }
}

impl Pattern {
    /// None for an empty pattern.
    fn new(text: &str, line: usize) -> Result<Option<Self>, IgnoreError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let text = clean(text);
        let (exception, text) = match text.strip_prefix('!') {
            Some("") => return Err(IgnoreError::EmptyException { line }),
            Some(pattern) => (true, pattern.to_owned()),
            None => (false, text),
        };
        let bad = || IgnoreError::BadPattern { line, pattern: text.clone() };
        glob::matches(text.as_bytes(), b".").map_err(|_| bad())?;
        let matcher = Matcher::new(&text).ok_or_else(bad)?;
        Ok(Some(Self { line, exception, text, matcher }))
    }

    fn matches(&self, path: &str) -> bool {
        match &self.matcher {
            Matcher::Exact => path == self.text,
            Matcher::Prefix => path.starts_with(&self.text[..self.text.len() - 2]),
            Matcher::Suffix => {
                let suffix = &self.text[2..];
                path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path)
            }
            Matcher::Regex(regex) => regex.is_match(path),
        }
    }

    /// Compares names only as far as they stand for themselves.
    fn may_match_below(&self, dir: &[u8]) -> bool {
        let mut wanted = self.text.split('/');
        for name in String::from_utf8_lossy(dir).split('/') {
            match wanted.next() {
                None => return false,
                Some(part) if glob::has_wildcard(part.as_bytes()) || part.contains('^') => return true,
                Some(part) if part != name => return false,
                Some(_) => {}
            }
        }
        wanted.next().is_some()
    }
}

impl Matcher {
    /// None if the pattern makes no regular expression.
    fn new(pattern: &str) -> Option<Self> {
        let (kind, expression) = translate(pattern);
        Some(match kind {
            Kind::Exact => Self::Exact,
            Kind::Prefix => Self::Prefix,
            Kind::Suffix => Self::Suffix,
            Kind::Regex => Self::Regex(go_regex::compile(&expression)?),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Regex,
}

/// The regular expression in Go's syntax that patternmatcher makes of a pattern, and whether it is needed at all.
///
/// Everything is translated blindly, inside brackets too: a faithful copy of this is the only way to agree with it.
fn translate(pattern: &str) -> (Kind, String) {
    let mut kind = Kind::Exact;
    let mut expression = String::from("^");
    let mut characters = pattern.chars().peekable();
    let mut first = true;
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.next_if_eq(&'*').is_some() => {
                characters.next_if_eq(&'/');
                if characters.peek().is_some() {
                    expression.push_str("(.*/)?");
                    kind = Kind::Regex;
                } else if kind == Kind::Exact {
                    kind = Kind::Prefix;
                } else {
                    expression.push_str(".*");
                    kind = Kind::Regex;
                }
                if first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                expression.push_str("[^/]*");
                kind = Kind::Regex;
            }
            '?' => {
                expression.push_str("[^/]");
                kind = Kind::Regex;
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => {
                expression.push('\\');
                expression.push(character);
            }
            '\\' => {
                expression.push('\\');
                if let Some(escaped) = characters.next() {
                    expression.push(escaped);
                    kind = Kind::Regex;
                }
            }
            '[' | ']' => {
                expression.push(character);
                kind = Kind::Regex;
            }
            _ => expression.push(character),
        }
        first = false;
    }
    if kind == Kind::Regex {
        expression.push('$');
    }
    (kind, expression)
}

/// Go's `filepath.Clean`: `.` and `..` resolved by the text, a leading slash kept, nothing is `.`.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|&last| last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests;
