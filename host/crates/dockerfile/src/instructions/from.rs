//! FROM.

use super::{Input, trailing_comment};
use crate::diagnostic::quoted;
use crate::flags::{Flags, Takes};
use crate::{Diagnostic, From, Word, words};

pub(super) fn parse(input: &mut Input<'_>) -> Result<From, Diagnostic> {
    let mut flags = Flags::check(input, &[("platform", Takes::Value)]);
    input.require_arguments("alpine")?;
    let arguments: Vec<Word> =
        words::plain(input.text(), 0..input.text().len()).into_iter().map(|at| input.argument(at)).collect();
    if let Some(problem) = trailing_comment(&arguments) {
        return Err(problem);
    }
    let (image, name) = match &arguments[..] {
        [image] => (image, None),
        [image, keyword, name] if keyword.eq_ignore_ascii_case("as") => (image, Some(stage_name(name)?)),
        _ => {
            let hint = "write FROM image, or FROM image AS name";
            let message = "FROM takes one image, and AS with a name";
            return Err(Diagnostic::error("invalid-from", input.arguments_span(), message).hint(hint));
        }
    };
    let platform = flags.value("platform");
    input.check_expansion([image].into_iter().chain(&platform));
    Ok(From { image: image.clone(), platform, name })
}

/// In lower case, for stage names do not distinguish it.
fn stage_name(word: &Word) -> Result<Word, Diagnostic> {
    let name = word.to_lowercase();
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    if !valid {
        let message = format!("{} cannot name a stage", quoted(word));
        return Err(Diagnostic::error("invalid-stage-name", word.span, message)
            .hint("begin with a letter, then letters, digits, -, _ and ."));
    }
    Ok(Word { text: name, span: word.span })
}
