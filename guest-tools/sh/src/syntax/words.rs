//! Words: quoting, parameters, substitutions.

use std::rc::Rc;

use super::ast::*;
use super::commands::is_meta;
use super::{Parsed, Parser, is_name_byte, is_name_start};

/// What surrounds the text being read, and so what ends it and which signs are special in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Double,
    HereDocument,
    /// The word of `${name-word}`; `quoted` inside double quotes or a here-document.
    Brace {
        quoted: bool,
    },
    Arithmetic,
}

impl Mode {
    fn quoted(self) -> bool {
        matches!(self, Mode::Double | Mode::HereDocument | Mode::Arithmetic | Mode::Brace { quoted: true })
    }
}

impl Parser<'_> {
    /// The word here; `None` if there is none.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let start = self.position;
        let parts = self.parts(Mode::Plain)?;
        if self.position == start {
            return Ok(None);
        }
        Ok(Some(Word { parts, text: self.source[start..self.position].to_vec() }))
    }

    /// The whole text as the body of a here-document.
    pub(crate) fn here_document_word(&mut self) -> Parsed<Word> {
        let parts = self.parts(Mode::HereDocument)?;
        Ok(Word { parts, text: self.source.to_vec() })
    }

    fn parts(&mut self, mode: Mode) -> Parsed<Vec<Part>> {
        self.deeper(|parser| parser.parts_here(mode))
    }

    fn parts_here(&mut self, mode: Mode) -> Parsed<Vec<Part>> {
        let mut parts = Vec::new();
        let mut parentheses = 0usize;
        loop {
            let Some(byte) = self.peek() else {
                return match mode {
                    Mode::Plain | Mode::HereDocument => Ok(parts),
                    Mode::Double => self.error("Unterminated quoted string"),
                    Mode::Brace { .. } => self.error("Missing '}'"),
                    Mode::Arithmetic => self.error("Missing '))'"),
                };
            };
            match byte {
                _ if mode == Mode::Plain && is_meta(byte) => return Ok(parts),
                b'"' if mode == Mode::Double => return Ok(parts),
                b'}' if matches!(mode, Mode::Brace { .. }) => return Ok(parts),
                b'(' if mode == Mode::Arithmetic => {
                    parentheses += 1;
                    self.literal(&mut parts);
                }
                b')' if mode == Mode::Arithmetic => {
                    if parentheses == 0 {
                        if self.peek_at(1) == Some(b')') {
                            return Ok(parts);
                        }
                        return self.error("Missing '))'");
                    }
                    parentheses -= 1;
                    self.literal(&mut parts);
                }
                b'\\' => self.backslash(mode, &mut parts),
                b'\'' if !mode.quoted() => {
                    self.position += 1;
                    let text = self.single_quoted()?;
                    parts.push(Part::Quoted(text));
                }
                b'"' if mode == Mode::Arithmetic => self.position += 1,
                b'"' if mode != Mode::HereDocument => {
                    self.position += 1;
                    let inner = self.parts(Mode::Double)?;
                    self.position += 1;
                    parts.push(Part::Double(inner));
                }
                b'$' => self.dollar(mode, &mut parts)?,
                b'`' => self.backquoted(mode, &mut parts)?,
                _ => self.literal(&mut parts),
            }
        }
    }

    fn literal(&mut self, parts: &mut Vec<Part>) {
        if let Some(byte) = self.advance() {
            match parts.last_mut() {
                Some(Part::Literal(text)) => text.push(byte),
                _ => parts.push(Part::Literal(vec![byte])),
            }
        }
    }

    fn backslash(&mut self, mode: Mode, parts: &mut Vec<Part>) {
        self.position += 1;
        match self.peek() {
            None => parts.push(Part::Quoted(vec![b'\\'])),
            Some(b'\n') => {
                self.advance();
            }
            Some(next) => {
                let escapes = match mode {
                    Mode::Plain | Mode::Brace { quoted: false } => true,
                    Mode::Brace { quoted: true } => b"$`\"\\}".contains(&next),
                    Mode::HereDocument => b"$`\\".contains(&next),
                    Mode::Double | Mode::Arithmetic => b"$`\"\\".contains(&next),
                };
                if escapes {
                    self.position += 1;
                    parts.push(Part::Quoted(vec![next]));
                } else {
                    parts.push(Part::Quoted(vec![b'\\']));
                }
            }
        }
    }

    fn single_quoted(&mut self) -> Parsed<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            match self.advance() {
                Some(b'\'') => return Ok(text),
                Some(byte) => text.push(byte),
                None => return self.error("Unterminated quoted string"),
            }
        }
    }

    fn dollar(&mut self, mode: Mode, parts: &mut Vec<Part>) -> Parsed<()> {
        match self.peek_at(1) {
            Some(b'(') => {
                self.position += 2;
                if self.peek() == Some(b'(') {
                    let (position, line) = (self.position, self.line);
                    self.position += 1;
                    if let Ok(inner) = self.parts(Mode::Arithmetic) {
                        self.position += 2;
                        parts.push(Part::Arithmetic(inner));
                        return Ok(());
                    }
                    // `$((` may also open a subshell within a command substitution.
                    (self.position, self.line) = (position, line);
                }
                let outer = std::mem::take(&mut self.pending);
                let list = self.list()?;
                if self.peek() != Some(b')') {
                    return self.unexpected(Some(")"));
                }
                let inner = std::mem::replace(&mut self.pending, outer);
                self.pending.extend(inner);
                self.position += 1;
                parts.push(Part::Command(Rc::new(list)));
            }
            Some(b'{') => {
                self.position += 2;
                let parameter = self.braced(mode)?;
                parts.push(Part::Parameter(Box::new(parameter)));
            }
            Some(b'\'') if !mode.quoted() => {
                self.position += 2;
                let text = self.dollar_single_quoted()?;
                parts.push(Part::Quoted(text));
            }
            Some(byte) if is_name_start(byte) || byte.is_ascii_digit() || b"@*#?-$!".contains(&byte) => {
                self.position += 1;
                let name = self.parameter_name(false);
                parts.push(Part::Parameter(Box::new(Parameter { name, operation: Operation::Value })));
            }
            _ => self.literal(parts),
        }
        Ok(())
    }

    fn parameter_name(&mut self, braced: bool) -> Vec<u8> {
        let rest = &self.source[self.position..];
        let length = match rest.first() {
            Some(&byte) if is_name_start(byte) => rest.iter().take_while(|&&byte| is_name_byte(byte)).count(),
            Some(byte) if byte.is_ascii_digit() && braced => {
                rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
            }
            Some(byte) if byte.is_ascii_digit() || b"@*#?-$!".contains(byte) => 1,
            _ => 0,
        };
        let name = rest[..length].to_vec();
        self.position += length;
        name
    }

    fn braced(&mut self, mode: Mode) -> Parsed<Parameter> {
        let start = self.position;
        if self.peek() == Some(b'#') && self.peek_at(1) != Some(b'}') {
            self.position += 1;
            let name = self.parameter_name(true);
            if !name.is_empty() && self.peek() == Some(b'}') {
                self.position += 1;
                return Ok(Parameter { name, operation: Operation::Length });
            }
            self.position = start;
        }
        let name = self.parameter_name(true);
        let colon = self.peek() == Some(b':') && matches!(self.peek_at(1), Some(b'-' | b'=' | b'?' | b'+'));
        let sign = self.peek_at(usize::from(colon));
        let quoted = mode.quoted();
        let operation = match sign {
            _ if name.is_empty() => self.bad_substitution(start)?,
            Some(b'}') => Operation::Value,
            Some(sign @ (b'-' | b'=' | b'?' | b'+')) => {
                self.position += 1 + usize::from(colon);
                let word = self.brace_word(quoted)?;
                match sign {
                    b'-' => Operation::Default { colon, word },
                    b'=' => Operation::Assign { colon, word },
                    b'?' => Operation::Error { colon, word },
                    _ => Operation::Alternative { colon, word },
                }
            }
            Some(sign @ (b'#' | b'%')) => {
                let longest = self.peek_at(1) == Some(sign);
                self.position += 1 + usize::from(longest);
                // Quotes count in a pattern even within double quotes.
                let pattern = self.brace_word(false)?;
                match sign {
                    b'#' => Operation::RemovePrefix { longest, pattern },
                    _ => Operation::RemoveSuffix { longest, pattern },
                }
            }
            None => return self.error("Missing '}'"),
            Some(_) => self.bad_substitution(start)?,
        };
        self.position += 1;
        Ok(Parameter { name, operation })
    }

    fn bad_substitution(&mut self, start: usize) -> Parsed<Operation> {
        self.brace_word(false)?;
        Ok(Operation::Bad(self.source[start..self.position].to_vec()))
    }

    fn brace_word(&mut self, quoted: bool) -> Parsed<Word> {
        let start = self.position;
        let parts = self.parts(Mode::Brace { quoted })?;
        Ok(Word { parts, text: self.source[start..self.position].to_vec() })
    }

    fn backquoted(&mut self, mode: Mode, parts: &mut Vec<Part>) -> Parsed<()> {
        let line = self.line;
        self.position += 1;
        let mut text = Vec::new();
        loop {
            match self.advance() {
                Some(b'`') => break,
                Some(b'\\') => match self.peek() {
                    Some(next) if b"$`\\".contains(&next) || (next == b'"' && mode == Mode::Double) => {
                        self.position += 1;
                        text.push(next);
                    }
                    _ => text.push(b'\\'),
                },
                Some(byte) => text.push(byte),
                None => return self.error("EOF in backquote substitution"),
            }
        }
        let mut inner = Parser::new(&text, line);
        inner.depth = self.depth;
        let mut list = List::default();
        while let Some(next) = inner.next_command()? {
            list.0.extend(next.0);
        }
        parts.push(Part::Command(Rc::new(list)));
        Ok(())
    }

    /// `$'…'` with its escapes.
    fn dollar_single_quoted(&mut self) -> Parsed<Vec<u8>> {
        let mut raw = Vec::new();
        loop {
            match self.advance() {
                Some(b'\'') => break,
                Some(b'\\') => {
                    raw.push(b'\\');
                    raw.extend(self.advance());
                }
                Some(byte) => raw.push(byte),
                None => return self.error("Unterminated quoted string"),
            }
        }
        Ok(kiln_tools::escapes::decode(&raw, kiln_tools::escapes::Style::DollarQuote).bytes)
    }
}
