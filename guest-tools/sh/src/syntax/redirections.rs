//! Redirections and here-documents.

use std::rc::Rc;

use super::ast::*;
use super::{Parsed, Parser, PendingDocument};

impl Parser<'_> {
    pub(super) fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        let digits = self.source[self.position..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = match self.peek_at(digits) {
            // `<(` begins a word.
            Some(b'<' | b'>') if self.peek_at(digits + 1) == Some(b'(') => return Ok(None),
            Some(b'<' | b'>') if digits > 0 => {
                let text = String::from_utf8_lossy(&self.source[self.position..self.position + digits]).into_owned();
                match text.parse() {
                    Ok(number) => Some(number),
                    Err(_) => return self.error("Bad fd number"),
                }
            }
            Some(b'<' | b'>') => None,
            Some(b'&') if digits == 0 && self.peek_at(1) == Some(b'>') => return self.redirect_both().map(Some),
            _ => return Ok(None),
        };
        self.position += digits;
        let operators: [&[u8]; 10] = [b"<<-", b"<<<", b"<<", b"<&", b"<>", b"<", b">>", b">&", b">|", b">"];
        let operator = operators.iter().find(|operator| self.starts_with(operator));
        let operator = *operator.expect("the byte here is < or >");
        self.position += operator.len();
        let fd = number.unwrap_or(u32::from(operator[0] == b'>'));
        let word = self.target_word()?;
        let target = match operator {
            b"<" => Target::Read(word),
            b">" => Target::Write(word),
            b">|" => Target::Clobber(word),
            b">>" => Target::Append(word),
            b"<>" => Target::ReadWrite(word),
            b"<&" => Target::Duplicate { output: false, source: word },
            b">&" => Target::Duplicate { output: true, source: word },
            b"<<<" => Target::HereString(word),
            _ => Target::HereDocument(self.here_document(&word, operator == b"<<-")),
        };
        Ok(Some(Redirect { fd, target }))
    }

    /// `&>` and `&>>`.
    fn redirect_both(&mut self) -> Parsed<Redirect> {
        let append = self.peek_at(2) == Some(b'>');
        self.position += 2 + usize::from(append);
        Ok(Redirect { fd: 1, target: Target::Both { append, file: self.target_word()? } })
    }

    fn target_word(&mut self) -> Parsed<Word> {
        self.skip_blanks();
        match self.word()? {
            Some(word) => Ok(word),
            None => self.unexpected(None),
        }
    }

    fn here_document(&mut self, word: &Word, strip_tabs: bool) -> Rc<HereDocument> {
        let literal = word.text.iter().any(|byte| b"\\'\"".contains(byte));
        let mut delimiter = Vec::new();
        unquoted_text(&word.parts, &word.text, literal, &mut delimiter);
        let document = Rc::new(HereDocument { literal, ..HereDocument::default() });
        self.pending.push(PendingDocument { document: document.clone(), delimiter, strip_tabs });
        document
    }

    pub(super) fn read_here_documents(&mut self) -> Parsed<()> {
        for pending in std::mem::take(&mut self.pending) {
            let first_line = self.line;
            let mut body = Vec::new();
            loop {
                self.fill();
                if self.peek().is_none() {
                    break;
                }
                let rest = &self.source[self.position..];
                let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                let mut line = &rest[..length];
                if pending.strip_tabs {
                    let tabs = line.iter().take_while(|&&byte| byte == b'\t').count();
                    line = &line[tabs..];
                }
                let ends = line == pending.delimiter;
                if !ends {
                    body.extend_from_slice(line);
                    body.push(b'\n');
                }
                self.position = (self.position + length + 1).min(self.source.len());
                self.line += 1;
                if ends {
                    break;
                }
            }
            let word = if pending.document.literal {
                Word { parts: vec![Part::Quoted(body.clone())], text: body }
            } else {
                Parser::new(&body, first_line).here_document_word()?
            };
            pending.document.body.set(word).expect("each document is read once");
        }
        Ok(())
    }
}

/// The delimiter as the lines are compared with: quotes removed, nothing expanded.
fn unquoted_text(parts: &[Part], text: &[u8], quoted: bool, out: &mut Vec<u8>) {
    if !quoted {
        out.extend_from_slice(text);
        return;
    }
    for part in parts {
        match part {
            Part::Literal(text) | Part::Quoted(text) => out.extend_from_slice(text),
            Part::Double(parts) => unquoted_text(parts, b"", true, out),
            Part::Parameter(parameter) => {
                out.push(b'$');
                out.extend_from_slice(&parameter.name);
            }
            Part::Command(_) | Part::Arithmetic(_) | Part::Process { .. } | Part::Assignment(_) => {}
        }
    }
}
