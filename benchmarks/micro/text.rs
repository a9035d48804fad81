//! Dockerfiles, variables, ignore files, templates.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use kiln_dockerfile::{IgnoreFile, Matched};
use kiln_template::{Template, Types};

const SMALL: &str = "\
FROM debian:bookworm AS build
ARG VERSION=1.0
ENV PATH=/opt/bin:$PATH LANG=C.UTF-8
WORKDIR /src
COPY --chown=1000:1000 . .
RUN apt-get update && \\
    apt-get install -y --no-install-recommends gcc make && \\
    rm -rf /var/lib/apt/lists/*
RUN --mount=type=cache,target=/root/.cache make VERSION=${VERSION:-none}
FROM debian:bookworm
COPY --from=build /src/out /usr/local/bin/
EXPOSE 8080/tcp
ENTRYPOINT [\"/usr/local/bin/out\"]
";

/// A thousand lines: stages like the small one, with other names.
fn large() -> String {
    let mut text = String::new();
    for stage in 0..77 {
        text += &SMALL.replace("AS build", &format!("AS build{stage}")).replace("=build", &format!("=build{stage}"));
    }
    text
}

pub(crate) fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for (name, text) in [("13 lines", SMALL.to_owned()), ("1,000 lines", large())] {
        kiln_dockerfile::parse(text.as_bytes(), "Dockerfile").unwrap();
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| kiln_dockerfile::parse(black_box(text.as_bytes()), "Dockerfile")));
    }
}

pub(crate) fn expand(c: &mut Criterion) {
    let lookup = |name: &str| (name != "unset").then(|| format!("value of {name}"));
    let text = "a $one \"${two}\" ${unset:-${three:+other}} '$four' \\$five ${six%of*}";
    kiln_dockerfile::expand(text, &lookup, b'\\').unwrap();
    c.bench_function("expand/six variables", |b| {
        b.iter(|| kiln_dockerfile::expand(black_box(text), &lookup, b'\\'));
    });
}

/// As the scan of a context asks: each directory, and what is in it, with what the directory matched.
pub(crate) fn ignore(c: &mut Criterion) {
    let file =
        IgnoreFile::parse(b"target\n**/node_modules\n**/*.o\n.git\ndocs/**/*.tmp\n!docs/keep.tmp\n*.log\n").unwrap();
    let names = ["main.rs", "lib.o", "keep.tmp", "x.log", "data.json"];
    let directories: Vec<_> = (0..100).map(|number| format!("docs/d{number}")).collect();
    let files: Vec<_> = (0..100).map(|number| format!("f{number}-{}", names[number % names.len()])).collect();
    let mut group = c.benchmark_group("ignore");
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("10,000 files, 7 patterns", |b| {
        b.iter(|| {
            let mut left_out = 0;
            for directory in &directories {
                let (_, above) = file.check(directory.as_bytes(), &Matched::default());
                for name in &files {
                    let path = format!("{directory}/{name}");
                    left_out += usize::from(file.check(path.as_bytes(), &above).0);
                }
            }
            assert_eq!(left_out, 4_000);
        });
    });
}

pub(crate) fn template(c: &mut Criterion) {
    let text =
        "{{.ID}}\t{{upper .Name}}\t{{range $k, $v := .Labels}}{{$k}}={{json $v}} {{end}}{{if .Size}}{{.Size}}{{end}}";
    let types = Types { name: "image", maps: &["Labels"], lists: &[], methods: &[] };
    let row = |number: usize| {
        let labels = serde_json::json!({ "a": "b", "number": number });
        serde_json::json!({ "ID": "2fb6fc2d97e1", "Name": format!("image{number}"), "Labels": labels, "Size": 12 })
    };
    let rows: Vec<_> = (0..1_000).map(row).collect();
    c.bench_function("template/parse", |b| b.iter(|| Template::parse(black_box(text))));
    let parsed = Template::parse(text).unwrap();
    let mut group = c.benchmark_group("template");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("1,000 rows", |b| {
        b.iter(|| {
            let mut out = String::new();
            for row in &rows {
                writeln!(out, "{}", parsed.render(row, &types).unwrap()).unwrap();
            }
            out
        });
    });
}
