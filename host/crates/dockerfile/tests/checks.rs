//! `host/docs/checks.md` has a section for each rule, in the order of the table, and its example shows the rule at work.

#![expect(clippy::unwrap_used, reason = "a test")]

use kiln_dockerfile::lint::RULES;
use kiln_dockerfile::{BaseImage, Facts, Given, IgnoreFile, lint, parse};
use kiln_types::Platform;
use std::fs;
use std::path::Path;

#[test]
fn every_rule_has_a_section_and_an_example() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checks.md");
    let page = fs::read_to_string(page).unwrap();
    let sections: Vec<(&str, &str)> = page.split("\n### ").skip(1).map(|part| part.split_once('\n').unwrap()).collect();
    let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, RULES.iter().map(|rule| rule.name).collect::<Vec<_>>());
    for ((name, text), rule) in sections.iter().zip(RULES) {
        let example = text.split("```dockerfile\n").nth(1).and_then(|rest| rest.split("```").next());
        assert!(found(example.unwrap()).contains(name), "the example of {name} does not show it");
        assert_eq!(text.contains("On demand."), rule.experimental, "{name}");
    }
}

fn found(example: &str) -> Vec<&'static str> {
    let platform = Platform::new("linux", "amd64");
    let given =
        Given { build_args: Vec::new(), target_platform: platform.clone(), build_platform: platform, target: None };
    let ignore = IgnoreFile::parse(b"secret.txt\n").unwrap();
    let facts =
        Facts { given: &given, bases: &|_, _| Some(BaseImage::default()), ignore: Some(&ignore), all_stages: true };
    let findings = lint(&parse(example.as_bytes(), "Dockerfile").unwrap(), &facts).unwrap();
    findings.warnings.iter().map(|warning| warning.rule.name).collect()
}
