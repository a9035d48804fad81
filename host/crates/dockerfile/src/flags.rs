//! `--name=value` between the keyword and the arguments.

use crate::diagnostic::quoted;
use crate::instructions::Input;
use crate::lines::Logical;
use crate::{Diagnostic, Keyword, Span, Word, closest, words};
use std::ops::Range;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Value,
    /// A value, and the flag may be repeated.
    Values,
    /// Nothing, `true` or `false`.
    Boolean,
}

#[derive(Clone, Debug)]
pub(crate) struct Flag {
    name: String,
    value: Option<Word>,
    span: Span,
}

/// Takes the flags off the front of `line.text[range]`; the rest is trimmed. A word `--` ends them.
pub(crate) fn split(line: &Logical, range: Range<usize>, escape: char) -> (Vec<Flag>, Range<usize>) {
    let mut flags = Vec::new();
    let mut rest = crate::lines::trim(&line.text, range);
    while line.text[rest.clone()].starts_with("--") {
        let word = words::quoted_word(&line.text, rest.clone(), escape);
        rest = crate::lines::trim(&line.text, word.end..rest.end);
        let text = &line.text[word.clone()];
        if text == "--" {
            break;
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => {
                let at = word.end - value.len()..word.end;
                (name, Some(Word { text: unquoted(value, escape), span: line.span(at) }))
            }
            None => (text, None),
        };
        flags.push(Flag { name: unquoted(&name[2..], escape), value, span: line.span(word) });
    }
    (flags, rest)
}

/// Flags lose their quotes and escapes here: their values are expanded only afterwards.
fn unquoted(text: &str, escape: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match quote {
            Some(open) if character == open => quote = None,
            None if character == '\'' || character == '"' => quote = Some(character),
            _ if character == escape => out.extend(characters.next()),
            _ => out.push(character),
        }
    }
    out
}

/// The flags of one instruction, names and values checked.
#[derive(Debug)]
pub(crate) struct Flags(Vec<Flag>);

impl Flags {
    /// Problems go to `input`; wrong flags are left out.
    pub(crate) fn check(input: &mut Input<'_>, known: &[(&'static str, Takes)]) -> Self {
        let mut kept: Vec<Flag> = Vec::new();
        for flag in std::mem::take(&mut input.flags) {
            let takes = known.iter().find(|(name, _)| *name == flag.name).map(|&(_, takes)| takes);
            let name = quoted(&format!("--{}", flag.name)).replace('"', "");
            let problem = match takes {
                None => Some(unknown(input.keyword, &flag, known)),
                Some(Takes::Value | Takes::Boolean) if kept.iter().any(|other| other.name == flag.name) => {
                    let message = format!("{name} is given twice");
                    Some(Diagnostic::error("duplicate-flag", flag.span, message).hint("keep one of them"))
                }
                Some(Takes::Value | Takes::Values) if flag.value.is_none() => {
                    let hint = format!("write {name}=VALUE, without white space between");
                    Some(Diagnostic::error("missing-flag-value", flag.span, format!("{name} needs a value")).hint(hint))
                }
                Some(Takes::Boolean) if boolean(&flag).is_none() => {
                    let message = format!("{name} takes true or false");
                    let hint = format!("write {name}, {name}=true or {name}=false");
                    Some(Diagnostic::error("invalid-flag-value", flag.span, message).hint(hint))
                }
                Some(_) => None,
            };
            match problem {
                Some(problem) => input.problems.push(problem),
                None => kept.push(flag),
            }
        }
        Self(kept)
    }

    pub(crate) fn value(&mut self, name: &str) -> Option<Word> {
        self.values(name).pop()
    }

    pub(crate) fn values(&mut self, name: &str) -> Vec<Word> {
        self.0.extract_if(.., |flag| flag.name == name).filter_map(|flag| flag.value).collect()
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.0.iter().find(|flag| flag.name == name).and_then(boolean)
    }
}

fn boolean(flag: &Flag) -> Option<bool> {
    match &flag.value {
        None => Some(true),
        Some(value) if value.eq_ignore_ascii_case("true") => Some(true),
        Some(value) if value.eq_ignore_ascii_case("false") => Some(false),
        Some(_) => None,
    }
}

fn unknown(keyword: Keyword, flag: &Flag, known: &[(&'static str, Takes)]) -> Diagnostic {
    let message = format!("unknown flag {} for {keyword}", quoted(&format!("--{}", flag.name)));
    let names = || known.iter().map(|&(name, _)| name);
    let hint = if keyword == Keyword::Run && flag.name == "executor" {
        "write the comment # kiln:executor=… above RUN: other builders can then read the file too".to_owned()
    } else if let Some(guess) = closest(&flag.name, names()) {
        format!("did you mean --{guess}?")
    } else if known.is_empty() {
        format!("{keyword} has no flags; write -- before arguments that begin with --")
    } else {
        let names: Vec<String> = names().map(|name| format!("--{name}")).collect();
        format!("{keyword} has {}", names.join(", "))
    };
    Diagnostic::error("unknown-flag", flag.span, message).hint(hint)
}
