//! `# check=skip=A,B;error=true;experimental=C`: which rules speak, and whether they stop a build.

use super::rules::{Rule, rule};
use crate::diagnostic::quoted;
use thiserror::Error;

/// What a Dockerfile or the user wants of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    skip: Names,
    experimental: Names,
    /// Warnings stop the build.
    pub error: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckOptionsError {
    #[error("invalid check option {}", quoted(.0))]
    Unknown(String),
    #[error("the check option error cannot be {}: write error=true or error=false", quoted(.0))]
    NotBoolean(String),
}

impl CheckOptions {
    /// What follows the first white space is a remark.
    pub fn parse(text: &str) -> Result<Self, CheckOptionsError> {
        let mut options = Self::default();
        let text = text.split_whitespace().next().unwrap_or_default();
        if text.is_empty() {
            return Ok(options);
        }
        for part in text.split(';') {
            let (key, value) = part.split_once('=').ok_or_else(|| CheckOptionsError::Unknown(part.to_owned()))?;
            match key {
                "skip" => options.skip = Names::parse(value),
                "experimental" => options.experimental = Names::parse(value),
                "error" => {
                    options.error = match value {
                        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                        _ => return Err(CheckOptionsError::NotBoolean(value.to_owned())),
                    }
                }
                _ => return Err(CheckOptionsError::Unknown(key.to_owned())),
            }
        }
        Ok(options)
    }

    /// Adds what the comments above an instruction say; a comment that cannot be read says nothing.
    pub(crate) fn with_comments(&self, comments: &[String]) -> Option<Self> {
        let check = comments.iter().find_map(|comment| {
            let (key, value) = comment.split_once('=')?;
            key.trim().eq_ignore_ascii_case("check").then(|| value.trim())
        })?;
        let local = Self::parse(check).ok()?;
        let mut merged = self.clone();
        merged.skip.extend(local.skip);
        merged.experimental.extend(local.experimental);
        Some(merged)
    }

    pub(crate) fn wants(&self, rule: &Rule) -> bool {
        match rule.experimental {
            true => self.experimental.holds(rule),
            false => !self.skip.holds(rule),
        }
    }

    /// Does a violation of `rule` stop a build? Of kiln's own rules only those that are named do: a Dockerfile that
    /// other builders accept must not fail for what only kiln says.
    pub fn is_error(&self, rule: &Rule) -> bool {
        self.error && (!rule.is_own() || self.experimental.names.iter().any(|name| name == rule.name))
    }

    /// Names that no rule has.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &str> {
        let names = self.skip.names.iter().chain(&self.experimental.names);
        names.map(String::as_str).filter(|name| !name.is_empty() && rule(name).is_none())
    }
}

impl Names {
    fn parse(text: &str) -> Self {
        match text {
            "all" => Self { all: true, names: Vec::new() },
            _ => Self { all: false, names: text.split(',').map(|name| name.trim().to_owned()).collect() },
        }
    }

    fn extend(&mut self, other: Self) {
        self.all |= other.all;
        self.names.extend(other.names);
    }

    /// A rule of kiln's own that only speaks when asked to is asked by `all` too.
    fn holds(&self, rule: &Rule) -> bool {
        self.all || self.names.iter().any(|name| name == rule.name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::{FROM_AS_CASING, INVALID_DEFINITION_DESCRIPTION, KILN_UNPINNED_BASE, STAGE_NAME_CASING};
    use super::*;

    #[test]
    fn options_are_read() {
        let options = CheckOptions::parse("skip=FromAsCasing,Other;error=true;experimental=KilnUnpinnedBase").unwrap();
        assert!(options.wants(&STAGE_NAME_CASING) && !options.wants(&FROM_AS_CASING));
        assert!(options.wants(&KILN_UNPINNED_BASE) && !options.wants(&INVALID_DEFINITION_DESCRIPTION));
        assert!(options.is_error(&STAGE_NAME_CASING) && options.is_error(&KILN_UNPINNED_BASE));
        assert_eq!(options.unknown().collect::<Vec<_>>(), ["Other"]);
        let all = CheckOptions::parse("skip=all;experimental=all;error=1").unwrap();
        assert!(!all.wants(&STAGE_NAME_CASING) && all.wants(&INVALID_DEFINITION_DESCRIPTION));
        assert!(all.wants(&KILN_UNPINNED_BASE) && !all.is_error(&KILN_UNPINNED_BASE));
        assert_eq!(CheckOptions::parse("").unwrap(), CheckOptions::default());
        assert!(!CheckOptions::parse("error=false // not now").unwrap().error);
        for text in ["skip", "skp=all", "error=maybe", "skip=A;", "error="] {
            assert!(CheckOptions::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn comments_add_to_the_options() {
        let options = CheckOptions::parse("skip=FromAsCasing").unwrap();
        let comments = ["other".to_owned(), "Check = skip=StageNameCasing // here it is right".to_owned()];
        let merged = options.with_comments(&comments).unwrap();
        assert!(!merged.wants(&FROM_AS_CASING) && !merged.wants(&STAGE_NAME_CASING));
        for comment in ["check=nonsense", "checks are fine", "uncheck=skip=all"] {
            assert_eq!(options.with_comments(&[comment.to_owned()]), None, "{comment}");
        }
    }
}
