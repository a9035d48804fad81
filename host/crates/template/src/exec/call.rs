//! Calls of functions: their arguments, and whether they fit.

use std::fmt::Display;

use super::Execution;
use crate::ast::{Operand, OperandKind};
use crate::error::Result;
use crate::functions::{self, Parameter};
use crate::literal::Number;
use crate::value::Val;

impl<'a> Execution<'a> {
    pub(super) fn call(
        &mut self,
        dot: &Val<'a>,
        at: usize,
        action: &dyn Display,
        name: &str,
        arguments: &'a [Operand],
        last: Option<Val<'a>>,
    ) -> Result<Val<'a>> {
        let given = arguments.len() + usize::from(last.is_some());
        if functions::is_lazy(name) {
            return self.call_lazy(dot, at, action, name, arguments, last);
        }
        let Some(function) = functions::find(name) else {
            return Err(self.error(at, action, format!("{name:?} is not a defined function")));
        };
        let wanted = function.parameters.len();
        if self.header && functions::keeps_header(name) {
            return match arguments.first() {
                Some(first) => self.operand(dot, first),
                None => Ok(last.unwrap_or(Val::Missing)),
            };
        }
        if given < wanted || (given > wanted && function.more.is_none()) {
            let least = if function.more.is_some() { "at least " } else { "" };
            let reason = format!("wrong number of args for {name}: want {least}{wanted} got {given}");
            return Err(self.error(at, action, reason));
        }
        let mut values = Vec::with_capacity(given);
        for argument in arguments {
            let parameter = function.parameters.get(values.len()).copied().or(function.more);
            values.push(self.argument(dot, argument, parameter.unwrap_or(Parameter::Any))?);
        }
        if let Some(last) = last {
            let parameter = function.parameters.get(values.len()).copied().or(function.more);
            values.push(self.checked(last, parameter.unwrap_or(Parameter::Any), at, action)?);
        }
        let value = (function.run)(&values, self.limits())
            .map_err(|message| self.error(at, action, format!("error calling {name}: {message}")))?;
        let made = if let Val::List(list) = &value { list.iter().map(|item| 16 + item.weight()).sum() } else { 0 };
        self.work(1 + value.weight() + made, at, action)?;
        Ok(value)
    }

    /// `and`: the first value that is empty, else the last; `or`: the first that is not.
    fn call_lazy(
        &mut self,
        dot: &Val<'a>,
        at: usize,
        action: &dyn Display,
        name: &str,
        arguments: &'a [Operand],
        last: Option<Val<'a>>,
    ) -> Result<Val<'a>> {
        if arguments.is_empty() && last.is_none() {
            return Err(self.error(at, action, format!("wrong number of args for {name}: want at least 1 got 0")));
        }
        let ends = |value: &Val<'_>| value.truth() == (name == "or");
        let mut value = Val::Missing;
        for argument in arguments {
            value = self.operand(dot, argument)?;
            if ends(&value) {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Val<'a>, operand: &'a Operand, parameter: Parameter) -> Result<Val<'a>> {
        let at = operand.at;
        match (&operand.kind, parameter) {
            (OperandKind::Nil, Parameter::Text | Parameter::Whole) => {
                Err(self.error(at, operand, format!("cannot assign nil to {}", go_name(parameter))))
            }
            (OperandKind::Number(Number { whole: Some(whole), .. }), Parameter::Whole) => Ok(Val::Whole(*whole)),
            (OperandKind::Number(_) | OperandKind::Bool(_), Parameter::Text)
            | (OperandKind::Number(_) | OperandKind::Bool(_) | OperandKind::Text { .. }, Parameter::Whole) => {
                let wanted = if parameter == Parameter::Text { "string" } else { "integer" };
                Err(self.error(at, operand, format!("expected {wanted}; found {operand}")))
            }
            _ => {
                let value = self.operand(dot, operand)?;
                self.checked(value, parameter, at, operand)
            }
        }
    }

    fn checked(&self, value: Val<'a>, parameter: Parameter, at: usize, action: &dyn Display) -> Result<Val<'a>> {
        match (parameter, &value) {
            (Parameter::Any, _) | (Parameter::Text, Val::Text(_)) | (Parameter::Whole, Val::Whole(_)) => Ok(value),
            _ if value.is_nil() => {
                Err(self.error(at, action, format!("invalid value; expected {}", go_name(parameter))))
            }
            _ => {
                let found = value.type_name(self.types);
                let reason = format!("wrong type for value; expected {}; got {found}", go_name(parameter));
                Err(self.error(at, action, reason))
            }
        }
    }
}

fn go_name(parameter: Parameter) -> &'static str {
    match parameter {
        Parameter::Any => "interface {}",
        Parameter::Text => "string",
        Parameter::Whole => "int",
    }
}
