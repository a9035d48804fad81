//! The findings of a check as SARIF 2.1.0, which services that show findings in code read. One run, in the order of the text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use kiln_build::{Checked, Request};
use kiln_dockerfile::Span;
use serde_json::{Value, json};

use crate::report::source::Lines;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(super) fn check(checked: &Checked, request: &Request, out: &mut impl Write) -> io::Result<()> {
    let lines = Lines::new(&request.dockerfile);
    let uri = uri(&request.dockerfile_name);
    let mut rules = BTreeMap::new();
    for warning in &checked.findings.warnings {
        rules.insert(warning.rule.name, json!({ "text": warning.rule.description }));
    }
    for error in &checked.errors {
        rules.insert(error.code, json!({ "text": "The Dockerfile cannot be built" }));
    }
    let index = |rule: &str| rules.keys().position(|known| *known == rule);
    let result = |rule: &str, level: &str, text: &str, span: Span| {
        let (start, end) = lines.of(span).into_inner();
        json!({
            "ruleId": rule,
            "ruleIndex": index(rule),
            "level": level,
            "message": { "text": text },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": uri },
                "region": { "startLine": start, "endLine": end },
            }}],
        })
    };
    let warnings = checked.findings.warnings.iter();
    let warnings = warnings.map(|warning| result(warning.rule.name, "warning", &warning.detail, warning.span));
    let errors = checked.errors.iter().map(|error| {
        let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
        result(error.code, "error", &format!("{}{hint}", error.message), error.span)
    });
    let results: Vec<Value> = warnings.chain(errors).collect();
    let rules: Vec<Value> = rules.iter().map(|(id, text)| json!({ "id": id, "shortDescription": text })).collect();
    let driver = json!({ "name": "kiln", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules });
    let document = json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [{ "tool": { "driver": driver }, "results": results }] });
    writeln!(out, "{document:#}")
}

/// A path as a reference to it (RFC 3986): a relative one is of the directory that the reader thinks of.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            byte if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) => uri.push(char::from(byte)),
            byte => write!(uri, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_references() {
        for (path, expected) in [
            ("Dockerfile", "Dockerfile"),
            ("./docker/my file", "docker/my%20file"),
            ("/a/ü:#", "file:///a/%C3%BC%3A%23"),
            ("-", "-"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }
}
