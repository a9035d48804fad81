//! `[[ … ]]`.

use super::ast::*;
use super::words::Mode;
use super::{Parsed, Parser};

const BINARY: [&[u8]; 13] =
    [b"=", b"==", b"!=", b"=~", b"-eq", b"-ne", b"-lt", b"-le", b"-gt", b"-ge", b"-nt", b"-ot", b"-ef"];

impl Parser<'_> {
    /// What follows `[[`, with the brackets that close it.
    pub(super) fn condition(&mut self) -> Parsed<Condition> {
        let condition = self.alternatives()?;
        if !self.at_word(b"]]") {
            return self.unexpected(Some("]]"));
        }
        self.position += 2;
        Ok(condition)
    }

    fn alternatives(&mut self) -> Parsed<Condition> {
        let mut all = vec![self.conjunction()?];
        while self.starts_with(b"||") {
            self.position += 2;
            all.push(self.conjunction()?);
        }
        Ok(Condition::Any(all))
    }

    fn conjunction(&mut self) -> Parsed<Condition> {
        let mut all = vec![self.operand()?];
        while self.starts_with(b"&&") {
            self.position += 2;
            all.push(self.operand()?);
        }
        Ok(Condition::All(all))
    }

    fn operand(&mut self) -> Parsed<Condition> {
        let condition = self.deeper(Self::operand_here)?;
        self.skip_newlines()?;
        Ok(condition)
    }

    fn operand_here(&mut self) -> Parsed<Condition> {
        self.skip_newlines()?;
        if self.at_word(b"!") {
            self.position += 1;
            return Ok(Condition::Not(Box::new(self.operand()?)));
        }
        if self.peek() == Some(b'(') {
            self.position += 1;
            let inner = self.alternatives()?;
            if self.peek() != Some(b')') {
                return self.unexpected(Some(")"));
            }
            self.position += 1;
            return Ok(inner);
        }
        if self.at_word(b"]]") {
            return self.unexpected(None);
        }
        let Some(left) = self.word()? else { return self.unexpected(None) };
        self.skip_blanks();
        let operator = match self.peek() {
            Some(sign @ (b'<' | b'>')) => vec![sign],
            _ => self.plain_word().filter(|word| BINARY.contains(word)).map(<[u8]>::to_vec).unwrap_or_default(),
        };
        if !operator.is_empty() {
            self.position += operator.len();
            self.skip_blanks();
            let right = if operator == b"=~" { Some(self.word_in(Mode::Regex)?) } else { self.word()? };
            return match right.filter(|word| !word.text.is_empty()) {
                Some(right) => Ok(Condition::Binary(operator, left, right)),
                None => self.unexpected(None),
            };
        }
        let unary = matches!(left.text.as_slice(), [b'-', letter] if letter.is_ascii_alphabetic());
        if unary
            && !self.at_word(b"]]")
            && let Some(right) = self.word()?
        {
            return Ok(Condition::Unary(left.text, right));
        }
        Ok(Condition::Unary(b"-n".to_vec(), left))
    }
}
