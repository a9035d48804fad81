//! From text to a syntax tree and back.

pub mod ast;
mod commands;
pub mod print;
mod words;

use std::rc::Rc;

use ast::{HereDocument, List};

/// Why a text is not a shell program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub line: u32,
    pub message: String,
}

/// Reads a program command by command, so that each runs before the next is read.
pub struct Parser<'a> {
    source: &'a [u8],
    position: usize,
    line: u32,
    /// Here-documents whose operators were read, and whose bodies begin after the next newline.
    pending: Vec<PendingDocument>,
    depth: u32,
}

struct PendingDocument {
    document: Rc<HereDocument>,
    delimiter: Vec<u8>,
    strip_tabs: bool,
}

pub(crate) type Parsed<T> = Result<T, SyntaxError>;

/// More nesting than any program has, and less than the stack holds.
const MAX_DEPTH: u32 = 500;

impl<'a> Parser<'a> {
    pub fn new(source: &'a [u8], line: u32) -> Self {
        Parser { source, position: 0, line, pending: Vec::new(), depth: 0 }
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

    fn advance(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        if byte == b'\n' {
            self.line += 1;
        }
        Some(byte)
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
