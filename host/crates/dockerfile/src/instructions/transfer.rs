//! COPY and ADD.

use super::Input;
use crate::flags::{Flags, Takes};
use crate::{Add, Copy, Diagnostic, ModeChange, Source, Transfer, Word, heredoc};

const SHARED: [(&str, Takes); 4] =
    [("chmod", Takes::Value), ("chown", Takes::Value), ("exclude", Takes::Values), ("link", Takes::Boolean)];

pub(super) fn copy(input: &mut Input<'_>) -> Result<Copy, Diagnostic> {
    let known = [&SHARED[..], &[("from", Takes::Value), ("parents", Takes::Boolean)]].concat();
    let mut flags = Flags::check(input, &known);
    let transfer = transfer(input, &mut flags)?;
    let from = flags.value("from");
    input.check_expansion(&from);
    Ok(Copy { transfer, from, parents: flags.boolean("parents") == Some(true) })
}

pub(super) fn add(input: &mut Input<'_>) -> Result<Add, Diagnostic> {
    let own = [("checksum", Takes::Value), ("keep-git-dir", Takes::Boolean), ("unpack", Takes::Boolean)];
    let mut flags = Flags::check(input, &[&SHARED[..], &own].concat());
    let transfer = transfer(input, &mut flags)?;
    let checksum = flags.value("checksum");
    input.check_expansion(&checksum);
    Ok(Add { transfer, checksum, keep_git_dir: flags.boolean("keep-git-dir"), unpack: flags.boolean("unpack") })
}

fn transfer(input: &mut Input<'_>, flags: &mut Flags) -> Result<Transfer, Diagnostic> {
    let keyword = input.keyword;
    input.require_arguments("source destination")?;
    let mut arguments = input.list()?;
    input.warn_of_trailing_comment();
    let destination = arguments.pop().filter(|_| !arguments.is_empty()).ok_or_else(|| {
        let message = format!("{keyword} needs at least one source and a destination");
        Diagnostic::error("missing-destination", input.arguments_span(), message)
            .hint(format!("e.g. {keyword} source ./"))
    })?;
    if announces_heredoc(input, &destination) {
        let message = format!("a heredoc cannot be the destination of {keyword}");
        return Err(
            Diagnostic::error("heredoc-as-destination", destination.span, message).hint("put the destination last")
        );
    }
    let sources: Vec<Source> = arguments.into_iter().map(|word| source(input, word)).collect();
    let chmod = flags.value("chmod");
    if let Some(mode) = chmod.as_ref().filter(|mode| !mode.contains('$'))
        && let Err(error) = ModeChange::parse(mode)
    {
        let hint = "write it in octal, --chmod=755, or as changes, --chmod=u=rwX,go=rX";
        let message = format!("{} is not a file mode", crate::diagnostic::quoted(&error.0));
        input.problems.push(Diagnostic::error("invalid-chmod", mode.span, message).hint(hint));
    }
    let chown = flags.value("chown");
    let exclude = flags.values("exclude");
    let paths = sources.iter().filter_map(|source| match source {
        Source::Path(word) => Some(word),
        Source::Inline(_) => None,
    });
    input.check_expansion(paths.chain([&destination]).chain(&chown).chain(&chmod));
    Ok(Transfer { sources, destination, chown, chmod, link: flags.boolean("link") == Some(true), exclude })
}

/// In the JSON form there are no heredocs.
fn announces_heredoc(input: &Input<'_>, word: &Word) -> bool {
    !input.heredocs.is_empty() && matches!(heredoc::announced(word), Ok(Some(_)))
}

fn source(input: &Input<'_>, word: Word) -> Source {
    if let Ok(Some(announced)) = heredoc::announced(&word)
        && let Some(raw) = input.heredocs.iter().rev().find(|raw| raw.name == announced.name)
    {
        return Source::Inline(raw.resolved());
    }
    Source::Path(word)
}
