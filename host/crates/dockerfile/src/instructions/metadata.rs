//! EXPOSE, VOLUME, and the instructions that take the rest of the line: USER, WORKDIR, STOPSIGNAL, MAINTAINER.

use super::{Input, trailing_comment};
use crate::{Diagnostic, Keyword, Word, words};

pub(super) fn expose(input: &mut Input<'_>) -> Result<Vec<Word>, Diagnostic> {
    input.no_flags();
    input.require_arguments("80/tcp")?;
    let ports: Vec<Word> =
        words::plain(input.text(), 0..input.text().len()).into_iter().map(|at| input.argument(at)).collect();
    if let Some(problem) = trailing_comment(&ports) {
        return Err(problem);
    }
    input.check_expansion(&ports);
    Ok(ports)
}

pub(super) fn volume(input: &mut Input<'_>) -> Result<Vec<Word>, Diagnostic> {
    input.no_flags();
    input.require_arguments("/data")?;
    let mut volumes = input.list()?;
    for volume in &mut volumes {
        volume.text = volume.text.trim().to_owned();
    }
    if volumes.is_empty() || volumes.iter().any(|volume| volume.is_empty()) {
        return Err(Diagnostic::error("missing-argument", input.arguments_span(), "VOLUME needs a path")
            .hint("e.g. VOLUME /data"));
    }
    input.warn_of_trailing_comment();
    input.check_expansion(&volumes);
    Ok(volumes)
}

pub(super) fn single(input: &mut Input<'_>) -> Result<Word, Diagnostic> {
    let word = unexpanded(input)?;
    input.warn_of_trailing_comment();
    input.check_expansion([&word]);
    Ok(word)
}

pub(super) fn unexpanded(input: &mut Input<'_>) -> Result<Word, Diagnostic> {
    input.no_flags();
    input.require_arguments(match input.keyword {
        Keyword::User => "nobody",
        Keyword::StopSignal => "SIGTERM",
        Keyword::Maintainer => "name <mail@example.com>",
        _ => "/app",
    })?;
    Ok(input.word(input.arguments.clone()))
}
