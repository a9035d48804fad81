//! Pipelines: declarations, commands, operands.

use super::Parser;
use crate::ast::{Command, Operand, OperandKind, Pipeline};
use crate::error::Result;
use crate::functions;
use crate::lex::Kind;
use crate::literal::{self, Number};

impl Parser<'_> {
    /// Up to and with `end`: the end of the action, or a parenthesis.
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipeline> {
        let at = self.peek_word()?.at;
        let (variables, assigns) = self.declarations(context)?;
        let mut commands = Vec::new();
        loop {
            let token = self.next_word()?;
            match token.kind {
                kind if kind == end && !commands.is_empty() => break,
                Kind::Close | Kind::RightParen if commands.is_empty() => {
                    return Err(self.error(format!("missing value for {context}")));
                }
                Kind::Bool
                | Kind::Character
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::Raw
                | Kind::Quoted
                | Kind::Variable
                | Kind::LeftParen => {
                    self.waiting.push(token);
                    let command = self.command()?;
                    if !commands.is_empty() && !can_be_called(&command) {
                        let stage = commands.len() + 1;
                        return Err(self.error(format!("non executable command in pipeline stage {stage}")));
                    }
                    commands.push(command);
                }
                _ => return Err(self.unexpected(token, context)),
            }
        }
        Ok(Pipeline { at, variables, assigns, commands })
    }

    /// `$x :=`, `$x =`, and before a range `$i, $x :=`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<String>, bool)> {
        let mut names = Vec::new();
        while self.peek_word()?.kind == Kind::Variable {
            let variable = self.next_word()?;
            let after = self.peek()?;
            let operator = self.peek_word()?;
            let comma = operator.kind == Kind::Other && operator.text == ",";
            if !comma && !matches!(operator.kind, Kind::Declare | Kind::Assign) {
                if after.kind == Kind::Space {
                    self.waiting.push(after);
                }
                self.waiting.push(variable);
                break;
            }
            self.next_word()?;
            names.push(variable.text.to_owned());
            if operator.kind == Kind::Assign {
                if let Some(unknown) = names.iter().find(|name| !self.variables.contains(name)) {
                    return Err(self.error(format!("undefined variable {unknown:?}")));
                }
                return Ok((names, true));
            }
            if operator.kind == Kind::Declare {
                self.variables.extend(names.iter().cloned());
                return Ok((names, false));
            }
            if context != "range" || names.len() > 1 {
                return Err(self.error(format!("too many declarations in {context}")));
            }
            if self.peek_word()?.kind != Kind::Variable {
                return Err(self.error("range can only initialize variables"));
            }
        }
        if names.is_empty() { Ok((names, false)) } else { Err(self.error("range can only initialize variables")) }
    }

    /// Operands up to a pipe or the end, which stays unless it is a pipe.
    fn command(&mut self) -> Result<Command> {
        let mut operands = Vec::new();
        loop {
            self.peek_word()?;
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.next()?;
            match token.kind {
                Kind::Space => continue,
                Kind::Close | Kind::RightParen => self.waiting.push(token),
                Kind::Pipe => {
                    let next = self.peek_word()?;
                    if matches!(next.kind, Kind::Close | Kind::RightParen) {
                        return Err(self.error("missing value for command"));
                    }
                }
                _ => return Err(self.unexpected(token, "operand")),
            }
            break;
        }
        if operands.is_empty() { Err(self.error("empty command")) } else { Ok(Command { operands }) }
    }

    /// A term, and the fields behind it.
    fn operand(&mut self) -> Result<Option<Operand>> {
        let token = self.next_word()?;
        let at = token.at;
        let kind = match token.kind {
            Kind::Identifier => {
                if !functions::exists(token.text) {
                    return Err(self.error(format!("function {:?} not defined", token.text)));
                }
                OperandKind::Function(token.text.to_owned())
            }
            Kind::Dot => OperandKind::Dot,
            Kind::Nil => OperandKind::Nil,
            Kind::Bool => OperandKind::Bool(token.text == "true"),
            Kind::Number => OperandKind::Number(Number::parse(token.text).map_err(|message| self.error(message))?),
            Kind::Character => {
                OperandKind::Number(Number::character(token.text).map_err(|message| self.error(message))?)
            }
            Kind::Quoted | Kind::Raw => {
                let value = literal::unquote(token.text).map_err(|message| self.error(message))?;
                OperandKind::Text { value, source: token.text.to_owned() }
            }
            Kind::Field => OperandKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Variable => {
                if !self.variables.iter().any(|name| name == token.text) {
                    return Err(self.error(format!("undefined variable {:?}", token.text)));
                }
                OperandKind::Variable(token.text.to_owned(), Vec::new())
            }
            Kind::LeftParen => {
                let pipeline = self.nested(|parser| parser.pipeline("parenthesized pipeline", Kind::RightParen))?;
                OperandKind::Pipeline(Box::new(pipeline))
            }
            _ => {
                self.waiting.push(token);
                return Ok(None);
            }
        };
        self.with_fields(Operand { at, kind }).map(Some)
    }

    fn with_fields(&mut self, operand: Operand) -> Result<Operand> {
        let first = self.peek()?;
        if first.kind != Kind::Field {
            return Ok(operand);
        }
        let mut names = Vec::new();
        while self.peek()?.kind == Kind::Field {
            names.push(self.next()?.text[1..].to_owned());
        }
        // Go's position of a chain is that of its second name.
        let at = first.at;
        let kind = match operand.kind {
            OperandKind::Field(mut all) => {
                all.append(&mut names);
                OperandKind::Field(all)
            }
            OperandKind::Variable(name, _) => OperandKind::Variable(name, names),
            OperandKind::Dot
            | OperandKind::Nil
            | OperandKind::Bool(_)
            | OperandKind::Number(_)
            | OperandKind::Text { .. } => {
                return Err(self.error(format!("unexpected . after term {:?}", operand.to_string())));
            }
            kind => OperandKind::Chain(Box::new(Operand { at: operand.at, kind }), names),
        };
        Ok(Operand { at, kind })
    }
}

/// Only the first command of a pipeline may be a plain value.
fn can_be_called(command: &Command) -> bool {
    !matches!(
        command.operands.first().map(|operand| &operand.kind),
        Some(
            OperandKind::Dot
                | OperandKind::Nil
                | OperandKind::Bool(_)
                | OperandKind::Number(_)
                | OperandKind::Text { .. }
        )
    )
}
