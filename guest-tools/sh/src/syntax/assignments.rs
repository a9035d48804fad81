//! Assignments: `name=value`, with a subscript, with `+=`, with the elements of an array.

use super::ast::*;
use super::words::Mode;
use super::{Parsed, Parser, is_name_byte, is_name_start};

impl Parser<'_> {
    /// The assignment here, if there is one.
    pub(super) fn assignment(&mut self) -> Parsed<Option<Assignment>> {
        let rest = &self.source[self.position..];
        if !rest.first().is_some_and(|&byte| is_name_start(byte)) {
            return Ok(None);
        }
        let length = rest.iter().position(|&byte| !is_name_byte(byte)).unwrap_or(rest.len());
        let (name, after) = (rest[..length].to_vec(), &rest[length..]);
        if after.starts_with(b"=") || after.starts_with(b"+=") {
            self.position += length;
            let append = self.assignment_sign();
            let value = self.assigned()?;
            return Ok(Some(Assignment { name, subscript: None, append, value }));
        }
        if !after.starts_with(b"[") {
            return Ok(None);
        }
        // What looks like a subscript may be a pattern.
        self.attempt(|parser| {
            parser.position += length + 1;
            let subscript = parser.word_in(Mode::Subscript)?;
            parser.position += 1;
            if subscript.text.is_empty() || !(parser.starts_with(b"=") || parser.starts_with(b"+=")) {
                return Ok(None);
            }
            let append = parser.assignment_sign();
            let value = Assigned::Text(parser.word()?.unwrap_or_default());
            Ok(Some(Assignment { name, subscript: Some(subscript), append, value }))
        })
    }

    fn assignment_sign(&mut self) -> bool {
        let append = self.peek() == Some(b'+');
        self.position += 1 + usize::from(append);
        append
    }

    fn assigned(&mut self) -> Parsed<Assigned> {
        if self.peek() != Some(b'(') {
            return Ok(Assigned::Text(self.word()?.unwrap_or_default()));
        }
        self.position += 1;
        let mut elements = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.peek() == Some(b')') {
                self.position += 1;
                return Ok(Assigned::Elements(elements));
            }
            let keyed = if self.peek() == Some(b'[') { self.attempt(Parser::keyed_element)? } else { None };
            let element = match keyed {
                Some(element) => element,
                None => match self.word()? {
                    Some(value) => Element { key: None, value },
                    None => return self.unexpected(Some(")")),
                },
            };
            elements.push(element);
        }
    }

    fn keyed_element(&mut self) -> Parsed<Option<Element>> {
        self.position += 1;
        let key = self.word_in(Mode::Subscript)?;
        self.position += 1;
        if self.peek() != Some(b'=') {
            return Ok(None);
        }
        self.position += 1;
        Ok(Some(Element { key: Some(key), value: self.word()?.unwrap_or_default() }))
    }
}
