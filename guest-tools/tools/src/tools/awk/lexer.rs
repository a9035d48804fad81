//! Tokens.

use super::syntax::Name;
use crate::escapes::{Style, decode};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(Vec<u8>),
    Regex(Vec<u8>),
    Name(Name),
    /// A name with `(` right after it: a call.
    FunctionName(String),
    Builtin(&'static str),
    Keyword(&'static str),
    Sign(&'static str),
    Newline,
    End,
}

#[derive(Debug)]
pub(super) struct Problem {
    pub(super) line: u32,
    pub(super) message: String,
}

const KEYWORDS: [&str; 19] = [
    "BEGIN", "END", "break", "continue", "delete", "do", "else", "exit", "for", "func", "function", "getline", "if",
    "in", "next", "nextfile", "print", "printf", "return",
];

const BUILTINS: [&str; 22] = [
    "atan2", "close", "cos", "exp", "fflush", "gensub", "gsub", "index", "int", "length", "log", "match", "rand",
    "sin", "split", "sprintf", "sqrt", "srand", "strftime", "sub", "substr", "system",
];

const MORE_BUILTINS: [&str; 3] = ["systime", "tolower", "toupper"];

/// Longer ones first.
const SIGNS: [&str; 42] = [
    "**=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "==", "<=", ">=", "!=", "!~", ">>", "**", "{",
    "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "|", "?", ":", "~", "$", "=", "&",
];

/// The tokens, each with its line. Adds the names of variables to those that are there.
pub(super) fn tokens(source: &[u8], names: &mut Vec<String>) -> Result<Vec<(Token, u32)>, Problem> {
    let mut out: Vec<(Token, u32)> = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while let Some(&byte) = source.get(at) {
        let rest = &source[at..];
        let problem = |message: &str| Problem { line, message: message.into() };
        match byte {
            b' ' | b'\t' | b'\r' => at += 1,
            b'\n' => {
                out.push((Token::Newline, line));
                line += 1;
                at += 1;
            }
            b'\\' if rest.starts_with(b"\\\n") || rest.starts_with(b"\\\r\n") => {
                at += if rest[1] == b'\n' { 2 } else { 3 };
                line += 1;
            }
            b'#' => at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
            b'"' => {
                let length = quoted(&rest[1..], b'"').ok_or_else(|| problem("unterminated string"))?;
                let text = decode(&unslashed(&rest[1..1 + length]), Style::DollarQuote).bytes;
                out.push((Token::Text(text), line));
                at += length + 2;
            }
            b'/' if regex_can_follow(out.last().map(|(token, _)| token)) => {
                let length = regex_length(&rest[1..]).ok_or_else(|| problem("unterminated regular expression"))?;
                out.push((Token::Regex(rest[1..1 + length].to_vec()), line));
                at += length + 2;
            }
            b'0'..=b'9' | b'.' if byte != b'.' || rest.get(1).is_some_and(u8::is_ascii_digit) => {
                let length = number_length(rest);
                let text = std::str::from_utf8(&rest[..length]).map_err(|_| problem("bad number"))?;
                out.push((Token::Number(text.parse().map_err(|_| problem("bad number"))?), line));
                at += length;
            }
            _ if byte.is_ascii_alphabetic() || byte == b'_' => {
                let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                let name = String::from_utf8_lossy(&rest[..length]).into_owned();
                at += length;
                out.push((word(name, source.get(at) == Some(&b'('), names), line));
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes()));
                let sign = sign.ok_or_else(|| problem("unexpected character"))?;
                out.push((Token::Sign(sign), line));
                at += sign.len();
            }
        }
    }
    out.push((Token::Newline, line));
    out.push((Token::End, line));
    Ok(out)
}

fn word(name: String, call: bool, names: &mut Vec<String>) -> Token {
    if let Some(keyword) = KEYWORDS.iter().chain(&["while"]).find(|keyword| **keyword == name) {
        return Token::Keyword(keyword);
    }
    if let Some(builtin) = BUILTINS.iter().chain(&MORE_BUILTINS).find(|builtin| **builtin == name) {
        return Token::Builtin(builtin);
    }
    if call {
        return Token::FunctionName(name);
    }
    let known = names.iter().position(|known| *known == name);
    Token::Name(known.unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    }))
}

/// After a value a slash divides.
fn regex_can_follow(token: Option<&Token>) -> bool {
    !matches!(
        token,
        Some(
            Token::Number(_)
                | Token::Text(_)
                | Token::Regex(_)
                | Token::Name(_)
                | Token::Builtin(_)
                | Token::Sign(")" | "]" | "$" | "++" | "--")
        )
    )
}

fn quoted(text: &[u8], end: u8) -> Option<usize> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' => return None,
            _ if byte == end => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A slash within brackets does not end an expression.
fn regex_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut bracket: Option<usize> = None;
    while let Some(&byte) = text.get(at) {
        match (byte, bracket) {
            (b'\\', _) => at += 1,
            (b'\n', _) => return None,
            (b'/', None) => return Some(at),
            (b'[', None) => bracket = Some(at + 1 + usize::from(text.get(at + 1) == Some(&b'^'))),
            (b']', Some(first)) if at > first => bracket = None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The raw text of a string with `\/`, which means a slash, made plain.
fn unslashed(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        match (byte, bytes.as_slice().first()) {
            (b'\\', Some(b'/')) => {}
            (b'\\', Some(&next)) => {
                bytes.next();
                out.extend_from_slice(&[byte, next]);
            }
            _ => out.push(byte),
        }
    }
    out
}

fn number_length(text: &[u8]) -> usize {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = digits(0);
    if text.get(length) == Some(&b'.') {
        length += 1 + digits(length + 1);
    }
    if matches!(text.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(length + 1), Some(b'+' | b'-')));
        let exponent = if length + 1 + sign < text.len() { digits(length + 1 + sign) } else { 0 };
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}
