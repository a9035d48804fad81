//! For programs: the documents of BuildKit's `frontend.lint`, `frontend.outline` and `frontend.targets`.

use std::io::{self, Write};

use base64::Engine as _;
use kiln_build::{Checked, Request};
use kiln_dockerfile::{Outline, OutlineMount, Span, Target};
use serde::Serialize;

use crate::report::source::Lines;

#[derive(Serialize)]
struct Position {
    line: usize,
}

#[derive(Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Location {
    ranges: Vec<Range>,
}

impl Location {
    fn new(lines: &Lines<'_>, span: Span) -> Self {
        let (start, end) = lines.of(span).into_inner();
        Self { ranges: vec![Range { start: Position { line: start }, end: Position { line: end } }] }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Warning<'a> {
    rule_name: &'a str,
    description: &'a str,
    detail: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct Source<'a> {
    filename: &'a str,
    language: &'a str,
    data: String,
}

#[derive(Serialize)]
struct BuildError {
    message: String,
    location: Location,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lint<'a> {
    warnings: Vec<Warning<'a>>,
    sources: [Source<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    build_error: Option<BuildError>,
}

fn encoded(request: &Request) -> String {
    base64::engine::general_purpose::STANDARD.encode(&request.dockerfile)
}

pub(super) fn check(checked: &Checked, request: &Request, out: &mut impl Write) -> io::Result<()> {
    let lines = Lines::new(&request.dockerfile);
    let warnings = checked.findings.warnings.iter().map(|each| Warning {
        rule_name: each.rule.name,
        description: each.rule.description,
        detail: &each.detail,
        location: Location::new(&lines, each.span),
    });
    let error = checked
        .errors
        .first()
        .map(|error| BuildError { message: error.message.clone(), location: Location::new(&lines, error.span) });
    let source = Source { filename: &request.dockerfile_name, language: "Dockerfile", data: encoded(request) };
    write(&Lint { warnings: warnings.collect(), sources: [source], build_error: error }, out)
}

#[derive(Serialize)]
struct Arg<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    value: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct Mount<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    location: Location,
}

#[derive(Serialize)]
struct OutlineDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Arg<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Mount<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<Mount<'a>>,
    sources: [String; 1],
}

pub(super) fn outline(outline: &Outline, request: &Request, out: &mut impl Write) -> io::Result<()> {
    let lines = Lines::new(&request.dockerfile);
    let args = outline.args.iter().map(|each| Arg {
        name: &each.name,
        description: each.description.as_deref(),
        value: &each.value,
        location: Location::new(&lines, each.span),
    });
    let document = OutlineDocument {
        name: outline.name.as_deref(),
        description: outline.description.as_deref(),
        args: args.collect(),
        secrets: mounts(&outline.secrets, &lines),
        ssh: mounts(&outline.ssh, &lines),
        sources: [encoded(request)],
    };
    write(&document, out)
}

fn mounts<'a>(mounts: &'a [OutlineMount], lines: &Lines<'_>) -> Vec<Mount<'a>> {
    let mount = |mount: &'a OutlineMount| Mount {
        name: &mount.name,
        required: mount.required,
        location: Location::new(lines, mount.span),
    };
    mounts.iter().map(mount).collect()
}

#[derive(Serialize)]
struct TargetDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    base: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    location: Location,
}

#[derive(Serialize)]
struct TargetsDocument<'a> {
    targets: Vec<TargetDocument<'a>>,
    sources: [String; 1],
}

pub(super) fn targets(targets: &[Target], request: &Request, out: &mut impl Write) -> io::Result<()> {
    let lines = Lines::new(&request.dockerfile);
    let targets = targets.iter().map(|each| TargetDocument {
        name: each.name.as_deref(),
        default: each.default,
        description: each.description.as_deref(),
        base: &each.base,
        platform: each.platform.as_deref(),
        location: Location::new(&lines, each.span),
    });
    write(&TargetsDocument { targets: targets.collect(), sources: [encoded(request)] }, out)
}

fn write(document: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}
