//! What Docker adds to Go's functions.

use std::rc::Rc;

use crate::printf::{self, Limits};
use crate::value::Val;

pub(super) fn json(value: &Val<'_>) -> String {
    // Go escapes these two, which JavaScript takes for ends of lines.
    value.to_json().to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

pub(super) fn split<'a>(text: &str, separator: &str) -> Val<'a> {
    let parts: Rc<[Val<'a>]> = if separator.is_empty() {
        text.chars().map(|c| Val::text(c.to_string())).collect()
    } else {
        text.split(separator).map(Val::text).collect()
    };
    Val::List(parts)
}

pub(super) fn join<'a>(value: &Val<'_>, separator: &str, limits: Limits<'_>) -> Result<Val<'a>, String> {
    let mut parts = Vec::new();
    let print = |value: Val<'_>| printf::print(&[value], limits).map_err(|_| "it writes too much".to_owned());
    match value {
        Val::Missing | Val::Null(_) => {}
        Val::Object(map, shape) => {
            for json in map.values() {
                parts.push(print(Val::of(json, *shape))?);
            }
            parts.sort();
        }
        _ if value.is_list() => {
            for at in 0..value.length().unwrap_or(0) {
                parts.extend(value.item(at).map(print).transpose()?);
            }
        }
        _ => return Err(format!("expected slice, got {}", value.type_name(limits.types))),
    }
    let length: usize = parts.iter().map(|part| part.len() + separator.len()).sum();
    if length > limits.bytes { Err("it writes too much".to_owned()) } else { Ok(Val::text(parts.join(separator))) }
}

/// The first letter of each word in upper case.
pub(super) fn title(text: &str) -> String {
    let mut before = ' ';
    let mut out = String::new();
    for c in text.chars() {
        let separates = if before.is_ascii() {
            !before.is_ascii_alphanumeric() && before != '_'
        } else {
            !before.is_alphanumeric() && before.is_whitespace()
        };
        if separates {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}

/// At most so many bytes, as Docker counts them, but never half a character.
pub(super) fn truncate<'a>(text: &str, length: i128) -> Result<Val<'a>, String> {
    let length = usize::try_from(length).map_err(|_| format!("negative length: {length}"))?;
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Ok(Val::text(&text[..end]))
}

/// Spaces around a text that is not empty.
pub(super) fn pad<'a>(text: &str, before: i128, after: i128, limits: Limits<'_>) -> Result<Val<'a>, String> {
    if text.is_empty() {
        return Ok(Val::text(""));
    }
    let spaces = |count: i128| match usize::try_from(count) {
        Ok(count) if count <= limits.bytes => Ok(" ".repeat(count)),
        Ok(_) => Err("it writes too much".to_owned()),
        Err(_) => Err("negative number of spaces".to_owned()),
    };
    Ok(Val::text(format!("{}{text}{}", spaces(before)?, spaces(after)?)))
}
