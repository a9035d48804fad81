//! Words: quoting, and what ends a word where.

use std::rc::Rc;

use super::ast::*;
use super::commands::is_meta;
use super::{Parsed, Parser};

/// What surrounds the text being read, and so what ends it and which signs are special in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Plain,
    Double,
    HereDocument,
    /// The word of `${name-word}`; `quoted` inside double quotes or a here-document.
    Brace {
        quoted: bool,
    },
    /// The pattern of `${name/pattern/replacement}`.
    Replaced,
    /// Up to `))`.
    Arithmetic,
    /// Up to `;` or `))`.
    Clause,
    /// Up to `:` or `}`.
    Offset,
    /// Up to `]`.
    Subscript,
    /// What `=~` matches: up to a blank outside parentheses.
    Regex,
}

impl Mode {
    pub(super) fn quoted(self) -> bool {
        self.arithmetic() || matches!(self, Mode::Double | Mode::HereDocument | Mode::Brace { quoted: true })
    }

    fn arithmetic(self) -> bool {
        matches!(self, Mode::Arithmetic | Mode::Clause | Mode::Offset)
    }

    /// Whether parentheses must balance before the text can end.
    fn nests(self) -> bool {
        self.arithmetic() || self == Mode::Regex
    }

    fn unterminated(self) -> &'static str {
        match self {
            Mode::Double => "Unterminated quoted string",
            Mode::Arithmetic | Mode::Clause => "Missing '))'",
            Mode::Subscript => "Missing ']'",
            _ => "Missing '}'",
        }
    }
}

impl Parser<'_> {
    /// The word here; `None` if there is none.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let word = self.word_in(Mode::Plain)?;
        Ok(Some(word).filter(|word| !word.text.is_empty()))
    }

    pub(super) fn word_in(&mut self, mode: Mode) -> Parsed<Word> {
        let start = self.position;
        let parts = self.parts(mode)?;
        Ok(Word { parts, text: self.source[start..self.position].to_vec() })
    }

    /// The whole text as the body of a here-document.
    pub(crate) fn here_document_word(&mut self) -> Parsed<Word> {
        let parts = self.parts(Mode::HereDocument)?;
        Ok(Word { parts, text: self.source.to_vec() })
    }

    pub(super) fn parts(&mut self, mode: Mode) -> Parsed<Vec<Part>> {
        self.deeper(|parser| parser.parts_here(mode))
    }

    fn parts_here(&mut self, mode: Mode) -> Parsed<Vec<Part>> {
        let mut parts = Vec::new();
        // Brackets that are open: of an expression, a subscript or an extended pattern.
        let mut open = 0usize;
        let mut questions = 0usize;
        loop {
            let Some(byte) = self.peek() else {
                return match mode {
                    Mode::Plain if open > 0 => self.error("Missing ')'"),
                    Mode::Plain | Mode::HereDocument | Mode::Regex => Ok(parts),
                    _ => self.error(mode.unterminated()),
                };
            };
            match byte {
                b'<' | b'>' if mode == Mode::Plain && open == 0 && self.peek_at(1) == Some(b'(') => {
                    self.position += 2;
                    let list = Rc::new(self.parenthesized()?);
                    parts.push(Part::Process { output: byte == b'>', list });
                }
                b'(' if mode == Mode::Plain && (open > 0 || self.opens_group(&parts)) => {
                    open += 1;
                    self.literal(&mut parts);
                }
                b')' if mode == Mode::Plain && open > 0 => {
                    open -= 1;
                    self.literal(&mut parts);
                }
                b'\n' if mode == Mode::Plain && open > 0 => return self.unexpected(Some(")")),
                _ if mode == Mode::Plain && open == 0 && is_meta(byte) => return Ok(parts),
                b' ' | b'\t' | b'\n' if mode == Mode::Regex && open == 0 => return Ok(parts),
                b'"' if mode == Mode::Double => return Ok(parts),
                b'}' if matches!(mode, Mode::Brace { .. } | Mode::Replaced | Mode::Offset) => return Ok(parts),
                b'/' if mode == Mode::Replaced => return Ok(parts),
                b';' if mode == Mode::Clause && open == 0 => return Ok(parts),
                b'?' if mode == Mode::Offset => {
                    questions += 1;
                    self.literal(&mut parts);
                }
                b':' if mode == Mode::Offset && open == 0 => {
                    if questions == 0 {
                        return Ok(parts);
                    }
                    questions -= 1;
                    self.literal(&mut parts);
                }
                b'[' if mode == Mode::Subscript => {
                    open += 1;
                    self.literal(&mut parts);
                }
                b']' if mode == Mode::Subscript => {
                    if open == 0 {
                        return Ok(parts);
                    }
                    open -= 1;
                    self.literal(&mut parts);
                }
                b'(' if mode.nests() => {
                    open += 1;
                    self.literal(&mut parts);
                }
                b')' if mode.nests() && open > 0 => {
                    open -= 1;
                    self.literal(&mut parts);
                }
                b')' if mode == Mode::Regex => return Ok(parts),
                b')' if mode.arithmetic() => {
                    if mode != Mode::Offset && self.peek_at(1) == Some(b')') {
                        return Ok(parts);
                    }
                    return self.error(mode.unterminated());
                }
                b'\\' => self.backslash(mode, &mut parts),
                b'\'' if !mode.quoted() => {
                    self.position += 1;
                    let text = self.single_quoted()?;
                    parts.push(Part::Quoted(text));
                }
                b'"' if mode.arithmetic() => self.position += 1,
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

    /// Whether a parenthesis here begins a group of an extended pattern: `?(`, `*(`, `+(`, `@(`, `!(`.
    fn opens_group(&self, parts: &[Part]) -> bool {
        let sign = matches!(parts.last(), Some(Part::Literal(text)) if text.ends_with(b"?") || text.ends_with(b"*")
            || text.ends_with(b"+") || text.ends_with(b"@") || text.ends_with(b"!"));
        sign && self.groups
    }

    pub(super) fn literal(&mut self, parts: &mut Vec<Part>) {
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
                    Mode::Brace { quoted: true } => b"$`\"\\}".contains(&next),
                    Mode::HereDocument => b"$`\\".contains(&next),
                    _ if mode.quoted() => b"$`\"\\".contains(&next),
                    _ => true,
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

    /// `$'…'` with its escapes.
    pub(super) fn dollar_single_quoted(&mut self) -> Parsed<Vec<u8>> {
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

    /// A list and the parenthesis that closes it.
    pub(super) fn parenthesized(&mut self) -> Parsed<List> {
        // The here-documents within end within.
        let outer = std::mem::take(&mut self.pending);
        let list = self.list()?;
        if self.peek() != Some(b')') {
            return self.unexpected(Some(")"));
        }
        let inner = std::mem::replace(&mut self.pending, outer);
        self.pending.extend(inner);
        self.position += 1;
        Ok(list)
    }

    fn backquoted(&mut self, mode: Mode, parts: &mut Vec<Part>) -> Parsed<()> {
        let line = self.line;
        self.position += 1;
        let mut text = Vec::new();
        loop {
            match self.advance() {
                Some(b'`') => break,
                Some(b'\\') => match self.peek() {
                    Some(next)
                        if b"$`\\".contains(&next)
                            || (next == b'"' && matches!(mode, Mode::Double | Mode::HereDocument)) =>
                    {
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
        inner.aliases = self.aliases.clone();
        let mut list = List::default();
        while let Some(next) = inner.next_command()? {
            list.0.extend(next.0);
        }
        parts.push(Part::Command(Rc::new(list)));
        Ok(())
    }
}
