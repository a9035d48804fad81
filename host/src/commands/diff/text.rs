//! The differences as people read them. `-` is only in the first image, `+` only in the second, `~` in both.

use std::io::{self, Write};

use jiff::Timestamp;
use kiln_image::{Aspect, FileDifference, Found, History};
use kiln_types::paths;
use serde_json::Value;

use super::{Comparison, Side, files};
use crate::report::size;

/// Of what one line shows of a value.
const LONGEST: usize = 200;

pub(super) fn write(comparison: &Comparison, out: &mut impl Write) -> io::Result<()> {
    let Comparison { before, after, files, fields, history } = comparison;
    for (sign, side) in [("---", before), ("+++", after)] {
        let Side { name, image, size, .. } = side;
        let (id, platform) = (image.id.short(), image.config.platform());
        writeln!(out, "{sign} {}  {id}  {platform}  {}", printable(name), size::short(*size))?;
    }
    if !files.is_empty() {
        writeln!(out, "\nFiles: {}", summary(files))?;
        for difference in files {
            let path = printable(&paths::display(difference.path()));
            match (&difference.before, &difference.after) {
                (Some(before), Some(after)) => {
                    let words = difference.aspects.iter().map(|&aspect| words(aspect, before, after));
                    writeln!(out, "~ {path}  {}", words.collect::<Vec<_>>().join(", "))?;
                }
                (Some(found), None) => writeln!(out, "- {path}{}", facts(found))?,
                (_, Some(found)) => writeln!(out, "+ {path}{}", facts(found))?,
                (None, None) => {}
            }
        }
    }
    if !fields.is_empty() {
        writeln!(out, "\nConfiguration:")?;
    }
    for field in fields {
        let name = printable(&field.name);
        match (&field.before, &field.after) {
            (Some(before), Some(after)) => writeln!(out, "~ {name}  {} → {}", value(before), value(after))?,
            (Some(before), None) => writeln!(out, "- {name}  {}", value(before))?,
            (_, after) => writeln!(out, "+ {name}  {}", value(after.as_ref().unwrap_or(&Value::Null)))?,
        }
    }
    if !history.removed.is_empty() || !history.added.is_empty() {
        writeln!(out, "\nHistory:")?;
    }
    for (sign, steps) in [('-', &history.removed), ('+', &history.added)] {
        steps.iter().try_for_each(|one| writeln!(out, "{sign} {}", step(one)))?;
    }
    if before.own_layers.is_empty() && after.own_layers.is_empty() && comparison.is_empty() {
        return writeln!(out, "\nNo differences.");
    }
    let shared = before.layers - before.own_layers.len();
    writeln!(out, "\nLayers: {shared} shared, {} only in the first, {} only in the second", own(before), own(after))?;
    if comparison.is_empty() { writeln!(out, "No other differences.") } else { Ok(()) }
}

fn summary(files: &[FileDifference]) -> String {
    let count = |wanted: fn(&FileDifference) -> bool| files.iter().filter(|file| wanted(file)).count();
    let sum = |side: fn(&FileDifference) -> &Option<Found>| {
        files.iter().filter_map(|file| side(file).as_ref()).map(files::size).sum::<u64>()
    };
    format!(
        "{} added, {} removed, {} changed ({})",
        count(|file| file.before.is_none()),
        count(|file| file.after.is_none()),
        count(|file| file.before.is_some() && file.after.is_some()),
        delta(sum(|file| &file.before), sum(|file| &file.after)),
    )
}

fn delta(before: u64, after: u64) -> String {
    let sign = if after < before { '-' } else { '+' };
    format!("{sign}{}", size::short(after.abs_diff(before)))
}

fn facts(found: &Found) -> String {
    match (files::target(found), files::device(found)) {
        (Some(target), _) => format!("  → {}", printable(&target)),
        (_, Some(device)) => format!("  {} {device}", files::kind(found)),
        _ if found.digest.is_some() => format!("  {}", size::short(files::size(found))),
        _ if found.is_directory() => "/".to_owned(),
        _ => format!("  {}", files::kind(found)),
    }
}

fn words(aspect: Aspect, before: &Found, after: &Found) -> String {
    let pair = |of: fn(&Found) -> String| format!("{} → {}", of(before), of(after));
    let text = |of: fn(&Found) -> Option<String>| {
        let one = |found| printable(&of(found).unwrap_or_default());
        format!("{} → {}", one(before), one(after))
    };
    match aspect {
        Aspect::Kind => pair(|found| files::kind(found).to_owned()),
        Aspect::Content => {
            let (old, new) = (files::size(before), files::size(after));
            if old == new {
                format!("content ({})", size::short(new))
            } else {
                format!("content {} → {} ({})", size::short(old), size::short(new), delta(old, new))
            }
        }
        Aspect::Target => text(files::target),
        Aspect::Device => text(files::device),
        Aspect::Mode => format!("mode {}", pair(files::mode)),
        Aspect::Owner => format!("owner {}", pair(files::owner)),
        Aspect::Xattrs => format!("attributes {}", printable(&files::xattrs(before, after).join(" "))),
        Aspect::Time => format!("time {}", pair(time)),
    }
}

fn time(found: &Found) -> String {
    let time = Timestamp::from_second(found.meta.mtime);
    time.map_or_else(|_| found.meta.mtime.to_string(), |time| time.to_string())
}

fn own(side: &Side) -> String {
    let size: u64 = side.own_layers.iter().map(|(_, size)| size).sum();
    let count = side.own_layers.len();
    if count == 0 { "0".to_owned() } else { format!("{count} ({})", size::short(size)) }
}

fn value(value: &Value) -> String {
    shortened(printable(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
}

fn step(step: &History) -> String {
    let text = step.created_by.as_deref().or(step.comment.as_deref()).unwrap_or("<missing>");
    shortened(printable(text))
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What an image holds must not steer the terminal, and each difference is one line.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
