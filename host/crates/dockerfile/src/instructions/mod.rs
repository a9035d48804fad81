//! From words to typed instructions: one file per family.

mod commands;
mod from;
mod healthcheck;
mod metadata;
mod mount;
mod onbuild;
mod run;
mod transfer;
mod variables;

use crate::diagnostic::{Problems, quoted};
use crate::exec_form::{self, Form};
use crate::flags::{Flag, Flags};
use crate::heredoc::Raw;
use crate::lines::Logical;
use crate::lint::rules::{KILN_FULL_WIDTH_QUOTE, KILN_INVALID_JSON_ARRAY, KILN_TRAILING_COMMENT};
use crate::{Diagnostic, ExpandFault, From, Keyword, Kind, Span, Word, closest, expand, words};
use std::ops::Range;

/// One instruction before its meaning is looked at.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    pub(crate) line: &'a Logical,
    pub(crate) escape: char,
    pub(crate) keyword: Keyword,
    /// The place of the keyword in the line.
    pub(crate) keyword_at: Range<usize>,
    pub(crate) flags: Vec<Flag>,
    /// What follows the flags, trimmed.
    pub(crate) arguments: Range<usize>,
    pub(crate) heredocs: Vec<Raw>,
    /// Errors beside the one that ends the parsing of the instruction, and warnings.
    pub(crate) problems: &'a mut Problems,
}

/// FROM makes a stage; all others become part of one.
#[derive(Debug)]
pub(crate) enum Parsed {
    From(From),
    Other(Kind),
}

/// Splits `line.text[range]` into keyword, flags and arguments.
pub(crate) fn split<'a>(
    line: &'a Logical,
    range: Range<usize>,
    escape: char,
    problems: &'a mut Problems,
) -> Result<Input<'a>, Diagnostic> {
    let (keyword_at, rest) = words::first(&line.text, range);
    let Some(keyword) = Keyword::parse(&line.text[keyword_at.clone()]) else {
        return Err(unknown_instruction(line, keyword_at));
    };
    let (flags, arguments) = crate::flags::split(line, rest, escape);
    Ok(Input { line, escape, keyword, keyword_at, flags, arguments, heredocs: Vec::new(), problems })
}

fn unknown_instruction(line: &Logical, at: Range<usize>) -> Diagnostic {
    let text = &line.text[at.clone()];
    let span = line.span(at.clone());
    if text.is_empty() {
        return Diagnostic::error("empty-instruction", span, "a continuation with nothing to continue")
            .hint("remove the line");
    }
    let wide_space = text.split_once(char::is_whitespace).filter(|(word, _)| Keyword::parse(word).is_some());
    let hint = if let Some((word, after)) = wide_space {
        let space = text[word.len()..].chars().next().unwrap_or(' ');
        let at = at.start + word.len()..at.end - after.len();
        return Diagnostic::error("wrong-space", line.span(at), format!("{space:?} does not separate words here"))
            .hint("write an ordinary space");
    } else if let Some(guess) = closest(text, Keyword::ALL.iter().map(|keyword| keyword.as_str())) {
        format!("did you mean {guess}?")
    } else if text.starts_with("//") || text.starts_with("--") || text.starts_with(';') {
        "comments begin with #".to_owned()
    } else if span.start == 0 {
        "a Dockerfile begins with FROM image, or FROM scratch; is this the file you meant?".to_owned()
    } else {
        "if it belongs to the line above, that line must end with the escape character".to_owned()
    };
    Diagnostic::error("unknown-instruction", span, format!("unknown instruction {}", quoted(text))).hint(hint)
}

/// Gives the instruction its meaning.
pub(crate) fn parse(input: &mut Input<'_>) -> Result<Parsed, Diagnostic> {
    let kind = match input.keyword {
        Keyword::From => return from::parse(input).map(Parsed::From),
        Keyword::Add => Kind::Add(transfer::add(input)?),
        Keyword::Arg => Kind::Arg(variables::arg(input)?),
        Keyword::Cmd => Kind::Cmd(commands::command(input)?),
        Keyword::Copy => Kind::Copy(transfer::copy(input)?),
        Keyword::Entrypoint => Kind::Entrypoint(commands::command(input)?),
        Keyword::Env => Kind::Env(variables::pairs(input)?),
        Keyword::Expose => Kind::Expose(metadata::expose(input)?),
        Keyword::Healthcheck => Kind::Healthcheck(healthcheck::parse(input)?),
        Keyword::Label => Kind::Label(variables::pairs(input)?),
        Keyword::Maintainer => Kind::Maintainer(metadata::unexpanded(input)?),
        Keyword::OnBuild => Kind::OnBuild(onbuild::parse(input)?),
        Keyword::Run => Kind::Run(run::parse(input)?),
        Keyword::Shell => Kind::Shell(commands::shell(input)?),
        Keyword::StopSignal => Kind::StopSignal(metadata::single(input)?),
        Keyword::User => Kind::User(metadata::single(input)?),
        Keyword::Volume => Kind::Volume(metadata::volume(input)?),
        Keyword::Workdir => Kind::Workdir(metadata::single(input)?),
    };
    Ok(Parsed::Other(kind))
}

/// Can this instruction have heredocs? ONBUILD can if what it keeps can.
pub(crate) fn may_have_heredocs(input: &Input<'_>) -> bool {
    let text = input.text();
    if !text.contains("<<") {
        return false;
    }
    match input.keyword {
        Keyword::Run | Keyword::Copy | Keyword::Add => !matches!(exec_form::parse(text), Form::Exec(_)),
        Keyword::OnBuild => split(input.line, input.arguments.clone(), input.escape, &mut Problems::default())
            .is_ok_and(|inner| inner.keyword != Keyword::OnBuild && may_have_heredocs(&inner)),
        _ => false,
    }
}

impl<'a> Input<'a> {
    pub(crate) fn text(&self) -> &'a str {
        &self.line.text[self.arguments.clone()]
    }

    pub(crate) fn word(&self, range: Range<usize>) -> Word {
        self.line.word(range)
    }

    pub(crate) fn arguments_span(&self) -> Span {
        self.line.span(self.arguments.clone())
    }

    /// The instruction without what its heredocs contain.
    pub(crate) fn span(&self) -> Span {
        let end = self.arguments.end.max(self.keyword_at.end);
        self.line.span(self.keyword_at.start..end)
    }

    pub(crate) fn no_flags(&mut self) {
        Flags::check(self, &[]);
    }

    /// At least one argument, or an error.
    pub(crate) fn require_arguments(&self, example: &str) -> Result<(), Diagnostic> {
        if !self.arguments.is_empty() {
            return Ok(());
        }
        let span = self.line.span(self.keyword_at.clone());
        Err(Diagnostic::error("missing-argument", span, format!("{} needs an argument", self.keyword))
            .hint(format!("e.g. {} {example}", self.keyword)))
    }

    /// `["a", "b"]`, or None for text.
    fn array(&self, range: Range<usize>) -> Result<Option<Vec<String>>, Diagnostic> {
        match exec_form::parse(&self.line.text[range.clone()]) {
            Form::Exec(strings) => Ok(Some(strings)),
            Form::Text => Ok(None),
            Form::NotStrings(number) => {
                let message = format!("element {number} of the array is not a string");
                Err(Diagnostic::error("array-not-strings", self.line.span(range), message)
                    .hint("put every element in double quotes"))
            }
        }
    }

    /// The same, and a warning for text that was probably meant as an array.
    pub(crate) fn exec_form(&mut self, range: Range<usize>) -> Result<Option<Vec<String>>, Diagnostic> {
        let array = self.array(range.clone())?;
        let paths = matches!(self.keyword, Keyword::Copy | Keyword::Add | Keyword::Volume);
        if array.is_none()
            && let Some(flaw) = exec_form::flaw(&self.line.text[range.clone()], paths)
        {
            let meaning = if paths { "as file names" } else { "as a shell command" };
            let rule = if flaw.wide { &KILN_FULL_WIDTH_QUOTE } else { &KILN_INVALID_JSON_ARRAY };
            let span = self.line.span(range.start + flaw.at.start..range.start + flaw.at.end);
            let detail = format!("This is not a JSON array and will be taken {meaning}: {}", flaw.reason);
            self.problems.warn(rule, span, detail);
        }
        Ok(array)
    }

    /// Where text fails to be the array that it looks like, and why.
    fn flaw(&self, range: Range<usize>, paths: bool) -> Option<(Span, String)> {
        let flaw = exec_form::flaw(&self.line.text[range.clone()], paths)?;
        Some((self.line.span(range.start + flaw.at.start..range.start + flaw.at.end), flaw.reason))
    }

    /// The elements of an array, or words separated by white space.
    pub(crate) fn list(&mut self) -> Result<Vec<Word>, Diagnostic> {
        let span = self.arguments_span();
        match self.exec_form(self.arguments.clone())? {
            Some(strings) => Ok(strings.into_iter().map(|text| Word { text, span }).collect()),
            None => {
                Ok(words::plain(self.text(), 0..self.text().len()).into_iter().map(|at| self.argument(at)).collect())
            }
        }
    }

    /// A word at `range` of the arguments' text.
    fn argument(&self, range: Range<usize>) -> Word {
        self.word(self.arguments.start + range.start..self.arguments.start + range.end)
    }

    /// Faults that no value of any variable could mend are found now, not in the middle of a build.
    pub(crate) fn check_expansion<'w>(&mut self, words: impl IntoIterator<Item = &'w Word>) {
        for word in words {
            let Err(error) = expand(&word.text, &|_| None, self.escape as u8) else { continue };
            if matches!(error.fault, ExpandFault::Required { .. }) {
                continue;
            }
            // Only a word that lies in the file character by character can be pointed into.
            let mut span = word.span;
            if span.end - span.start == word.text.len() {
                span.start += error.offset.min(word.text.len());
            }
            self.problems.push(error.diagnostic(span));
        }
    }
}

/// The first of `words` that begins a comment in the wrong place, as an error.
pub(crate) fn trailing_comment(words: &[Word]) -> Option<Diagnostic> {
    let comment = words.iter().find(|word| word.starts_with('#'))?;
    let last = words.last().unwrap_or(comment);
    let span = Span::new(comment.span.start, last.span.end);
    Some(Diagnostic::error("trailing-comment", span, "a comment cannot follow an instruction").hint(OWN_LINE))
}

const OWN_LINE: &str = "put the comment on a line of its own";

impl Input<'_> {
    /// Where other builders silently take a trailing comment for arguments, a warning.
    pub(crate) fn warn_of_trailing_comment(&mut self) {
        let Some(at) = self.text().find(" # ") else { return };
        let span = self.line.span(self.arguments.start + at + 1..self.arguments.end);
        let detail = format!("This is not a comment: {} takes it for arguments; {OWN_LINE}", self.keyword);
        self.problems.warn(&KILN_TRAILING_COMMENT, span, detail);
    }
}
