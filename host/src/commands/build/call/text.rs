//! For people.

use std::io::{self, Write};

use kiln_build::{Checked, Request};
use kiln_dockerfile::{Outline, OutlineMount, Target};

use crate::report::source::Lines;

/// More would only scroll the first ones away.
pub(super) const MOST_SHOWN: usize = 100;

/// What a Dockerfile says must not talk to the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn check(checked: &Checked, request: &Request, out: &mut impl Write) -> io::Result<()> {
    match checked.findings.warnings.len() {
        0 if checked.errors.is_empty() => return writeln!(out, "Check complete, no warnings found."),
        0 => return Ok(()),
        1 => writeln!(out, "Check complete, 1 warning has been found!")?,
        count => writeln!(out, "Check complete, {count} warnings have been found!")?,
    }
    warnings(checked, request, out)
}

pub(super) fn warnings(checked: &Checked, request: &Request, out: &mut impl Write) -> io::Result<()> {
    let lines = Lines::new(&request.dockerfile);
    let all = &checked.findings.warnings;
    for warning in all.iter().take(MOST_SHOWN) {
        writeln!(out, "\nWARNING: {} - {}\n{}", warning.rule, warning.rule.description, printable(&warning.detail))?;
        lines.excerpt(&request.dockerfile_name, warning.span, out)?;
    }
    if all.len() > MOST_SHOWN {
        writeln!(out, "\nand {} more warnings", all.len() - MOST_SHOWN)?;
    }
    Ok(())
}

pub(super) fn outline(outline: &Outline, out: &mut impl Write) -> io::Result<()> {
    let cell = |text: &Option<String>| printable(text.as_deref().unwrap_or_default());
    if outline.name.is_some() || outline.description.is_some() {
        let name = outline.name.clone().unwrap_or_else(|| "(default)".to_owned());
        let mut rows = vec![["TARGET:".to_owned(), name]];
        rows.extend(outline.description.is_some().then(|| ["DESCRIPTION:".to_owned(), cell(&outline.description)]));
        table(&rows, 1, out)?;
        writeln!(out)?;
    }
    if !outline.args.is_empty() {
        let mut rows = vec![["BUILD ARG", "VALUE", "DESCRIPTION"].map(str::to_owned)];
        let row =
            |arg: &kiln_dockerfile::OutlineArg| [printable(&arg.name), printable(&arg.value), cell(&arg.description)];
        rows.extend(outline.args.iter().map(row));
        table(&rows, 3, out)?;
        writeln!(out)?;
    }
    for (title, mounts) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if !mounts.is_empty() {
            let mut rows = vec![[title, "REQUIRED"].map(str::to_owned)];
            let required = |mount: &OutlineMount| if mount.required { "true".to_owned() } else { String::new() };
            rows.extend(mounts.iter().map(|mount| [printable(&mount.name), required(mount)]));
            table(&rows, 3, out)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

pub(super) fn targets(targets: &[Target], out: &mut impl Write) -> io::Result<()> {
    let mut rows = vec![["TARGET", "DESCRIPTION"].map(str::to_owned)];
    rows.extend(targets.iter().map(|target| {
        let name = match (&target.name, target.default) {
            (Some(name), true) => format!("{name} (default)"),
            (None, true) => "(default)".to_owned(),
            (name, false) => name.clone().unwrap_or_default(),
        };
        [name, printable(target.description.as_deref().unwrap_or_default())]
    }));
    table(&rows, 1, out)
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(rows: &[[String; N]], gap: usize, out: &mut impl Write) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0) + gap;
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
