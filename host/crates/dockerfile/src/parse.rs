//! From bytes to stages: drives the floors below and keeps on after a problem, so that all are told at once.

use crate::diagnostic::Problems;
use crate::directives::Scan;
use crate::instructions::{self, Parsed};
use crate::lines::{Lines, Logical, Physical};
use crate::lint::rules::NO_EMPTY_CONTINUATION;
use crate::{Diagnostic, Dockerfile, Instruction, Keyword, Kind, Span, Stage, heredoc, pragma};

/// A stage can be built upon each one before it: what is known of them must not grow without end.
const MOST_STAGES: usize = 10_000;

/// Reads a Dockerfile. `name` is what the user calls it, for messages about the file as a whole.
///
/// Any bytes may be given; time and memory are linear in their number. On failure all errors found are returned, in the
/// order of the text.
pub fn parse(text: &[u8], name: &str) -> Result<Dockerfile, Vec<Diagnostic>> {
    let (dockerfile, errors) = parse_all(text, name);
    if errors.is_empty() { Ok(dockerfile) } else { Err(errors) }
}

/// What of a Dockerfile can be read, and what is wrong with the rest.
pub fn parse_all(text: &[u8], name: &str) -> (Dockerfile, Vec<Diagnostic>) {
    let (text, problem) = match utf8(text) {
        Ok(text) => (text, None),
        Err(problem) => ("", Some(problem)),
    };
    let mut parser = Parser::new(text);
    parser.reader.problems.extend(problem);
    parser.run();
    parser.finish(name)
}

/// Reads one instruction other than FROM: an ONBUILD trigger, or `commit --change`.
pub fn parse_instruction(text: &str) -> Result<Instruction, Vec<Diagnostic>> {
    let mut reader = Reader { lines: Lines::new(text), escape: '\\', problems: Problems::default() };
    let first = loop {
        match reader.lines.next() {
            Some(line) if line.is_blank() || line.comment().is_some() => {}
            Some(line) => break line,
            None => {
                let message = "there is no instruction";
                return Err(vec![Diagnostic::error("empty-instruction", Span::default(), message)]);
            }
        }
    };
    let (line, parsed) = reader.instruction(first);
    let mut problems = reader.problems;
    while let Some(next) = reader.lines.next() {
        if !next.is_blank() && next.comment().is_none() {
            let message = "only one instruction can stand here";
            problems.push(Diagnostic::error("several-instructions", next.span(), message));
            break;
        }
    }
    match parsed {
        Some(Parsed::Other(kind)) if !problems.has_errors() => Ok(instruction(&line, kind, None, Vec::new())),
        Some(Parsed::From(_)) => {
            let message = "FROM cannot stand here";
            problems.push(Diagnostic::error("unexpected-from", line.span(line.trimmed()), message));
            Err(problems.into_sorted().0)
        }
        _ => Err(problems.into_sorted().0),
    }
}

fn utf8(text: &[u8]) -> Result<&str, Diagnostic> {
    let error = match std::str::from_utf8(text) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let start = error.valid_up_to();
    let end = start + error.error_len().unwrap_or(text.len() - start);
    let line = 1 + text[..start].iter().filter(|&&byte| byte == b'\n').count();
    let hint = match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the file is UTF-16: save it as UTF-8",
        _ => "save the file as UTF-8",
    };
    Err(Diagnostic::error("not-utf8", Span::new(start, end), format!("line {line} is not UTF-8")).hint(hint))
}

fn instruction(line: &Logical, kind: Kind, executor: Option<pragma::Pragma>, comments: Vec<String>) -> Instruction {
    let (text, span) = text_and_span(line);
    Instruction { text, span, line: line.number, executor, comments, kind }
}

fn text_and_span(line: &Logical) -> (String, Span) {
    let trimmed = line.trimmed();
    let span = line.span(trimmed.clone());
    (line.text[trimmed].to_owned(), Span::new(span.start, span.end.max(line.heredocs_end)))
}

/// Reads one instruction after the other.
struct Reader<'a> {
    lines: Lines<'a>,
    escape: char,
    problems: Problems,
}

impl<'a> Reader<'a> {
    /// The instruction that begins with `first`; None if it is wrong.
    fn instruction(&mut self, first: Physical<'a>) -> (Logical, Option<Parsed>) {
        let mut line = self.lines.logical(first, self.escape);
        if let Some(blank) = line.blank {
            self.problems.warn(&NO_EMPTY_CONTINUATION, blank, "Empty continuation line");
        }
        let parsed = self.parse(&mut line);
        let parsed = parsed.map_err(|problem| self.problems.push(problem)).ok();
        (line, parsed)
    }

    fn parse(&mut self, line: &mut Logical) -> Result<Parsed, Diagnostic> {
        let range = line.trimmed();
        let may_have = {
            let input = instructions::split(line, range.clone(), self.escape, &mut self.problems)?;
            instructions::may_have_heredocs(&input)
        };
        let heredocs = if may_have { heredoc::read(line, &mut self.lines)? } else { Vec::new() };
        let mut input = instructions::split(line, range, self.escape, &mut self.problems)?;
        input.heredocs = heredocs;
        instructions::parse(&mut input)
    }
}

struct Parser<'a> {
    reader: Reader<'a>,
    directives: Scan,
    pragmas: pragma::Scan,
    global_args: Vec<Instruction>,
    stages: Vec<Stage>,
    /// Those above the next instruction.
    comments: Vec<String>,
    /// A FROM was there, though it may have been wrong.
    from_seen: bool,
    /// An instruction before FROM was complained about already.
    before_from: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            reader: Reader { lines: Lines::new(text), escape: '\\', problems: Problems::default() },
            directives: Scan::default(),
            pragmas: pragma::Scan::default(),
            global_args: Vec::new(),
            stages: Vec::new(),
            comments: Vec::new(),
            from_seen: false,
            before_from: false,
        }
    }

    fn run(&mut self) {
        while let Some(line) = self.reader.lines.next() {
            if self.reader.problems.is_full() {
                return;
            }
            if line.is_blank() {
                self.comments.clear();
                self.directives.done = true;
                let result = self.pragmas.blank(!self.from_seen);
                self.note(result);
            } else if line.comment().is_some() {
                let result = self.comment(line);
                self.note(result);
            } else {
                self.directives.done = true;
                self.instruction(line);
            }
        }
        let result = self.pragmas.blank(false);
        self.note(result);
    }

    fn note(&mut self, result: Result<(), Diagnostic>) {
        result.err().into_iter().for_each(|problem| self.reader.problems.push(problem));
    }

    fn comment(&mut self, line: Physical<'_>) -> Result<(), Diagnostic> {
        if self.directives.take(line)? {
            self.reader.escape = self.directives.directives.escape.into();
            return Ok(());
        }
        if !self.from_seen
            && let Some(warning) = Scan::late(line)
        {
            self.reader.problems.warnings.push(warning);
        }
        if self.pragmas.comment(line)? {
            return Ok(());
        }
        match line.comment().map(|(comment, _)| comment.trim()) {
            // An empty comment keeps those above it from describing what is below.
            None | Some("") => self.comments.clear(),
            Some(comment) => self.comments.push(comment.to_owned()),
        }
        Ok(())
    }

    fn instruction(&mut self, first: Physical<'a>) {
        let (line, parsed) = self.reader.instruction(first);
        let comments = std::mem::take(&mut self.comments);
        let keyword = match &parsed {
            Some(Parsed::From(_)) => Some(Keyword::From),
            Some(Parsed::Other(kind)) => Some(kind.keyword()),
            None => None,
        };
        let executor = self.pragmas.instruction(keyword, !self.from_seen).unwrap_or_else(|problem| {
            self.reader.problems.push(problem);
            None
        });
        match parsed {
            Some(Parsed::From(from)) => {
                self.from_seen = true;
                let (text, span) = text_and_span(&line);
                let (line, instructions) = (line.number, Vec::new());
                self.stages.push(Stage { from, text, span, line, executor, comments, instructions });
                if self.stages.len() == MOST_STAGES + 1 {
                    let message = format!("there are more than {MOST_STAGES} stages");
                    self.reader.problems.push(Diagnostic::error("too-many-stages", span, message));
                }
            }
            Some(Parsed::Other(kind)) => {
                let instruction = instruction(&line, kind, executor, comments);
                match self.stages.last_mut() {
                    Some(stage) => stage.instructions.push(instruction),
                    None if self.from_seen => {}
                    None if matches!(instruction.kind, Kind::Arg(_)) => self.global_args.push(instruction),
                    None if self.before_from => {}
                    None => {
                        self.before_from = true;
                        let message = format!("{} stands before the first FROM", instruction.keyword());
                        self.reader.problems.push(
                            Diagnostic::error("instruction-before-from", instruction.span, message)
                                .hint("begin with FROM: only ARG, comments and directives may come before it"),
                        );
                    }
                }
            }
            // It may have been meant as the FROM: what follows is not to blame.
            None => self.from_seen = true,
        }
    }

    fn finish(self, name: &str) -> (Dockerfile, Vec<Diagnostic>) {
        let mut problems = self.reader.problems;
        self.pragmas.idle.into_iter().for_each(|warning| problems.warnings.push(warning));
        if !self.from_seen && !problems.has_errors() {
            let end = self.reader.lines.end();
            let (code, message) = match self.global_args.is_empty() {
                true => ("empty-file", format!("{name} has no instructions")),
                false => ("missing-from", format!("{name} has no FROM")),
            };
            problems.push(
                Diagnostic::error(code, Span::new(end, end), message).hint("begin with FROM image, or FROM scratch"),
            );
        }
        let (errors, warnings) = problems.into_sorted();
        let dockerfile = Dockerfile {
            directives: self.directives.directives,
            executor: self.pragmas.file,
            global_args: self.global_args,
            stages: self.stages,
            warnings,
        };
        (dockerfile, errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Program;

    #[test]
    fn single_instructions() {
        let found = parse_instruction("RUN <<EOF\necho a\nEOF").unwrap();
        assert!(matches!(found.kind, Kind::Run(run) if run.program == Program::Shell("echo a\n".to_owned())));
        for (text, code) in [
            ("", "empty-instruction"),
            ("# only a comment", "empty-instruction"),
            ("FROM alpine", "unexpected-from"),
            ("USER a\nUSER b", "several-instructions"),
            ("USR a", "unknown-instruction"),
        ] {
            assert_eq!(parse_instruction(text).unwrap_err()[0].code, code, "{text}");
        }
    }

    /// What an image keeps of an ONBUILD is read back as the same instruction.
    #[test]
    fn triggers_survive_the_image() {
        let text = "FROM a\nONBUILD COPY --chown=u <<-'E' b \\\n /c/\n\tx\n\tE\n";
        let dockerfile = parse(text.as_bytes(), "Dockerfile").unwrap();
        let Kind::OnBuild(kept) = &dockerfile.stages[0].instructions[0].kind else { panic!("ONBUILD") };
        let again = parse_instruction(&kept.trigger).unwrap();
        assert_eq!(again.text, kept.instruction.text);
        let (Kind::Copy(again), Kind::Copy(first)) = (again.kind, &kept.instruction.kind) else { panic!("COPY") };
        assert_eq!(again.transfer.destination.text, first.transfer.destination.text);
        assert_eq!(again.transfer.sources.len(), 2);
    }

    #[test]
    fn problems_are_told_up_to_a_limit() {
        let errors = parse("NOPE\n".repeat(1000).as_bytes(), "Dockerfile").unwrap_err();
        assert_eq!((errors.len(), errors[100].code), (101, "too-many-problems"));
        let stages = parse("FROM a\n".repeat(MOST_STAGES + 1).as_bytes(), "Dockerfile").unwrap_err();
        assert_eq!((stages.len(), stages[0].code), (1, "too-many-stages"));
    }
}
