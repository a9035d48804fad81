//! Runs a template over data.

use std::borrow::Cow;
use std::fmt::Display;

use crate::ast::{Branch, Command, Node, Operand, OperandKind, Pipeline};
use crate::error::{Error, Result};
use crate::functions::{self, Parameter};
use crate::literal::{Constant, Number};
use crate::parse::Templates;
use crate::printf::{self, Limits};
use crate::value::{Shape, Types, Val};

/// Templates in templates, and whatever is nested in them: each costs stack.
const MAX_DEPTH: usize = 200;
/// Work for one row of a list: each step is one, each byte that is made is one.
const WORK: usize = 1 << 26;

pub(crate) struct Execution<'a> {
    text: &'a str,
    templates: &'a Templates,
    types: &'a Types,
    /// Names of columns stand for their values.
    header: bool,
    out: String,
    /// The template that is executed.
    name: &'a str,
    variables: Vec<(&'a str, Val<'a>)>,
    depth: usize,
    work_left: usize,
}

#[derive(PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(text: &'a str, templates: &'a Templates, types: &'a Types, header: bool) -> Self {
        Self {
            text,
            templates,
            types,
            header,
            out: String::new(),
            name: "",
            variables: Vec::new(),
            depth: 0,
            work_left: WORK,
        }
    }

    /// What was written, also where an error ended it.
    pub(crate) fn run(mut self, data: Val<'a>) -> (String, Result<()>) {
        let templates = self.templates;
        let nodes = templates.get("").map_or(&[][..], Vec::as_slice);
        self.variables.push(("$", data.clone()));
        let result = self.walk(&data, nodes).map(drop);
        (self.out, result)
    }

    fn error(&self, at: usize, action: &dyn Display, reason: impl Into<String>) -> Error {
        let before = &self.text.as_bytes()[..at];
        Error::Execution {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: before.iter().rev().take_while(|&&byte| byte != b'\n').count(),
            template: self.name.to_owned(),
            action: action.to_string(),
            reason: reason.into(),
            fields: Vec::new(),
        }
    }

    /// Each step of a template costs something, so that none goes on for ever.
    fn work(&mut self, cost: usize, at: usize, action: &dyn Display) -> Result<()> {
        match self.work_left.checked_sub(cost) {
            Some(left) => {
                self.work_left = left;
                Ok(())
            }
            None => {
                self.work_left = 0;
                Err(self.error(at, action, "the template does too much"))
            }
        }
    }

    fn nested<T>(&mut self, at: usize, action: &dyn Display, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(at, action, format!("exceeded maximum template depth ({MAX_DEPTH})")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn limits(&self) -> Limits<'a> {
        Limits { types: self.types, bytes: self.work_left }
    }

    fn walk(&mut self, dot: &Val<'a>, nodes: &'a [Node]) -> Result<Flow> {
        for node in nodes {
            match node {
                Node::Text(text) => {
                    self.work(text.len(), 0, &"text")?;
                    self.out.push_str(text);
                }
                Node::Action(pipeline) => {
                    let value = self.pipeline(dot, pipeline)?;
                    if pipeline.variables.is_empty() {
                        self.write(&value, pipeline)?;
                    }
                }
                Node::If(branch) => {
                    if let flow @ (Flow::Break | Flow::Continue) = self.branch(dot, branch, false)? {
                        return Ok(flow);
                    }
                }
                Node::With(branch) => {
                    if let flow @ (Flow::Break | Flow::Continue) = self.branch(dot, branch, true)? {
                        return Ok(flow);
                    }
                }
                Node::Range(branch) => {
                    if let flow @ (Flow::Break | Flow::Continue) = self.range(dot, branch)? {
                        return Ok(flow);
                    }
                }
                Node::Template { at, name, argument } => self.template(dot, *at, name, argument.as_ref())?,
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::Next)
    }

    fn write(&mut self, value: &Val<'_>, pipeline: &Pipeline) -> Result<()> {
        let text = match value {
            Val::Missing | Val::Null(Shape::Struct) => "<no value>".to_owned(),
            _ => printf::print(std::slice::from_ref(value), self.limits())
                .map_err(|_| self.error(pipeline.at, pipeline, "the template does too much"))?,
        };
        self.work(text.len(), pipeline.at, pipeline)?;
        self.out.push_str(&text);
        Ok(())
    }

    fn branch(&mut self, dot: &Val<'a>, branch: &'a Branch, moves_dot: bool) -> Result<Flow> {
        let pipeline = &branch.pipeline;
        self.nested(pipeline.at, pipeline, |run| {
            let variables = run.variables.len();
            let value = run.pipeline(dot, pipeline)?;
            let flow = if value.truth() {
                run.walk(if moves_dot { &value } else { dot }, &branch.body)
            } else {
                run.walk(dot, branch.otherwise.as_deref().unwrap_or_default())
            };
            run.variables.truncate(variables);
            flow
        })
    }

    fn range(&mut self, dot: &Val<'a>, branch: &'a Branch) -> Result<Flow> {
        let pipeline = &branch.pipeline;
        self.nested(pipeline.at, pipeline, |run| {
            let variables = run.variables.len();
            // What the loop declares or assigns is set in each turn.
            let value = run.commands(dot, pipeline)?;
            let flow = run.turns(dot, branch, &value);
            run.variables.truncate(variables);
            flow
        })
    }

    fn turns(&mut self, dot: &Val<'a>, branch: &'a Branch, value: &Val<'a>) -> Result<Flow> {
        let pipeline = &branch.pipeline;
        let count = match value {
            Val::Whole(count) => usize::try_from(*count).unwrap_or(0),
            Val::Object(map, _) => map.len(),
            _ if value.is_list() => value.length().unwrap_or(0),
            _ if value.is_nil() => 0,
            _ => {
                let text = printf::print(std::slice::from_ref(value), self.limits()).unwrap_or_default();
                return Err(self.error(pipeline.at, pipeline, format!("range can't iterate over {text}")));
            }
        };
        if count == 0 {
            return self.walk(dot, branch.otherwise.as_deref().unwrap_or_default());
        }
        let mut entries = if let Val::Object(map, _) = value { Some(map.keys()) } else { None };
        for at in 0..count {
            self.work(1, pipeline.at, pipeline)?;
            let key = entries.as_mut().and_then(Iterator::next);
            let index = key.map_or(Val::Whole(at as i128), |key| Val::Text(Cow::Borrowed(key)));
            let item = match (value, key) {
                (Val::Whole(_), _) => Val::Whole(at as i128),
                (_, Some(key)) => value.field(key, self.types).unwrap_or(Val::Missing),
                (_, None) => value.item(at).unwrap_or(Val::Missing),
            };
            let variables = self.variables.len();
            match pipeline.variables.as_slice() {
                [only] => self.set(only, item.clone(), pipeline.assigns),
                [first, second] => {
                    self.set(first, index, pipeline.assigns);
                    self.set(second, item.clone(), pipeline.assigns);
                }
                _ => {}
            }
            let flow = self.walk(&item, &branch.body)?;
            self.variables.truncate(variables);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn set(&mut self, name: &'a str, value: Val<'a>, assigns: bool) {
        match self.variables.iter_mut().rev().find(|(known, _)| assigns && *known == name) {
            Some((_, variable)) => *variable = value,
            None => self.variables.push((name, value)),
        }
    }

    fn template(&mut self, dot: &Val<'a>, at: usize, name: &'a str, argument: Option<&'a Pipeline>) -> Result<()> {
        let action = format!("template {name:?}");
        let templates = self.templates;
        let Some(nodes) = templates.get(name) else {
            return Err(self.error(at, &action, format!("template {name:?} not defined")));
        };
        let value = argument.map_or(Ok(Val::Missing), |argument| self.pipeline(dot, argument))?;
        let variables = std::mem::replace(&mut self.variables, vec![("$", value.clone())]);
        let caller = std::mem::replace(&mut self.name, name);
        self.work(1, at, &action)?;
        self.nested(at, &action, |run| run.walk(&value, nodes))?;
        self.name = caller;
        self.variables = variables;
        Ok(())
    }

    /// The value of a pipeline; its variables are set.
    fn pipeline(&mut self, dot: &Val<'a>, pipeline: &'a Pipeline) -> Result<Val<'a>> {
        let value = self.commands(dot, pipeline)?;
        for name in &pipeline.variables {
            self.set(name, value.clone(), pipeline.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, dot: &Val<'a>, pipeline: &'a Pipeline) -> Result<Val<'a>> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(dot, command, value)?);
        }
        Ok(value.unwrap_or(Val::Missing))
    }

    /// `last` comes from the command before and is the last argument.
    fn command(&mut self, dot: &Val<'a>, command: &'a Command, last: Option<Val<'a>>) -> Result<Val<'a>> {
        let (first, arguments) = command.operands.split_first().expect("the parser makes none without a word");
        self.work(1 + last.as_ref().map_or(0, Val::weight), first.at, first)?;
        if let OperandKind::Function(name) = &first.kind {
            return self.call(dot, first.at, command, name, arguments, last);
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

    fn operand(&mut self, dot: &Val<'a>, operand: &'a Operand) -> Result<Val<'a>> {
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

    fn fields(&mut self, mut value: Val<'a>, names: &'a [String], operand: &Operand) -> Result<Val<'a>> {
        for name in names {
            value = match value.field(name, self.types) {
                Some(value) => value,
                None => self.missing_field(&value, name, operand)?,
            };
        }
        Ok(value)
    }

    fn missing_field(&self, value: &Val<'a>, name: &str, operand: &Operand) -> Result<Val<'a>> {
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

    fn call(
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
