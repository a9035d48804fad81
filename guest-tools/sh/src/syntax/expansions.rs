//! What a dollar sign begins.

use std::rc::Rc;

use super::ast::*;
use super::words::Mode;
use super::{Parsed, Parser, is_name_byte, is_name_start};

impl Parser<'_> {
    pub(super) fn dollar(&mut self, mode: Mode, parts: &mut Vec<Part>) -> Parsed<()> {
        self.join_continued();
        match self.peek_at(1) {
            Some(b'(') => {
                self.position += 2;
                if self.peek() == Some(b'(')
                    && let Some(inner) = self.attempt(|parser| {
                        parser.position += 1;
                        let inner = parser.parts(Mode::Arithmetic)?;
                        parser.position += 2;
                        Ok(Some(inner))
                    })?
                {
                    parts.push(Part::Arithmetic(inner));
                    return Ok(());
                }
                // `$((` may also open a subshell within a command substitution.
                let list = self.parenthesized()?;
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
            // A text to be translated is itself: there are no translations.
            Some(b'"') if !mode.quoted() => self.position += 1,
            Some(byte) if is_name_start(byte) || byte.is_ascii_digit() || b"@*#?-$!".contains(&byte) => {
                self.position += 1;
                let name = self.parameter_name(false);
                parts.push(Part::Parameter(Box::new(Parameter::plain(name, Operation::Value))));
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

    /// `name` and `[subscript]`, where there is one.
    fn subscripted_name(&mut self) -> Parsed<(Vec<u8>, Option<Subscript>)> {
        let name = self.parameter_name(true);
        if self.peek() != Some(b'[') || !name.first().is_some_and(|&byte| is_name_start(byte)) {
            return Ok((name, None));
        }
        self.position += 1;
        let every = self.peek().filter(|byte| b"@*".contains(byte) && self.peek_at(1) == Some(b']'));
        let subscript = match every {
            Some(sign) => {
                self.position += 1;
                Subscript::Every { joined: sign == b'*' }
            }
            None => Subscript::One(self.word_in(Mode::Subscript)?),
        };
        self.position += 1;
        Ok((name, Some(subscript)))
    }

    /// The whole text as a parameter's name, with a subscript or without.
    pub(crate) fn reference(text: &[u8]) -> Option<(Vec<u8>, Option<Subscript>)> {
        let mut parser = Parser::new(text, 0);
        let reference = parser.subscripted_name().ok()?;
        (parser.position == text.len() && !reference.0.is_empty()).then_some(reference)
    }

    fn braced(&mut self, mode: Mode) -> Parsed<Parameter> {
        let start = self.position;
        if self.peek() == Some(b'#') && self.peek_at(1) != Some(b'}') {
            self.position += 1;
            let (name, subscript) = self.subscripted_name()?;
            if !name.is_empty() && self.peek() == Some(b'}') {
                self.position += 1;
                return Ok(Parameter { subscript, ..Parameter::plain(name, Operation::Length) });
            }
            self.position = start;
        }
        let mut indirect = self.peek() == Some(b'!')
            && self.peek_at(1).is_some_and(|byte| {
                is_name_start(byte)
                    || byte.is_ascii_digit()
                    || (b"#@*".contains(&byte) && self.peek_at(2) == Some(b'}'))
            });
        self.position += usize::from(indirect);
        let (name, subscript) = self.subscripted_name()?;
        let mut operation = if name.is_empty() { self.bad_substitution()? } else { self.operation(mode)? };
        if indirect && matches!(subscript, Some(Subscript::Every { .. })) && matches!(operation, Operation::Value) {
            operation = Operation::Keys;
        }
        if matches!(operation, Operation::Keys | Operation::Names { .. }) {
            // `${!name*}` is not indirect, and without the sign it is nothing at all.
            operation = if indirect { operation } else { Operation::Bad };
            indirect = false;
        }
        self.position += 1;
        Ok(Parameter { name, indirect, subscript, operation })
    }

    /// What follows the name, up to the brace.
    fn operation(&mut self, mode: Mode) -> Parsed<Operation> {
        let colon = self.peek() == Some(b':');
        let quoted = mode.quoted();
        let sign = self.peek_at(usize::from(colon));
        if let (true, Some(sign)) = (colon, sign)
            && !b"-=?+".contains(&sign)
        {
            self.position += 1;
            let offset = self.word_in(Mode::Offset)?;
            let mut length = None;
            if self.peek() == Some(b':') {
                self.position += 1;
                length = Some(self.word_in(Mode::Offset)?);
            }
            return if self.peek() == Some(b'}') && !offset.text.is_empty() {
                Ok(Operation::Slice { offset, length })
            } else {
                self.bad_substitution()
            };
        }
        match sign {
            None => self.error("Missing '}'"),
            Some(b'}') => Ok(Operation::Value),
            Some(sign @ (b'-' | b'=' | b'?' | b'+')) => {
                self.position += 1 + usize::from(colon);
                let word = self.word_in(Mode::Brace { quoted })?;
                Ok(match sign {
                    b'-' => Operation::Default { colon, word },
                    b'=' => Operation::Assign { colon, word },
                    b'?' => Operation::Error { colon, word },
                    _ => Operation::Alternative { colon, word },
                })
            }
            Some(sign @ (b'#' | b'%')) => {
                let longest = self.peek_at(1) == Some(sign);
                self.position += 1 + usize::from(longest);
                // Quotes count in a pattern even within double quotes.
                let pattern = self.word_in(Mode::Brace { quoted: false })?;
                Ok(match sign {
                    b'#' => Operation::RemovePrefix { longest, pattern },
                    _ => Operation::RemoveSuffix { longest, pattern },
                })
            }
            Some(b'/') => {
                self.position += 1;
                let which = match self.peek() {
                    Some(b'/') => Which::Every,
                    Some(b'#') => Which::Prefix,
                    Some(b'%') => Which::Suffix,
                    _ => Which::First,
                };
                self.position += usize::from(which != Which::First);
                let start = self.position;
                let mut parts = Vec::new();
                if self.peek() == Some(b'/') {
                    // A pattern is not empty, so this does not end it.
                    self.literal(&mut parts);
                }
                parts.extend(self.parts(Mode::Replaced)?);
                let pattern = Word { parts, text: self.source[start..self.position].to_vec() };
                let mut replacement = Word::default();
                if self.peek() == Some(b'/') {
                    self.position += 1;
                    replacement = self.word_in(Mode::Brace { quoted: false })?;
                }
                Ok(Operation::Replace { which, pattern, replacement })
            }
            Some(sign @ (b'^' | b',')) => {
                let every = self.peek_at(1) == Some(sign);
                self.position += 1 + usize::from(every);
                let pattern = self.word_in(Mode::Brace { quoted: false })?;
                let pattern = Some(pattern).filter(|pattern| !pattern.text.is_empty());
                Ok(Operation::Case { upper: sign == b'^', every, pattern })
            }
            Some(sign @ (b'@' | b'*')) if self.peek_at(1) == Some(b'}') => {
                self.position += 1;
                Ok(Operation::Names { joined: sign == b'*' })
            }
            Some(b'@') if self.peek_at(2) == Some(b'}') => {
                let letter = self.peek_at(1).unwrap_or_default();
                self.position += 2;
                Ok(Operation::Transform(letter))
            }
            Some(_) => self.bad_substitution(),
        }
    }

    fn bad_substitution(&mut self) -> Parsed<Operation> {
        self.word_in(Mode::Brace { quoted: false })?;
        Ok(Operation::Bad)
    }
}

impl Parameter {
    fn plain(name: Vec<u8>, operation: Operation) -> Parameter {
        Parameter { name, indirect: false, subscript: None, operation }
    }
}
