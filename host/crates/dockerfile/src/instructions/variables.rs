//! ENV, LABEL and ARG.

use super::{Input, trailing_comment};
use crate::diagnostic::quoted;
use crate::{Argument, Diagnostic, Keyword, Pair, Word, words};
use std::ops::Range;

/// ENV and LABEL: `key=value …`, or the old `key value`.
pub(super) fn pairs(input: &mut Input<'_>) -> Result<Vec<Pair>, Diagnostic> {
    input.no_flags();
    input.require_arguments("name=value")?;
    let text = &input.line.text;
    let found = words::quoted(text, input.arguments.clone(), input.escape);
    let Some(first) = found.first() else {
        return Err(no_value(input, input.arguments.clone()));
    };
    let mut pairs = Vec::with_capacity(found.len());
    if !text[first.clone()].contains('=') {
        let (key, value) = words::first(text, input.arguments.clone());
        if value.is_empty() {
            return Err(no_value(input, key));
        }
        pairs.push(Pair { key: input.word(key), value: input.word(value), legacy: true });
    } else {
        for at in &found {
            let Some(equals) = text[at.clone()].find('=') else {
                let rest: Vec<Word> =
                    found.iter().filter(|word| word.start >= at.start).map(|w| input.word(w.clone())).collect();
                return Err(trailing_comment(&rest[..]).filter(|_| rest[0].starts_with('#')).unwrap_or_else(|| {
                    Diagnostic::error("missing-equals", rest[0].span, format!("{} has no =", quoted(&rest[0])))
                        .hint("write name=value, with quotes around a value that has white space")
                }));
            };
            let equals = at.start + equals;
            let (key, value) = (input.word(at.start..equals), input.word(equals + 1..at.end));
            pairs.push(Pair { key, value, legacy: false });
        }
    }
    if let Some(pair) = pairs.iter().find(|pair| pair.key.is_empty()) {
        return Err(blank_name(input.keyword, &pair.value));
    }
    input.check_expansion(pairs.iter().flat_map(|pair| [&pair.key, &pair.value]));
    Ok(pairs)
}

fn no_value(input: &Input<'_>, at: Range<usize>) -> Diagnostic {
    let message = format!("{} needs a name and a value", input.keyword);
    let hint = format!("write {} name=value", input.keyword);
    Diagnostic::error("missing-value", input.line.span(at), message).hint(hint)
}

fn blank_name(keyword: Keyword, value: &Word) -> Diagnostic {
    Diagnostic::error("blank-name", value.span, format!("{keyword} needs a name before =")).hint("write name=value")
}

pub(super) fn arg(input: &mut Input<'_>) -> Result<Vec<Argument>, Diagnostic> {
    input.no_flags();
    input.require_arguments("name=default")?;
    let text = &input.line.text;
    let mut arguments = Vec::new();
    let found: Vec<Word> =
        words::quoted(text, input.arguments.clone(), input.escape).into_iter().map(|at| input.word(at)).collect();
    input.warn_of_trailing_comment();
    for word in found {
        let (name, default) = match word.split_once('=') {
            Some((name, default)) => {
                let mut place = word.span;
                let mut name_place = word.span;
                // Only a word without continuations lies in the file character by character.
                if place.end - place.start == word.text.len() {
                    place.start += name.len() + 1;
                    name_place.end = name_place.start + name.len();
                }
                let default = Word { text: default.to_owned(), span: place };
                if name.is_empty() {
                    return Err(blank_name(input.keyword, &default));
                }
                (Word { text: name.to_owned(), span: name_place }, Some(default))
            }
            None => (word, None),
        };
        arguments.push(Argument { name, default });
    }
    if arguments.is_empty() {
        return Err(no_value(input, input.arguments.clone()));
    }
    input.check_expansion(arguments.iter().flat_map(|argument| [&argument.name].into_iter().chain(&argument.default)));
    Ok(arguments)
}
