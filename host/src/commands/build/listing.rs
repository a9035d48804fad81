//! `kiln build --print-context`: what COPY and ADD could take, and nothing is built.

use std::io::Write as _;

use kiln_build::{Context, ContextMode, Environment, Listed, ListedKind};
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

#[derive(Serialize)]
struct Document<'a> {
    entries: Vec<Entry<'a>>,
    files: usize,
    size: u64,
}

pub(super) fn print(input: &Input, form: Listing, mode: ContextMode, environment: &Environment) -> anyhow::Result<()> {
    let listed: Vec<Listed> = match &input.context {
        Some(source) => Context::open(source, input.ignore.as_deref(), mode, environment)?.list().collect(),
        None => Vec::new(),
    };
    let files = listed.iter().filter(|entry| entry.kind == ListedKind::File).count();
    let size: u64 = listed.iter().map(|entry| entry.size).sum();
    let mut out = crate::commands::stdout();
    match form {
        Listing::Json => {
            let entries = listed.iter().map(|entry| Entry { path: &entry.path, kind: kind(entry), size: entry.size });
            serde_json::to_writer(&mut out, &Document { entries: entries.collect(), files, size })?;
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
        }
    }
    Ok(out.flush()?)
}

fn kind(entry: &Listed) -> &'static str {
    match entry.kind {
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
