//! What several commands take: `NAME=VALUE` as in `--build-arg` and `--env`, names for images, platforms.

use std::env::VarError;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use kiln_types::{Platform, Reference};

use crate::cli::PlatformOption;
use crate::report::failure::Failure;
use crate::report::problem::Problem;

/// The arguments that have a value. A name alone takes that of kiln's own environment, and is left out where that has
/// none.
pub(super) fn read(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    Ok(given.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The same from the lines of files, without those that are empty or begin with `#`.
pub(super) fn read_files(files: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut read = Vec::new();
    for path in files {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let name = line.split('=').next().unwrap_or_default();
            if name.is_empty() || name.contains(char::is_whitespace) {
                let failure = Failure::new(format!("{}: `{line}` has no name, or one with spaces", path.display()));
                return Err(failure.hint("write NAME=VALUE").into());
            }
            read.extend(parse(line)?);
        }
    }
    Ok(read)
}

/// A name that an image is to get.
pub(super) fn new_name(name: &Reference) -> Result<Reference, Failure> {
    match name.digest {
        Some(_) => Err(Failure::new(format!("{} has a digest, which cannot be chosen", name.familiar()))
            .hint("leave out what begins with `@`")),
        None => Ok(name.clone().with_default_tag()),
    }
}

/// The platforms that were asked for, each once.
pub(super) fn platforms(options: &[PlatformOption]) -> Vec<Platform> {
    let mut platforms = Vec::new();
    for platform in options.iter().filter_map(|option| platform(Some(option))) {
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    platforms
}

/// The platform that was asked for. How it was spelled may be worth a word.
pub(super) fn platform(option: Option<&PlatformOption>) -> Option<Platform> {
    let PlatformOption { platform, advice } = option?;
    if let Some(advice) = advice {
        Problem::warning(advice.as_str()).show();
    }
    Some(platform.clone())
}

fn parse(text: &str) -> Result<Option<(String, String)>, Failure> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err(Failure::misuse(format!("`{text}` has no name")).hint("write NAME=VALUE"));
    }
    let value = match value {
        Some(value) => Some(value),
        None => match std::env::var(name) {
            Ok(value) => Some(value),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(_)) => {
                return Err(Failure::new(format!("the variable {name} of the environment is not valid UTF-8")));
            }
        },
    };
    Ok(value.map(|value| (name.to_owned(), value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        let given = ["A=1", "B=", "C=x=y", "KILN_TEST_IS_NOT_SET"].map(str::to_owned);
        let read = read(&given).expect("valid");
        let pairs: Vec<(&str, &str)> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", ""), ("C", "x=y")]);
        assert!(parse("=x").is_err());
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("env");
        fs::write(&file, "# comment\n\nA=1 # 2\n  B=x=y\nKILN_TEST_IS_NOT_SET\n").expect("ours");
        let read = read_files(std::slice::from_ref(&file)).expect("valid");
        assert_eq!(read, [("A".to_owned(), "1 # 2".to_owned()), ("B".to_owned(), "x=y".to_owned())]);
        fs::write(&file, "A B=1\n").expect("ours");
        assert!(read_files(&[file]).is_err());
        assert!(parse("PATH").expect("valid").is_some());
    }
}
