//! Regular expressions as Go reads them, as far as ignore patterns can hold them.
//!
//! Outside brackets the two syntaxes agree on all that can occur. Inside, this crate's engine knows nested classes and set
//! operations that Go's does not, so classes are read here and written anew. Escapes of letters are Go's, ASCII only.

use regex::{Regex, RegexBuilder};
use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

type Rest<'a> = Peekable<Chars<'a>>;

/// None where Go would refuse the expression, or where it is absurdly large.
pub(crate) fn compile(expression: &str) -> Option<Regex> {
    let mut out = String::with_capacity(expression.len());
    let mut rest = expression.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' => out.push_str(&escape(&mut rest)?.outside()),
            '[' => class(&mut rest, &mut out)?,
            ']' => out.push_str("\\]"),
            _ => out.push(character),
        }
    }
    RegexBuilder::new(&out).size_limit(1 << 20).build().ok()
}

enum Escape {
    Literal(char),
    Class { members: &'static str, negated: bool },
    Assertion(&'static str),
}

impl Escape {
    fn outside(&self) -> String {
        match self {
            Self::Literal(literal) => regex::escape(literal.encode_utf8(&mut [0; 4])),
            Self::Class { members, negated } => format!("[{}{members}]", if *negated { "^" } else { "" }),
            Self::Assertion(assertion) => (*assertion).to_owned(),
        }
    }
}

/// What follows a backslash.
fn escape(rest: &mut Rest<'_>) -> Option<Escape> {
    let class = |members, negated| Some(Escape::Class { members, negated });
    let character = rest.next()?;
    match character {
        'd' | 'D' => class("0-9", character == 'D'),
        's' | 'S' => class("\\t\\n\\f\\r ", character == 'S'),
        'w' | 'W' => class("0-9A-Za-z_", character == 'W'),
        'b' => Some(Escape::Assertion("(?-u:\\b)")),
        'B' => Some(Escape::Assertion("(?-u:\\B)")),
        'A' => Some(Escape::Assertion("\\A")),
        'z' => Some(Escape::Assertion("\\z")),
        'a' => Some(Escape::Literal('\x07')),
        'f' => Some(Escape::Literal('\x0c')),
        'n' => Some(Escape::Literal('\n')),
        'r' => Some(Escape::Literal('\r')),
        't' => Some(Escape::Literal('\t')),
        'v' => Some(Escape::Literal('\x0b')),
        // Go refuses most other letters and digits, and all characters beyond ASCII.
        _ if character.is_ascii_alphanumeric() || !character.is_ascii() => None,
        _ => Some(Escape::Literal(character)),
    }
}

/// A bracket expression after its `[`.
fn class(rest: &mut Rest<'_>, out: &mut String) -> Option<()> {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        if !first && rest.next_if_eq(&']').is_some() {
            out.push(']');
            return Some(());
        }
        first = false;
        if posix_class(rest, out)? {
            continue;
        }
        let low = match member(rest)? {
            Ok(low) => low,
            Err((members, negated)) => {
                let _ = if negated { write!(out, "[^{members}]") } else { write!(out, "{members}") };
                continue;
            }
        };
        let mut high = low;
        let mut ahead = rest.clone();
        if ahead.next_if_eq(&'-').is_some() && ahead.peek().is_some_and(|&next| next != ']') {
            *rest = ahead;
            high = member(rest)?.ok()?;
        }
        if high < low {
            return None;
        }
        let _ = write!(out, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high));
    }
}

/// One character, or the class that an escape stands for.
fn member(rest: &mut Rest<'_>) -> Option<Result<char, (&'static str, bool)>> {
    match rest.next()? {
        '\\' => match escape(rest)? {
            Escape::Literal(literal) => Some(Ok(literal)),
            Escape::Class { members, negated } => Some(Err((members, negated))),
            Escape::Assertion(_) => None,
        },
        character => Some(Ok(character)),
    }
}

/// Takes `[:alpha:]`; None if its name is unknown.
fn posix_class(rest: &mut Rest<'_>, out: &mut String) -> Option<bool> {
    let mut ahead = rest.clone();
    if ahead.next() != Some('[') || ahead.next() != Some(':') {
        return Some(false);
    }
    let mut name = String::new();
    loop {
        match ahead.next() {
            Some(':') if ahead.peek() == Some(&']') => break,
            Some(character) if character.is_ascii_lowercase() || character == '^' => name.push(character),
            // No class after all: `[` and `:` are members.
            _ => return Some(false),
        }
    }
    ahead.next();
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
        "word", "xdigit",
    ];
    if !NAMES.contains(&name.strip_prefix('^').unwrap_or(&name)) {
        return None;
    }
    let _ = write!(out, "[:{name}:]");
    *rest = ahead;
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_go_s() {
        for (expression, text, expected) in [
            ("^[a-c]$", "b", Some(true)),
            ("^[]a]$", "]", Some(true)),
            ("^[^]a]$", "]", Some(false)),
            ("^[a&&b]$", "&", Some(true)),
            ("^[a~~b]$", "~", Some(true)),
            ("^[a[b]$", "[", Some(true)),
            ("^[a--]$", "-", None),
            ("^[a-]$", "-", Some(true)),
            ("^[z-a]$", "", None),
            ("^[a", "", None),
            ("^[[:alpha:]]$", "x", Some(true)),
            ("^[[:nope:]]$", "x", None),
            ("^[\\d]$", "7", Some(true)),
            ("^\\d$", "7", Some(true)),
            ("^\\d$", "٣", Some(false)),
            ("^\\.\\-$", ".-", Some(true)),
            ("^a]$", "a]", Some(true)),
            ("^\\c$", "c", None),
            ("^\\", "", None),
        ] {
            let found = compile(expression).map(|regex| regex.is_match(text));
            assert_eq!(found, expected, "{expression} {text}");
        }
    }
}
