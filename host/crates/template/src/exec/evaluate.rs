//! The values of pipelines, commands and operands.

use std::borrow::Cow;

use super::Execution;
use crate::ast::{Command, Operand, OperandKind, Pipeline};
use crate::error::{Error, Result};
use crate::literal::Constant;
use crate::value::{Shape, Val};

impl<'a> Execution<'a> {
    /// The value of a pipeline; its variables are set.
    pub(super) fn pipeline(&mut self, dot: &Val<'a>, pipeline: &'a Pipeline) -> Result<Val<'a>> {
        let value = self.commands(dot, pipeline)?;
        for name in &pipeline.variables {
            self.set(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    pub(super) fn commands(&mut self, dot: &Val<'a>, pipeline: &'a Pipeline) -> Result<Val<'a>> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(dot, command, value)?);
        }
        Ok(value.unwrap_or(Val::Missing))
    }

    /// `last` comes from the command before and is the last argument.
    pub(super) fn command(&mut self, dot: &Val<'a>, command: &'a Command, last: Option<Val<'a>>) -> Result<Val<'a>> {
        let (first, arguments) = command.operands.split_first().expect("the parser makes none without a word");
        self.work(1 + last.as_ref().map_or(0, Val::weight), first.at, first)?;
        if let OperandKind::Function(name) = &first.kind {
            return self.call(dot, first.at, command, name, arguments, last);
        }
        if let OperandKind::Field(names) = &first.kind
            && let Some(name) = names.last()
            && (self.types.methods.contains(&name.as_str()) || (self.header && !arguments.is_empty()))
        {
            return self.method(dot, first, name, arguments, last);
        }
        if !arguments.is_empty() || last.is_some() {
            let reason = match &first.kind {
                OperandKind::Field(names) | OperandKind::Chain(_, names) | OperandKind::Variable(_, names)
                    if !names.is_empty() =>
                {
                    let name = names.last().map_or("", String::as_str);
                    // The name itself may be wrong, which is the better thing to say.
                    self.operand(dot, first)?;
                    format!("{name} is not a method but has arguments")
                }
                _ => format!("can't give argument to non-function {first}"),
            };
            return Err(self.error(first.at, first, reason));
        }
        if matches!(first.kind, OperandKind::Nil) {
            return Err(self.error(first.at, first, "nil is not a command"));
        }
        self.operand(dot, first)
    }

    /// What the map that stands for a method has under its one argument.
    fn method(
        &mut self,
        dot: &Val<'a>,
        first: &'a Operand,
        name: &str,
        arguments: &'a [Operand],
        last: Option<Val<'a>>,
    ) -> Result<Val<'a>> {
        let wrong =
            |run: &Self, got| run.error(first.at, first, format!("wrong number of args for {name}: want 1 got {got}"));
        let argument = match (arguments, last) {
            ([argument], None) => self.operand(dot, argument)?,
            ([], Some(last)) => last,
            (arguments, last) => return Err(wrong(self, arguments.len() + usize::from(last.is_some()))),
        };
        let Val::Text(key) = &argument else {
            let reason = format!("wrong type for value; expected string; got {}", argument.type_name(self.types));
            return Err(self.error(first.at, first, reason));
        };
        if self.header {
            // As Docker has it, the column is called after the last part of the key.
            let last = key.rsplit('.').next().unwrap_or_default();
            return Ok(Val::text(last.replace(['-', '_'], " ")));
        }
        Ok(self.operand(dot, first)?.field(key, self.types).unwrap_or(Val::text("")))
    }

    pub(super) fn operand(&mut self, dot: &Val<'a>, operand: &'a Operand) -> Result<Val<'a>> {
        let at = operand.at;
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Val::Null(Shape::Struct)),
            OperandKind::Bool(value) => Ok(Val::Bool(*value)),
            OperandKind::Number(number) => match number.constant() {
                Constant::Whole(value) => Ok(Val::Whole(value.into())),
                Constant::Float(value) => Ok(Val::Float(value)),
                Constant::TooBig => Err(self.error(at, operand, format!("{} overflows int", number.text))),
            },
            OperandKind::Text { value, .. } => Ok(Val::Text(Cow::Borrowed(value))),
            OperandKind::Field(names) => self.fields(dot.clone(), names, operand),
            OperandKind::Variable(name, names) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = found.map_or(Val::Missing, |(_, value)| value.clone());
                self.work(value.weight(), at, operand)?;
                self.fields(value, names, operand)
            }
            OperandKind::Function(name) => self.call(dot, at, operand, name, &[], None),
            OperandKind::Chain(inner, names) => {
                let value = self.operand(dot, inner)?;
                self.fields(value, names, operand)
            }
            OperandKind::Pipeline(pipeline) => self.nested(at, operand, |run| run.pipeline(dot, pipeline)),
        }
    }

    pub(super) fn fields(&mut self, mut value: Val<'a>, names: &'a [String], operand: &Operand) -> Result<Val<'a>> {
        for name in names {
            value = match value.field(name, self.types) {
                Some(value) => value,
                None => self.missing_field(&value, name, operand)?,
            };
        }
        Ok(value)
    }

    pub(super) fn missing_field(&self, value: &Val<'a>, name: &str, operand: &Operand) -> Result<Val<'a>> {
        let reason = match value {
            Val::Missing | Val::Object(_, Shape::Map) | Val::Null(Shape::Map) => return Ok(Val::Missing),
            Val::Null(_) => format!("nil pointer evaluating interface {{}}.{name}"),
            _ => format!("can't evaluate field {name} in type {}", value.type_name(self.types)),
        };
        let mut error = self.error(operand.at, operand, reason);
        if let (Error::Execution { fields, .. }, Val::Object(map, _)) = (&mut error, value) {
            fields.extend(map.keys().cloned());
        }
        Err(error)
    }
}
