//! What the rules say of a case.

use super::dump;
use kiln_dockerfile::{BaseImage, Facts, Given, IgnoreFile, check_syntax, lint, parse_all};
use kiln_types::Platform;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

pub(super) fn result(case: &Path, text: &[u8]) -> String {
    let beside = |name: &str| fs::read_to_string(case.join(name)).unwrap_or_default();
    let given = Given {
        build_args: beside("args").lines().filter_map(pair).collect(),
        target_platform: Platform::new("linux", "amd64"),
        build_platform: Platform::new("linux", "amd64"),
        target: None,
    };
    let mut images: BTreeMap<String, BaseImage> = beside("bases").lines().map(base).collect();
    for (image, trigger) in beside("triggers").lines().filter_map(|line| line.split_once(' ')) {
        images.entry(image.to_owned()).or_default().triggers.push(trigger.to_owned());
    }
    let ignore = IgnoreFile::parse(beside(".dockerignore").as_bytes()).unwrap();
    let (dockerfile, errors) = parse_all(text, "Dockerfile");
    let facts =
        Facts { given: &given, bases: &|name, _| images.get(name).cloned(), ignore: Some(&ignore), all_stages: true };
    let mut out = String::new();
    match lint(&dockerfile, &facts) {
        Ok(findings) => {
            for warning in &findings.warnings {
                let _ = writeln!(out, "{}: {}", warning.rule, warning.detail);
                dump::excerpt(text, warning.span, &mut out);
            }
            if !findings.fatal.is_empty() {
                let _ = writeln!(out, "fatal: {}", findings.fatal.join(", "));
            }
        }
        Err(error) => dump::diagnostic(text, &error, &mut out),
    }
    errors.iter().chain(&check_syntax(&dockerfile, &given).err()).for_each(|e| dump::diagnostic(text, e, &mut out));
    out
}

fn pair(line: &str) -> Option<(String, String)> {
    line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn base(line: &str) -> (String, BaseImage) {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    (name, BaseImage { env: words.map(str::to_owned).collect(), ..BaseImage::default() })
}
