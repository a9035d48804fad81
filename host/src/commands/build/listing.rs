//! `kiln build --print-context`: what COPY and ADD could take, what the ignore file leaves out, and nothing is
//! built.

use std::io::Write as _;

use kiln_build::{Context, ContextMode, Environment, LeftOut, Listed, ListedKind};
use serde::Serialize;

use super::input::Input;
use crate::cli::build::Listing;

/// One path in JSON.
#[derive(Serialize)]
struct Entry<'a> {
    path: &'a str,
    kind: &'static str,
    size: u64,
}

/// One path that the ignore file leaves out, in JSON.
#[derive(Serialize)]
struct Ignored<'a> {
    path: &'a str,
    kind: &'static str,
    line: usize,
    pattern: &'a str,
}

#[derive(Serialize)]
struct Document<'a> {
    entries: Vec<Entry<'a>>,
    files: usize,
    size: u64,
    ignored: Vec<Ignored<'a>>,
}

pub(super) fn print(input: &Input, form: Listing, mode: ContextMode, environment: &Environment) -> anyhow::Result<()> {
    let (mut listed, mut left_out): (Vec<Listed>, Vec<LeftOut>) = Default::default();
    if let Some(source) = &input.context {
        let context = Context::open(source, input.ignore.as_deref(), mode, environment)?;
        listed.extend(context.list());
        left_out = context.left_out(source)?;
    }
    let files = listed.iter().filter(|entry| entry.kind == ListedKind::File).count();
    let size: u64 = listed.iter().map(|entry| entry.size).sum();
    let mut out = crate::commands::stdout();
    match form {
        Listing::Json => {
            let entries =
                listed.iter().map(|entry| Entry { path: &entry.path, kind: kind(entry.kind), size: entry.size });
            let ignored = left_out.iter().map(|LeftOut { path, kind: what, line, pattern }| Ignored {
                path,
                kind: kind(*what),
                line: *line,
                pattern,
            });
            let document = Document { entries: entries.collect(), files, size, ignored: ignored.collect() };
            serde_json::to_writer(&mut out, &document)?;
            writeln!(out)?;
        }
        Listing::Text => {
            for entry in &listed {
                match entry.kind {
                    ListedKind::Directory => writeln!(out, "{:>12}  {}/", "", printable(&entry.path))?,
                    _ => writeln!(out, "{:>12}  {}", entry.size, printable(&entry.path))?,
                }
            }
            writeln!(out, "{size:>12}  bytes in {files} files")?;
            for LeftOut { path, kind, line, pattern } in &left_out {
                let slash = if *kind == ListedKind::Directory { "/" } else { "" };
                let (path, pattern) = (printable(path), printable(pattern));
                writeln!(out, "{:>12}  {path}{slash} (line {line}: {pattern})", "ignored")?;
            }
        }
    }
    Ok(out.flush()?)
}

fn kind(kind: ListedKind) -> &'static str {
    match kind {
        ListedKind::Directory => "directory",
        ListedKind::File => "file",
        ListedKind::Symlink => "symlink",
        ListedKind::Other => "other",
    }
}

/// A name may hold anything, also what commands a terminal.
fn printable(path: &str) -> String {
    path.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
