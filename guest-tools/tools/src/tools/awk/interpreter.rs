//! Running a program.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::File;
use std::rc::Rc;

use super::fields::{Ending, Pending, Separator, split};
use super::functions::{format, substitute, substring};
use super::streams::{self, Streams};
use super::syntax::*;
use super::value::{Array, Cell, Value};
use crate::calendar::{SECOND, now};
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::regex::{Flags, Regex};
use crate::tools::system::strftime;

/// Why control leaves statements early.
enum Stop {
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

type Run<T> = Result<T, Stop>;

fn fail<T>(message: impl Into<String>) -> Run<T> {
    Err(Stop::Failure(Failure::usage(message)))
}

/// Where records come from at the moment.
enum MainInput {
    NotYet,
    Standard,
    File(File),
    Ended,
}

pub(super) struct Interpreter<'p, 'c, 'a> {
    program: &'p Program,
    context: &'c mut Context<'a>,
    globals: BTreeMap<String, Cell>,
    frames: Vec<BTreeMap<String, Cell>>,
    record: Rc<[u8]>,
    fields: Vec<Value>,
    /// Whether the fields are those of the record, and the other way round.
    fields_valid: bool,
    record_valid: bool,
    streams: Streams,
    active_ranges: Vec<bool>,
    regexes: BTreeMap<Rc<[u8]>, Rc<Regex>>,
    main: MainInput,
    pending: Pending,
    next_operand: usize,
    any_file: bool,
    random: u64,
    seed: f64,
    exit_status: u8,
}

const MAX_CALLS: usize = 200;
/// A field number beyond this is a mistake, and would cost memory.
const MAX_FIELDS: f64 = 1e6;

impl<'p, 'c, 'a> Interpreter<'p, 'c, 'a> {
    pub(super) fn new(program: &'p Program, context: &'c mut Context<'a>, operands: &[Vec<u8>]) -> Self {
        let mut interpreter = Interpreter {
            active_ranges: vec![false; program.rules.len()],
            program,
            globals: BTreeMap::new(),
            frames: Vec::new(),
            record: Rc::from(&b""[..]),
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
            ("FS", &b" "[..]),
            ("OFS", b" "),
            ("ORS", b"\n"),
            ("RS", b"\n"),
            ("SUBSEP", b"\x1c"),
            ("CONVFMT", b"%.6g"),
            ("OFMT", b"%.6g"),
            ("FILENAME", b""),
        ] {
            interpreter.set_global(name, value);
        }
        for name in ["NR", "FNR", "NF", "RSTART"] {
            interpreter.globals.insert(name.into(), Cell::Scalar(Value::Number(0.0)));
        }
        interpreter.globals.insert("RLENGTH".into(), Cell::Scalar(Value::Number(-1.0)));
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
        interpreter.globals.insert("ENVIRON".into(), Cell::Array(environ));
        interpreter.globals.insert("ARGV".into(), Cell::Array(argv));
        interpreter.globals.insert("ARGC".into(), Cell::Scalar(Value::Number(operands.len() as f64 + 1.0)));
        interpreter
    }

    pub(super) fn set_global(&mut self, name: &str, value: &[u8]) {
        self.globals.insert(name.into(), Cell::Scalar(Value::text(value)));
    }

    /// `name=value`, with escapes; returns whether it is one.
    pub(super) fn assign_operand(&mut self, text: &[u8]) -> bool {
        let Some(at) = text.iter().position(|&byte| byte == b'=') else { return false };
        let name = &text[..at];
        let valid = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        if valid {
            let value = crate::escapes::decode(&text[at + 1..], crate::escapes::Style::DollarQuote).bytes;
            // A special variable cannot refuse a text.
            let _ = self.set_variable(&show(name), Value::input(&value));
        }
        valid
    }

    pub(super) fn run(mut self) -> Outcome {
        let program = self.program;
        let mut result = program.begin.iter().try_for_each(|block| self.statements(block));
        if result.is_ok() && !(program.rules.is_empty() && program.end.is_empty()) {
            result = self.records();
        }
        if !matches!(result, Err(Stop::Failure(_)))
            && !(matches!(result, Err(Stop::Exit)) && program.end.is_empty())
        {
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
            self.set_record(record.into());
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
                    text.extend_from_slice(&self.special("ORS"));
                    self.context.stdout.write_all(&text)?;
                }
            }
        }
        Ok(())
    }

    fn special(&self, name: &str) -> Rc<[u8]> {
        match self.globals.get(name) {
            Some(Cell::Scalar(value)) => value.bytes(b"%.6g"),
            _ => Rc::from(&b""[..]),
        }
    }

    fn ending(&mut self) -> Run<Ending> {
        let text = self.special("RS");
        Ok(match &*text {
            [] => Ending::Paragraph,
            [byte] => Ending::Byte(*byte),
            _ => Ending::Regex(self.regex_of(&text)?),
        })
    }

    fn next_record(&mut self) -> Run<Option<Vec<u8>>> {
        loop {
            if matches!(self.main, MainInput::NotYet) && !self.open_next()? {
                self.main = MainInput::Ended;
            }
            let ending = self.ending()?;
            let record = match &mut self.main {
                MainInput::Standard => self.pending.record(self.context.stdin, &ending)?,
                MainInput::File(file) => self.pending.record(file, &ending)?,
                MainInput::NotYet | MainInput::Ended => return Ok(None),
            };
            if let Some(record) = record {
                for name in ["NR", "FNR"] {
                    let count = self.scalar(name)?.number() + 1.0;
                    self.globals.insert(name.into(), Cell::Scalar(Value::Number(count)));
                }
                return Ok(Some(record));
            }
            self.main = MainInput::NotYet;
        }
    }

    /// Opens the next operand that is a file; without any, standard input, once.
    fn open_next(&mut self) -> Run<bool> {
        self.pending = Pending::default();
        loop {
            let count = self.scalar("ARGC")?.number() as usize;
            if self.next_operand >= count {
                if self.any_file {
                    return Ok(false);
                }
                self.any_file = true;
                self.main = MainInput::Standard;
                return Ok(true);
            }
            let argv = self.array("ARGV")?;
            let operand = argv.borrow().get(self.next_operand.to_string().as_bytes()).map(|value| value.bytes(b"%.6g"));
            self.next_operand += 1;
            let Some(operand) = operand.filter(|operand| !operand.is_empty()) else { continue };
            if self.assign_operand(&operand) {
                continue;
            }
            self.any_file = true;
            self.set_global("FILENAME", &operand);
            self.globals.insert("FNR".into(), Cell::Scalar(Value::Number(0.0)));
            if &*operand == b"-" {
                self.main = MainInput::Standard;
                return Ok(true);
            }
            match File::open(self.context.path(&operand)) {
                Ok(file) => {
                    self.main = MainInput::File(file);
                    return Ok(true);
                }
                Err(error) => {
                    self.context.complain(format!("can't open file {}: {}", show(&operand), reason(&error)));
                    self.exit_status = 2;
                }
            }
        }
    }

    fn set_record(&mut self, record: Rc<[u8]>) {
        self.record = record;
        self.record_valid = true;
        self.fields_valid = false;
    }

    fn separator(&mut self, text: &[u8]) -> Run<Separator> {
        Ok(match text {
            b" " => Separator::Blanks,
            [] => Separator::Nothing,
            [byte] if *byte != b'\\' => Separator::Byte(*byte),
            b"\\" => Separator::Byte(b'\\'),
            _ => Separator::Regex(self.regex_of(&text.into())?),
        })
    }

    fn split_record(&mut self) -> Run<()> {
        if self.fields_valid {
            return Ok(());
        }
        let text = self.special("FS");
        let mut separator = self.separator(&text)?;
        if self.special("RS").is_empty()
            && let Separator::Byte(byte) = separator
        {
            // In paragraphs a newline separates fields, whatever else does.
            let pattern = [b"[\n\\", &[byte][..], b"]"].concat();
            separator = Separator::Regex(self.regex_of(&pattern.into())?);
        }
        self.fields = split(&self.record, &separator).into_iter().map(Value::Input).collect();
        self.fields_valid = true;
        self.globals.insert("NF".into(), Cell::Scalar(Value::Number(self.fields.len() as f64)));
        Ok(())
    }

    fn record_text(&mut self) -> Run<Rc<[u8]>> {
        if !self.record_valid {
            let separator = self.special("OFS");
            let convert = self.special("CONVFMT");
            let texts: Vec<Rc<[u8]>> = self.fields.iter().map(|field| field.bytes(&convert)).collect();
            self.record = texts.join(&separator[..]).into();
            self.record_valid = true;
        }
        Ok(self.record.clone())
    }

    fn field(&mut self, index: f64) -> Run<Value> {
        if index < 0.0 || index.is_nan() {
            return fail(format!("trying to access field {index}"));
        }
        if index == 0.0 {
            return Ok(Value::Input(self.record_text()?));
        }
        self.split_record()?;
        Ok(self.fields.get(index as usize - 1).cloned().unwrap_or_default())
    }

    fn set_field(&mut self, index: f64, value: Value) -> Run<()> {
        if !(0.0..=MAX_FIELDS).contains(&index) {
            return fail(format!("trying to access field {index}"));
        }
        if index < 1.0 {
            let convert = self.special("CONVFMT");
            self.set_record(value.bytes(&convert));
            return Ok(());
        }
        self.split_record()?;
        let index = index as usize;
        if self.fields.len() < index {
            self.set_field_count(index);
        }
        self.fields[index - 1] = value;
        self.record_valid = false;
        Ok(())
    }

    fn set_field_count(&mut self, count: usize) {
        self.fields.resize(count, Value::Unset);
        self.record_valid = false;
        self.globals.insert("NF".into(), Cell::Scalar(Value::Number(count as f64)));
    }

    fn cell(&mut self, name: &str) -> &mut Cell {
        if self.frames.last().is_some_and(|frame| frame.contains_key(name))
            && let Some(frame) = self.frames.last_mut()
        {
            return frame.entry(name.to_string()).or_default();
        }
        if !self.globals.contains_key(name) {
            self.globals.insert(name.to_string(), Cell::default());
        }
        self.globals.entry(name.to_string()).or_default()
    }

    fn scalar(&mut self, name: &str) -> Run<Value> {
        if name == "NF" {
            self.split_record()?;
        }
        let local = self.frames.last().and_then(|frame| frame.get(name));
        match local.or_else(|| self.globals.get(name)) {
            Some(Cell::Scalar(value)) => Ok(value.clone()),
            Some(Cell::Array(_)) => fail(format!("{name} is an array")),
            None => Ok(Value::Unset),
        }
    }

    fn array(&mut self, name: &str) -> Run<Array> {
        match self.cell(name) {
            Cell::Array(array) => Ok(array.clone()),
            cell @ Cell::Scalar(Value::Unset) => {
                let array = Array::default();
                *cell = Cell::Array(array.clone());
                Ok(array)
            }
            Cell::Scalar(_) => fail(format!("{name} is not an array")),
        }
    }

    fn set_variable(&mut self, name: &str, value: Value) -> Run<()> {
        if name == "NF" {
            self.split_record()?;
            let count = value.number();
            if !(0.0..=MAX_FIELDS).contains(&count) {
                return fail(format!("NF cannot be {count}"));
            }
            self.set_field_count(count as usize);
            return Ok(());
        }
        if matches!(name, "FS" | "RS") {
            // What has been read was read under the old one.
            self.split_record()?;
        }
        match self.cell(name) {
            Cell::Array(_) => fail(format!("{name} is an array")),
            cell => {
                *cell = Cell::Scalar(value);
                Ok(())
            }
        }
    }

    fn key(&mut self, keys: &[Expr]) -> Run<Vec<u8>> {
        let mut out = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(&self.special("SUBSEP"));
            }
            out.extend_from_slice(&self.text(key)?);
        }
        Ok(out)
    }

    fn text(&mut self, expr: &Expr) -> Run<Rc<[u8]>> {
        let value = self.eval(expr)?;
        let convert = self.special("CONVFMT");
        Ok(value.bytes(&convert))
    }

    fn number(&mut self, expr: &Expr) -> Run<f64> {
        Ok(self.eval(expr)?.number())
    }

    fn regex_of(&mut self, text: &Rc<[u8]>) -> Run<Rc<Regex>> {
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

    fn pattern(&mut self, expr: &Expr) -> Run<Rc<Regex>> {
        match expr {
            Expr::Regex(regex) => Ok(regex.clone()),
            other => {
                let text = self.text(other)?;
                self.regex_of(&text)
            }
        }
    }

    fn is_match(&self, regex: &Regex, text: &[u8]) -> Run<bool> {
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
                let (separator, convert) = (self.special("OFS"), self.special("OFMT"));
                for (index, arg) in args.iter().enumerate() {
                    if index > 0 {
                        line.extend_from_slice(&separator);
                    }
                    line.extend_from_slice(&self.eval(arg)?.bytes(&convert));
                }
                if args.is_empty() {
                    line.extend_from_slice(&self.record_text()?);
                }
                line.extend_from_slice(&self.special("ORS"));
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
                let array = self.array(array)?;
                for key in ordered_keys(&array) {
                    if array.borrow().contains_key(&key) {
                        self.set_variable(variable, Value::input(&key))?;
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
                let array = self.array(array)?;
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

    fn assign(&mut self, target: &Expr, value: Value) -> Run<()> {
        match target {
            Expr::Variable(name) => self.set_variable(name, value),
            Expr::Field(index) => {
                let index = self.number(index)?;
                self.set_field(index, value)
            }
            Expr::Index(name, keys) => {
                let key = self.key(keys)?;
                self.array(name)?.borrow_mut().insert(key, value);
                Ok(())
            }
            _ => fail("only a variable, field or element can be assigned to"),
        }
    }

    fn eval(&mut self, expr: &Expr) -> Run<Value> {
        Ok(match expr {
            Expr::Number(number) => Value::Number(*number),
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Regex(regex) => {
                let record = self.record_text()?;
                Value::boolean(self.is_match(regex, &record)?)
            }
            Expr::Variable(name) => self.scalar(name)?,
            Expr::Field(index) => {
                let index = self.number(index)?;
                self.field(index)?
            }
            Expr::Index(name, keys) => {
                let key = self.key(keys)?;
                self.array(name)?.borrow_mut().entry(key).or_default().clone()
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
            Expr::And(left, right) => {
                Value::boolean(self.eval(left)?.is_true() && self.eval(right)?.is_true())
            }
            Expr::Or(left, right) => Value::boolean(self.eval(left)?.is_true() || self.eval(right)?.is_true()),
            Expr::In(keys, array) => {
                let key = self.key(keys)?;
                Value::boolean(self.array(array)?.borrow().contains_key(&key))
            }
            Expr::Match { negated, text, pattern } => {
                let text = self.text(text)?;
                let regex = self.pattern(pattern)?;
                Value::boolean(self.is_match(&regex, &text)? != *negated)
            }
            Expr::Compare(kind, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                let ordering = left.compare(&right, &self.special("CONVFMT"));
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
            Some(target) => self.assign(target, Value::input(&record))?,
            None => self.set_record(record.into()),
        }
        if matches!(source, Source::Command(_)) {
            let count = self.scalar("NR")?.number() + 1.0;
            self.globals.insert("NR".into(), Cell::Scalar(Value::Number(count)));
        }
        Ok(Value::Number(1.0))
    }

    fn call(&mut self, name: &str, args: &[Expr]) -> Run<Value> {
        let program = self.program;
        let Some(function) = program.functions.iter().find(|function| function.name == name) else {
            return fail(format!("calling undefined function {name}"));
        };
        if args.len() > function.parameters.len() {
            return fail(format!("function {name} called with {} args, accepts only {}", args.len(), function.parameters.len()));
        }
        if self.frames.len() >= MAX_CALLS {
            return fail(format!("more than {MAX_CALLS} function calls within each other"));
        }
        let mut frame = BTreeMap::new();
        for (index, parameter) in function.parameters.iter().enumerate() {
            let cell = match args.get(index) {
                None if function.arrays[index] => Cell::Array(Array::default()),
                None => Cell::default(),
                Some(Expr::Variable(name)) if function.arrays[index] => Cell::Array(self.array(name)?),
                Some(arg) => Cell::Scalar(self.eval(arg)?),
            };
            frame.insert(parameter.clone(), cell);
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

    fn builtin(&mut self, name: &str, args: &[Expr]) -> Run<Value> {
        let arg_text = |interpreter: &mut Self, index: usize| match args.get(index) {
            Some(arg) => interpreter.text(arg),
            None => Ok(Rc::from(&b""[..])),
        };
        let arg_number = |interpreter: &mut Self, index: usize| match args.get(index) {
            Some(arg) => interpreter.number(arg),
            None => Ok(0.0),
        };
        Ok(match name {
            "length" => match args.first() {
                Some(Expr::Variable(array)) if matches!(self.cell(array), Cell::Array(_)) => {
                    Value::Number(self.array(array)?.borrow().len() as f64)
                }
                Some(arg) => Value::Number(characters(&self.text(arg)?)),
                None => Value::Number(characters(&self.record_text()?)),
            },
            "substr" => {
                let text = arg_text(self, 0)?;
                let start = arg_number(self, 1)?;
                let length = match args.get(2) {
                    Some(length) => Some(self.number(length)?),
                    None => None,
                };
                Value::Text(substring(&text, start, length).into())
            }
            "index" => {
                let (text, part) = (arg_text(self, 0)?, arg_text(self, 1)?);
                let at = if part.is_empty() { Some(0) } else { text.windows(part.len()).position(|window| window == &*part) };
                Value::Number(at.map_or(0.0, |at| characters(&text[..at]) + 1.0))
            }
            "split" => {
                let text = arg_text(self, 0)?;
                let separator = match args.get(2) {
                    Some(Expr::Regex(regex)) => Separator::Regex(regex.clone()),
                    Some(other) => {
                        let text = self.text(other)?;
                        self.separator(&text)?
                    }
                    None => {
                        let text = self.special("FS");
                        self.separator(&text)?
                    }
                };
                let Some(Expr::Variable(array)) = args.get(1) else { return fail("split needs an array") };
                let array = self.array(array)?;
                let mut array = array.borrow_mut();
                array.clear();
                let pieces = split(&text, &separator);
                for (index, piece) in pieces.iter().enumerate() {
                    array.insert((index + 1).to_string().into_bytes(), Value::Input(piece.clone()));
                }
                Value::Number(pieces.len() as f64)
            }
            "sub" | "gsub" => {
                let Some(pattern) = args.first() else { return fail(format!("{name} needs a pattern")) };
                let regex = self.pattern(pattern)?;
                let replacement = arg_text(self, 1)?;
                let record = Expr::Field(Box::new(Expr::Number(0.0)));
                let target = args.get(2).unwrap_or(&record);
                let text = self.text(target)?;
                let which = usize::from(name == "sub");
                let Some((out, count)) = substitute(&regex, &replacement, &text, which, false) else {
                    return fail("a regular expression is too complex");
                };
                if count > 0 {
                    self.assign(target, Value::Text(out.into()))?;
                }
                Value::Number(count as f64)
            }
            "gensub" => {
                let Some(pattern) = args.first() else { return fail("gensub needs a pattern") };
                let regex = self.pattern(pattern)?;
                let (replacement, how) = (arg_text(self, 1)?, arg_text(self, 2)?);
                let text = if args.len() > 3 { arg_text(self, 3)? } else { self.record_text()? };
                let which = if matches!(how.first(), Some(b'g' | b'G')) { 0 } else { show(&how).parse().unwrap_or(1) };
                match substitute(&regex, &replacement, &text, which, true) {
                    Some((out, _)) => Value::Text(out.into()),
                    None => return fail("a regular expression is too complex"),
                }
            }
            "match" => {
                let text = arg_text(self, 0)?;
                let Some(pattern) = args.get(1) else { return fail("match needs a pattern") };
                let regex = self.pattern(pattern)?;
                let Ok(found) = regex.find_at(&text, 0) else { return fail("a regular expression is too complex") };
                let (start, length) = match found.map(|captures| captures.whole()) {
                    Some((start, end)) => (characters(&text[..start]) + 1.0, characters(&text[start..end])),
                    None => (0.0, -1.0),
                };
                self.set_variable("RSTART", Value::Number(start))?;
                self.set_variable("RLENGTH", Value::Number(length))?;
                Value::Number(start)
            }
            "sprintf" => {
                let template = arg_text(self, 0)?;
                let values = args[1..].iter().map(|arg| self.eval(arg)).collect::<Run<Vec<_>>>()?;
                Value::Text(format(&template, &values).into())
            }
            "tolower" => Value::Text(arg_text(self, 0)?.to_ascii_lowercase().into()),
            "toupper" => Value::Text(arg_text(self, 0)?.to_ascii_uppercase().into()),
            "int" => Value::Number(arg_number(self, 0)?.trunc()),
            "sqrt" => Value::Number(arg_number(self, 0)?.sqrt()),
            "exp" => Value::Number(arg_number(self, 0)?.exp()),
            "log" => Value::Number(arg_number(self, 0)?.ln()),
            "sin" => Value::Number(arg_number(self, 0)?.sin()),
            "cos" => Value::Number(arg_number(self, 0)?.cos()),
            "atan2" => Value::Number(arg_number(self, 0)?.atan2(arg_number(self, 1)?)),
            "rand" => {
                // splitmix64: the same sequence everywhere.
                self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut bits = self.random;
                bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                Value::Number(((bits ^ bits >> 31) >> 11) as f64 / (1u64 << 53) as f64)
            }
            "srand" => {
                let seed = if args.is_empty() { now().div_euclid(SECOND) as f64 } else { arg_number(self, 0)? };
                self.random = seed.to_bits();
                Value::Number(std::mem::replace(&mut self.seed, seed))
            }
            "systime" => Value::Number(now().div_euclid(SECOND) as f64),
            "strftime" => {
                let template = if args.is_empty() { "%a %b %e %H:%M:%S %Z %Y".into() } else { show(&arg_text(self, 0)?).into_owned() };
                let seconds = if args.len() > 1 { arg_number(self, 1)? as i128 } else { now().div_euclid(SECOND) };
                Value::Text(strftime(&template, seconds * SECOND).into_bytes().into())
            }
            "system" => {
                let command = arg_text(self, 0)?;
                self.streams.flush()?;
                match streams::run(self.context, &command) {
                    Ok(status) => Value::Number(f64::from(status)),
                    Err(error) => return fail(format!("system: {}", reason(&error))),
                }
            }
            "close" => {
                let name = arg_text(self, 0)?;
                self.context.stdout.flush()?;
                Value::Number(self.streams.close(&name)?.map_or(-1.0, f64::from))
            }
            _ => {
                // fflush
                self.context.stdout.flush()?;
                self.streams.flush()?;
                Value::Number(0.0)
            }
        })
    }
}

fn characters(text: &[u8]) -> f64 {
    // Continuation bytes of UTF-8 begin no character.
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as f64
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
