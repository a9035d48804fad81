//! Texts and characters in Go's quotes.

pub(super) fn text(text: &str, only_ascii: bool) -> String {
    let mut out = String::from("\"");
    text.chars().for_each(|c| escaped(&mut out, c, '"', only_ascii));
    out.push('"');
    out
}

pub(super) fn character(c: char, only_ascii: bool) -> String {
    let mut out = String::from("'");
    escaped(&mut out, c, '\'', only_ascii);
    out.push('\'');
    out
}

/// Whether it can stand between back quotes.
pub(super) fn fits_raw(text: &str) -> bool {
    text.chars().all(|c| c != '`' && c != '\u{feff}' && c != '\u{7f}' && (c >= ' ' || c == '\t'))
}

/// Rust's idea of what can be printed, which is Go's but for spaces other than the common one.
pub(crate) fn is_printable(c: char) -> bool {
    let mut escape = c.escape_debug();
    let same = escape.next() == Some(c);
    (same || matches!(c, '\'' | '"' | '\\')) && (c == ' ' || !c.is_whitespace())
}

fn escaped(out: &mut String, c: char, quote: char, only_ascii: bool) {
    match c {
        _ if c == quote || c == '\\' => out.extend(['\\', c]),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        _ if is_printable(c) && (c.is_ascii() || !only_ascii) => out.push(c),
        '\0'..=' ' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        '\0'..='\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        _ => out.push_str(&format!("\\U{:08x}", u32::from(c))),
    }
}
