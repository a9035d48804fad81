//! Runs a template over data: nodes here, values in `evaluate.rs`, functions in `call.rs`.

mod call;
mod evaluate;

use std::borrow::Cow;
use std::fmt::Display;

use crate::ast::{Branch, Node, Pipeline};
use crate::error::{Error, Result};
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
}
