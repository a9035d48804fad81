//! `[[ … ]]`.

use kiln_tools::context::show;
use kiln_tools::expression;
use kiln_tools::regex::{Flags, Regex};

use crate::options::{Flag, named};
use crate::state::{Shell, Stop};
use crate::syntax::Parser;
use crate::syntax::ast::{Condition, Subscript, Word};

impl Shell {
    pub(crate) fn condition(&mut self, condition: &Condition) -> Result<bool, Stop> {
        match condition {
            Condition::Not(inner) => Ok(!self.condition(inner)?),
            Condition::All(conditions) => {
                for condition in conditions {
                    if !self.condition(condition)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Any(conditions) => {
                for condition in conditions {
                    if self.condition(condition)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Condition::Unary(operator, word) => {
                let operand = self.expand_text(word)?;
                match operator.as_slice() {
                    b"-n" => Ok(!operand.is_empty()),
                    b"-z" => Ok(operand.is_empty()),
                    b"-v" => self.is_set(&operand),
                    b"-o" => Ok(named(&operand).is_some_and(|flag| self.options.get(flag))),
                    _ => self.file_test(vec![operator.clone(), operand]),
                }
            }
            Condition::Binary(operator, left, right) => self.comparison(operator, left, right),
        }
    }

    fn comparison(&mut self, operator: &[u8], left: &Word, right: &Word) -> Result<bool, Stop> {
        match operator {
            b"=" | b"==" | b"!=" => {
                let value = self.expand_text(left)?;
                let mut pattern = self.expand_field(right)?.pattern(true);
                if self.options.get(Flag::NoCaseMatch) {
                    pattern = pattern.ignoring_case();
                }
                Ok(pattern.matches(&value) == (operator != b"!="))
            }
            b"=~" => self.regex_match(left, right),
            b"<" => Ok(self.expand_text(left)? < self.expand_text(right)?),
            b">" => Ok(self.expand_text(left)? > self.expand_text(right)?),
            b"-nt" | b"-ot" | b"-ef" => {
                let (left, right) = (self.expand_text(left)?, self.expand_text(right)?);
                self.file_test(vec![left, operator.to_vec(), right])
            }
            _ => {
                let (left, right) = (self.expand_text(left)?, self.expand_text(right)?);
                let order = self.arithmetic(&left)?.cmp(&self.arithmetic(&right)?);
                Ok(match operator {
                    b"-eq" => order.is_eq(),
                    b"-ne" => order.is_ne(),
                    b"-lt" => order.is_lt(),
                    b"-le" => order.is_le(),
                    b"-gt" => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
        }
    }

    fn file_test(&mut self, mut args: Vec<Vec<u8>>) -> Result<bool, Stop> {
        args.insert(0, b"[".to_vec());
        Ok(self.run_tool(expression::test_without_bracket, &args)? == 0)
    }

    /// `-v`: a variable's name, or an array's with a subscript.
    pub(crate) fn is_set(&mut self, reference: &[u8]) -> Result<bool, Stop> {
        let Some((name, subscript)) = Parser::reference(reference) else { return Ok(false) };
        match subscript {
            None => Ok(self.parameter(&name).is_some()),
            Some(Subscript::Every { .. }) => {
                Ok(self.variables.get(&name).is_some_and(|variable| !variable.elements().is_empty()))
            }
            Some(Subscript::One(word)) => {
                let key = self.key(&name, &word)?;
                Ok(self.variables.get(&name).is_some_and(|variable| variable.element(&key).is_some()))
            }
        }
    }

    /// `=~`: what matched goes to `BASH_REMATCH`. Quoted signs stand for themselves.
    fn regex_match(&mut self, left: &Word, right: &Word) -> Result<bool, Stop> {
        let text = self.expand_text(left)?;
        let field = self.expand_field(right)?;
        let mut expression = Vec::with_capacity(field.bytes.len());
        for (&byte, &quoted) in field.bytes.iter().zip(&field.quoted) {
            if quoted && b"\\^$.[]|()*+?{}".contains(&byte) {
                expression.push(b'\\');
            }
            expression.push(byte);
        }
        let ignore_case = self.options.get(Flag::NoCaseMatch);
        let flags = Flags { extended: true, ignore_case, ..Flags::default() };
        let regex = match Regex::new(&expression, flags) {
            Ok(regex) => regex,
            Err(why) => return Err(self.fail(&format!("[[: {}: {why}", show(&expression)))),
        };
        let Ok(found) = regex.find_at(&text, 0) else {
            return Err(self.fail(&format!("[[: {}: too complex", show(&expression))));
        };
        let matched = found.is_some();
        let groups = found.map(|found| {
            let group = |index| found.get(index).map(|(start, end)| text[start..end].to_vec()).unwrap_or_default();
            (0..=regex.groups()).map(group).collect::<Vec<_>>()
        });
        self.assign_array(b"BASH_REMATCH", groups.unwrap_or_default())?;
        Ok(matched)
    }
}
