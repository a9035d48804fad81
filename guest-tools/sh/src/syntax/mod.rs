//! From text to a syntax tree and back.

mod aliases;
mod assignments;
pub mod ast;
mod commands;
mod conditions;
mod expansions;
pub mod print;
mod redirections;
mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use ast::{HereDocument, List};
pub(crate) use commands::{DECLARING, RESERVED};

/// Why a text is not a shell program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub line: u32,
    pub message: String,
}

/// Where a program comes from that is not known as a whole: gives the next line with its newline, or `None` at the
/// end. It is told whether the line goes on with a command that has begun.
pub type NextLine<'a> = &'a mut dyn FnMut(bool) -> Option<Vec<u8>>;

/// Reads a program command by command, so that each runs before the next is read.
pub struct Parser<'a> {
    /// What is known of the text; with `lines`, it always ends where a line does.
    source: Cow<'a, [u8]>,
    lines: Option<NextLine<'a>>,
    /// Whether a command has begun.
    begun: bool,
    position: usize,
    line: u32,
    /// Here-documents whose operators were read, and whose bodies begin after the next newline.
    pending: Vec<PendingDocument>,
    depth: u32,
    /// Attempts that came to nothing, in this command.
    retries: u32,
    /// Whether `@(` and the like begin a group of a pattern here.
    groups: bool,
    pub(crate) aliases: Rc<Aliases>,
    /// Aliases whose text is being read: how much of the source is left after it.
    substituted: Vec<(Vec<u8>, usize)>,
    /// As above, after an alias that ends with a blank, so that the next word can be one too.
    blank_ended: Option<usize>,
}

/// What the names of aliases stand for.
pub(crate) type Aliases = BTreeMap<Vec<u8>, Vec<u8>>;

struct PendingDocument {
    document: Rc<HereDocument>,
    delimiter: Vec<u8>,
    strip_tabs: bool,
}

pub(crate) type Parsed<T> = Result<T, SyntaxError>;

/// More nesting than any program has, and less than the stack holds.
const MAX_DEPTH: u32 = 500;

/// Each attempt may read as far as the text goes, so a text that makes thousands necessary would take for ever.
const MAX_RETRIES: u32 = 2_000;

impl<'a> Parser<'a> {
    pub fn new(source: &'a [u8], line: u32) -> Self {
        Parser {
            source: Cow::Borrowed(source),
            lines: None,
            begun: false,
            position: 0,
            line,
            pending: Vec::new(),
            depth: 0,
            retries: 0,
            groups: true,
            aliases: Rc::default(),
            substituted: Vec::new(),
            blank_ended: None,
        }
    }

    /// Asks for lines as it needs them.
    pub fn reading(lines: NextLine<'a>, line: u32) -> Self {
        Parser { lines: Some(lines), ..Parser::new(b"", line) }
    }

    /// The number of the line that was reached.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Everything up to the end of the text as one list.
    pub fn whole(source: &'a [u8], line: u32) -> Parsed<List> {
        let mut parser = Parser::new(source, line);
        let mut all = List::default();
        while let Some(list) = parser.next_command()? {
            all.0.extend(list.0);
        }
        Ok(all)
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.position).copied()
    }

    fn peek_at(&self, offset: usize) -> Option<u8> {
        self.source.get(self.position + offset).copied()
    }

    fn starts_with(&self, text: &[u8]) -> bool {
        self.source[self.position..].starts_with(text)
    }

    /// Takes a byte of something that does not end with the line.
    fn advance(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        if byte == b'\n' {
            self.line += 1;
            self.fill();
        }
        Some(byte)
    }

    /// Asks for another line where what is known has been read.
    fn fill(&mut self) {
        if self.position < self.source.len() {
            return;
        }
        let Some(lines) = &mut self.lines else { return };
        match lines(self.begun) {
            Some(line) => {
                self.source.to_mut().extend_from_slice(&line);
                self.alias_ended(line.len());
            }
            // Nobody is asked again after the end.
            None => self.lines = None,
        }
    }

    /// Takes away the continued line ends within the sign or name that begins here.
    fn join_continued(&mut self) {
        let mut at = self.position;
        loop {
            match self.source.get(at) {
                Some(b'\\') if self.source.get(at + 1) == Some(&b'\n') => {
                    self.source.to_mut().drain(at..at + 2);
                    self.line += 1;
                    let position = std::mem::replace(&mut self.position, at);
                    self.fill();
                    self.position = position;
                }
                Some(&byte) if is_name_byte(byte) || b"&|<>;()!{}$-+=%:?".contains(&byte) => at += 1,
                _ => return,
            }
        }
    }

    /// What `parse` finds here; where it finds nothing or an error, nothing has been read.
    fn attempt<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<Option<T>>) -> Parsed<Option<T>> {
        let (position, line, pending) = (self.position, self.line, self.pending.len());
        if let Ok(Some(found)) = parse(self) {
            return Ok(Some(found));
        }
        (self.position, self.line) = (position, line);
        self.pending.truncate(pending);
        self.retries += 1;
        if self.retries > MAX_RETRIES {
            return self.error("this command is too ambiguous");
        }
        Ok(None)
    }

    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(SyntaxError { line: self.line, message: message.into() })
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return self.error("commands are nested too deeply");
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }
}

pub(crate) fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

pub(crate) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a variable can have this name.
pub fn is_name(text: &[u8]) -> bool {
    text.first().is_some_and(|&byte| is_name_start(byte)) && text.iter().all(|&byte| is_name_byte(byte))
}
