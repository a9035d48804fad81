//! Running a program.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::rc::Rc;

use super::fields::Pending;
use super::functions::format;
use super::streams::Streams;
use super::syntax::*;
use super::value::{Array, Cell, Value};
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::regex::{Flags, Regex};

/// Why control leaves statements early.
pub(super) enum Stop {
    Break,
    Continue,
    Next,
    NextFile,
    Exit,
    Return(Value),
    Failure(Failure),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Failure(error.into())
    }
}

pub(super) type Run<T> = Result<T, Stop>;

pub(super) fn fail<T>(message: impl Into<String>) -> Run<T> {
    Err(Stop::Failure(Failure::usage(message)))
}

/// Where records come from at the moment.
pub(super) enum MainInput {
    NotYet,
    Standard,
    File(File),
    Ended,
}

pub(super) struct Interpreter<'p, 'c, 'a> {
    pub(super) program: &'p Program,
    pub(super) context: &'c mut Context<'a>,
    pub(super) globals: Vec<Cell>,
    /// The parameters of the functions that are running.
    pub(super) frames: Vec<Vec<(Name, Cell)>>,
    pub(super) record: Rc<[u8]>,
    /// Where the fields are in the record, or, once one of them has been changed, what they are.
    pub(super) pieces: Vec<Range<usize>>,
    pub(super) fields: Vec<Value>,
    /// Whether the fields are those of the record, and the other way round.
    pub(super) fields_valid: bool,
    pub(super) record_valid: bool,
    pub(super) streams: Streams,
    pub(super) active_ranges: Vec<bool>,
    pub(super) regexes: BTreeMap<Rc<[u8]>, Rc<Regex>>,
    pub(super) main: MainInput,
    pub(super) pending: Pending,
    pub(super) next_operand: usize,
    pub(super) any_file: bool,
    pub(super) random: u64,
    pub(super) seed: f64,
    pub(super) exit_status: u8,
}

const MAX_CALLS: usize = 200;
/// A field number beyond this is a mistake, and would cost memory.
pub(super) const MAX_FIELDS: f64 = 1e6;

impl<'p, 'c, 'a> Interpreter<'p, 'c, 'a> {
    pub(super) fn new(program: &'p Program, context: &'c mut Context<'a>, operands: &[Vec<u8>]) -> Self {
        let mut interpreter = Interpreter {
            active_ranges: vec![false; program.rules.len()],
            program,
            globals: vec![Cell::default(); program.names.len()],
            frames: Vec::new(),
            record: Rc::from(&b""[..]),
            pieces: Vec::new(),
            fields: Vec::new(),
            fields_valid: true,
            record_valid: true,
            streams: Streams::default(),
            regexes: BTreeMap::new(),
            main: MainInput::NotYet,
            pending: Pending::default(),
            next_operand: 1,
            any_file: false,
            random: 0,
            seed: 0.0,
            exit_status: 0,
            context,
        };
        for (name, value) in [
            (FS, &b" "[..]),
            (OFS, b" "),
            (ORS, b"\n"),
            (RS, b"\n"),
            (SUBSEP, b"\x1c"),
            (CONVFMT, b"%.6g"),
            (OFMT, b"%.6g"),
            (FILENAME, b""),
        ] {
            interpreter.set_global(name, Value::text(value));
        }
        for name in [NR, FNR, NF, RSTART] {
            interpreter.set_global(name, Value::Number(0.0));
        }
        interpreter.set_global(RLENGTH, Value::Number(-1.0));
        interpreter.set_global(ARGC, Value::Number(operands.len() as f64 + 1.0));
        let environ = Array::default();
        for entry in interpreter.context.env {
            if let Some(at) = entry.iter().position(|&byte| byte == b'=') {
                environ.borrow_mut().insert(entry[..at].to_vec(), Value::input(&entry[at + 1..]));
            }
        }
        let argv = Array::default();
        argv.borrow_mut().insert(b"0".to_vec(), Value::text(b"awk"));
        for (index, operand) in operands.iter().enumerate() {
            argv.borrow_mut().insert((index + 1).to_string().into_bytes(), Value::input(operand));
        }
        interpreter.globals[ARGV] = Cell::Array(argv);
        if let Some(name) = interpreter.name_of(b"ENVIRON") {
            interpreter.globals[name] = Cell::Array(environ);
        }
        interpreter
    }

    pub(super) fn set_global(&mut self, name: Name, value: Value) {
        self.globals[name] = Cell::Scalar(value);
    }

    fn name_of(&self, text: &[u8]) -> Option<Name> {
        self.program.names.iter().position(|name| name.as_bytes() == text)
    }

    /// `name=value`, with escapes; returns whether it is one.
    pub(super) fn assign_operand(&mut self, text: &[u8]) -> bool {
        let Some(at) = text.iter().position(|&byte| byte == b'=') else { return false };
        let name = &text[..at];
        let valid = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        // A variable that the program does not use need not be set.
        if let Some(variable) = self.name_of(name).filter(|_| valid) {
            let value = crate::escapes::decode(&text[at + 1..], crate::escapes::Style::DollarQuote).bytes;
            // A special variable cannot refuse a text.
            let _ = self.set_variable(variable, Value::input(&value));
        }
        valid
    }

    pub(super) fn run(mut self) -> Outcome {
        let program = self.program;
        let mut result = program.begin.iter().try_for_each(|block| self.statements(block));
        if result.is_ok() && !(program.rules.is_empty() && program.end.is_empty()) {
            result = self.records();
        }
        if !matches!(result, Err(Stop::Failure(_))) {
            let ended = program.end.iter().try_for_each(|block| self.statements(block));
            result = if ended.is_err() { ended } else { result };
        }
        self.context.stdout.flush()?;
        let closed = self.streams.close_all();
        match result {
            Err(Stop::Failure(failure)) => Err(failure),
            _ => closed.map(|()| self.exit_status).map_err(Failure::from),
        }
    }

    fn records(&mut self) -> Run<()> {
        while let Some(record) = self.next_record()? {
            self.set_record(record);
            match self.rules() {
                Ok(()) | Err(Stop::Next) => {}
                Err(Stop::NextFile) => self.main = MainInput::NotYet,
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    fn rules(&mut self) -> Run<()> {
        let program = self.program;
        for (index, rule) in program.rules.iter().enumerate() {
            let selected = match &rule.pattern {
                Pattern::Always => true,
                Pattern::When(expr) => self.eval(expr)?.is_true(),
                Pattern::Range(first, last) => {
                    let begins = self.active_ranges[index] || self.eval(first)?.is_true();
                    if begins {
                        self.active_ranges[index] = !self.eval(last)?.is_true();
                    }
                    begins
                }
            };
            if !selected {
                continue;
            }
            match &rule.action {
                Some(statements) => self.statements(statements)?,
                None => {
                    let mut text = self.record_text()?.to_vec();
                    text.extend_from_slice(&self.special(ORS));
                    self.context.stdout.write_all(&text)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn key(&mut self, keys: &[Expr]) -> Run<Vec<u8>> {
        let mut out = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(&self.special(SUBSEP));
            }
            out.extend_from_slice(&self.text(key)?);
        }
        Ok(out)
    }

    pub(super) fn text(&mut self, expr: &Expr) -> Run<Rc<[u8]>> {
        let value = self.eval(expr)?;
        match value {
            Value::Text(text) | Value::Input(text) => Ok(text),
            value => Ok(value.bytes(&self.special(CONVFMT))),
        }
    }

    pub(super) fn number(&mut self, expr: &Expr) -> Run<f64> {
        Ok(self.eval(expr)?.number())
    }

    pub(super) fn regex_of(&mut self, text: &Rc<[u8]>) -> Run<Rc<Regex>> {
        if let Some(regex) = self.regexes.get(text) {
            return Ok(regex.clone());
        }
        let regex = match Regex::new(text, Flags { extended: true, ..Flags::default() }) {
            Ok(regex) => Rc::new(regex),
            Err(message) => return fail(format!("{message}: /{}/", show(text))),
        };
        self.regexes.insert(text.clone(), regex.clone());
        Ok(regex)
    }

    pub(super) fn pattern(&mut self, expr: &Expr) -> Run<Rc<Regex>> {
        match expr {
            Expr::Regex(regex) => Ok(regex.clone()),
            other => {
                let text = self.text(other)?;
                self.regex_of(&text)
            }
        }
    }

    pub(super) fn is_match(&self, regex: &Regex, text: &[u8]) -> Run<bool> {
        regex.is_match(text).or_else(|_| fail("a regular expression is too complex"))
    }

    fn statements(&mut self, statements: &[Statement]) -> Run<()> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    /// Runs a loop's body; returns whether the loop ends.
    fn round(&mut self, body: &[Statement]) -> Run<bool> {
        match self.statements(body) {
            Ok(()) | Err(Stop::Continue) => Ok(false),
            Err(Stop::Break) => Ok(true),
            Err(stop) => Err(stop),
        }
    }

    fn statement(&mut self, statement: &Statement) -> Run<()> {
        match statement {
            Statement::Expr(expr) => {
                self.eval(expr)?;
            }
            Statement::Print(args, target) => {
                let mut line = Vec::new();
                let (separator, convert) = (self.special(OFS), self.special(OFMT));
                for (index, arg) in args.iter().enumerate() {
                    if index > 0 {
                        line.extend_from_slice(&separator);
                    }
                    line.extend_from_slice(&self.eval(arg)?.bytes(&convert));
                }
                if args.is_empty() {
                    line.extend_from_slice(&self.record_text()?);
                }
                line.extend_from_slice(&self.special(ORS));
                self.put(&line, target)?;
            }
            Statement::Printf(args, target) => {
                let Some((first, rest)) = args.split_first() else { return fail("printf needs a format") };
                let template = self.text(first)?;
                let values = rest.iter().map(|arg| self.eval(arg)).collect::<Run<Vec<_>>>()?;
                let text = format(&template, &values);
                self.put(&text, target)?;
            }
            Statement::If(condition, then, otherwise) => {
                let branch = if self.eval(condition)?.is_true() { then } else { otherwise };
                self.statements(branch)?;
            }
            Statement::While(condition, body) => while self.eval(condition)?.is_true() && !self.round(body)? {},
            Statement::DoWhile(body, condition) => while !self.round(body)? && self.eval(condition)?.is_true() {},
            Statement::For(first, condition, step, body) => {
                if let Some(first) = first {
                    self.statement(first)?;
                }
                loop {
                    let goes_on = match condition {
                        Some(condition) => self.eval(condition)?.is_true(),
                        None => true,
                    };
                    if !goes_on || self.round(body)? {
                        break;
                    }
                    if let Some(step) = step {
                        self.statement(step)?;
                    }
                }
            }
            Statement::ForIn(variable, array, body) => {
                let array = self.array(*array)?;
                for key in ordered_keys(&array) {
                    if array.borrow().contains_key(&key) {
                        self.set_variable(*variable, Value::input(&key))?;
                        if self.round(body)? {
                            break;
                        }
                    }
                }
            }
            Statement::Block(body) => self.statements(body)?,
            Statement::Break => return Err(Stop::Break),
            Statement::Continue => return Err(Stop::Continue),
            Statement::Next => return Err(Stop::Next),
            Statement::NextFile => return Err(Stop::NextFile),
            Statement::Exit(value) => {
                if let Some(value) = value {
                    self.exit_status = self.number(value)? as i64 as u8;
                }
                return Err(Stop::Exit);
            }
            Statement::Return(value) => {
                let value = match value {
                    Some(value) => self.eval(value)?,
                    None => Value::Unset,
                };
                return Err(Stop::Return(value));
            }
            Statement::Delete(array, keys) => {
                let array = self.array(*array)?;
                match keys {
                    Some(keys) => {
                        let key = self.key(keys)?;
                        array.borrow_mut().remove(&key);
                    }
                    None => array.borrow_mut().clear(),
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, text: &[u8], target: &Option<(Redirect, Expr)>) -> Run<()> {
        let Some((redirect, name)) = target else {
            self.context.stdout.write_all(text)?;
            return Ok(());
        };
        let name = self.text(name)?;
        match self.streams.write(self.context, *redirect, &name, text) {
            Ok(()) => Ok(()),
            Err(error) => fail(format!("can't redirect to {}: {}", show(&name), reason(&error))),
        }
    }

    pub(super) fn assign(&mut self, target: &Expr, value: Value) -> Run<()> {
        match target {
            Expr::Variable(name) => self.set_variable(*name, value),
            Expr::Field(index) => {
                let index = self.number(index)?;
                self.set_field(index, value)
            }
            Expr::Index(name, keys) => {
                let key = self.key(keys)?;
                self.array(*name)?.borrow_mut().insert(key, value);
                Ok(())
            }
            _ => fail("only a variable, field or element can be assigned to"),
        }
    }

    pub(super) fn eval(&mut self, expr: &Expr) -> Run<Value> {
        Ok(match expr {
            Expr::Number(number) => Value::Number(*number),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Regex(regex) => {
                let record = self.record_text()?;
                Value::boolean(self.is_match(regex, &record)?)
            }
            Expr::Variable(name) => self.scalar(*name)?,
            Expr::Field(index) => {
                let index = self.number(index)?;
                self.field(index)?
            }
            Expr::Index(name, keys) => {
                let key = self.key(keys)?;
                self.array(*name)?.borrow_mut().entry(key).or_default().clone()
            }
            Expr::Assign(None, target, value) => {
                let value = self.eval(value)?;
                self.assign(target, value.clone())?;
                value
            }
            Expr::Assign(Some(operator), target, value) => {
                let right = self.number(value)?;
                let left = self.number(target)?;
                let value = Value::Number(calculate(*operator, left, right)?);
                self.assign(target, value.clone())?;
                value
            }
            Expr::Condition(condition, yes, no) => {
                let branch = if self.eval(condition)?.is_true() { yes } else { no };
                self.eval(branch)?
            }
            Expr::And(left, right) => Value::boolean(self.eval(left)?.is_true() && self.eval(right)?.is_true()),
            Expr::Or(left, right) => Value::boolean(self.eval(left)?.is_true() || self.eval(right)?.is_true()),
            Expr::In(keys, array) => {
                let key = self.key(keys)?;
                Value::boolean(self.array(*array)?.borrow().contains_key(&key))
            }
            Expr::Match { negated, text, pattern } => {
                let text = self.text(text)?;
                let regex = self.pattern(pattern)?;
                Value::boolean(self.is_match(&regex, &text)? != *negated)
            }
            Expr::Compare(kind, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                let ordering = left.compare(&right, &self.special(CONVFMT));
                Value::boolean(match kind {
                    Comparison::Less => ordering == Some(Ordering::Less),
                    Comparison::LessEqual => ordering.is_some_and(Ordering::is_le),
                    Comparison::Equal => ordering == Some(Ordering::Equal),
                    Comparison::NotEqual => ordering != Some(Ordering::Equal),
                    Comparison::Greater => ordering == Some(Ordering::Greater),
                    Comparison::GreaterEqual => ordering.is_some_and(Ordering::is_ge),
                })
            }
            Expr::Binary(operator, left, right) => {
                let (left, right) = (self.number(left)?, self.number(right)?);
                Value::Number(calculate(*operator, left, right)?)
            }
            Expr::Concat(left, right) => {
                let left = self.text(left)?;
                let right = self.text(right)?;
                Value::Text([&left[..], &right[..]].concat().into())
            }
            Expr::Not(inner) => Value::boolean(!self.eval(inner)?.is_true()),
            Expr::Negate(inner) => Value::Number(-self.number(inner)?),
            Expr::Plus(inner) => Value::Number(self.number(inner)?),
            Expr::Step { after, by, target } => {
                let old = self.number(target)?;
                self.assign(target, Value::Number(old + by))?;
                Value::Number(if *after { old } else { old + by })
            }
            Expr::Call(name, args) => self.call(name, args)?,
            Expr::Builtin(name, args) => self.builtin(name, args)?,
            Expr::Group(list) => {
                let key = self.key(list)?;
                Value::Text(key.into())
            }
            Expr::Getline { source, target } => self.getline(source, target.as_deref())?,
        })
    }

    fn getline(&mut self, source: &Source, target: Option<&Expr>) -> Run<Value> {
        let ending = self.ending()?;
        let record = match source {
            Source::Main => self.next_record()?,
            Source::File(name) | Source::Command(name) => {
                let is_command = matches!(source, Source::Command(_));
                let name = self.text(name)?;
                match self.streams.read(self.context, &name, is_command, &ending) {
                    Ok(record) => record,
                    Err(_) => return Ok(Value::Number(-1.0)),
                }
            }
        };
        let Some(record) = record else { return Ok(Value::Number(0.0)) };
        match target {
            Some(target) => self.assign(target, Value::Input(record))?,
            None => self.set_record(record),
        }
        if matches!(source, Source::Command(_)) {
            self.count(NR);
        }
        Ok(Value::Number(1.0))
    }

    fn call(&mut self, name: &str, args: &[Expr]) -> Run<Value> {
        let program = self.program;
        let Some(function) = program.functions.iter().find(|function| function.name == name) else {
            return fail(format!("calling undefined function {name}"));
        };
        if args.len() > function.parameters.len() {
            return fail(format!(
                "function {name} called with {} args, accepts only {}",
                args.len(),
                function.parameters.len()
            ));
        }
        if self.frames.len() >= MAX_CALLS {
            return fail(format!("more than {MAX_CALLS} function calls within each other"));
        }
        let mut frame = Vec::with_capacity(function.parameters.len());
        for (index, parameter) in function.parameters.iter().enumerate() {
            let cell = match args.get(index) {
                None if function.arrays[index] => Cell::Array(Array::default()),
                None => Cell::default(),
                Some(Expr::Variable(name)) if function.arrays[index] => Cell::Array(self.array(*name)?),
                Some(arg) => Cell::Scalar(self.eval(arg)?),
            };
            frame.push((*parameter, cell));
        }
        self.frames.push(frame);
        let result = self.statements(&function.body);
        self.frames.pop();
        match result {
            Ok(()) => Ok(Value::Unset),
            Err(Stop::Return(value)) => Ok(value),
            Err(stop) => Err(stop),
        }
    }
}

fn calculate(operator: Binary, left: f64, right: f64) -> Run<f64> {
    Ok(match operator {
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => left * right,
        Binary::Divide | Binary::Modulo if right == 0.0 => return fail("division by zero"),
        Binary::Divide => left / right,
        Binary::Modulo => left % right,
        Binary::Power => left.powf(right),
    })
}

/// Numbers in order, then other texts: the same on every run.
fn ordered_keys(array: &Array) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = array.borrow().keys().cloned().collect();
    let number = |key: &Vec<u8>| crate::options::number::<i64>(key);
    keys.sort_by(|left, right| match (number(left), number(right)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    });
    keys
}
