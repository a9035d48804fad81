//! The interpreter's variables, and the record with its fields.

use std::fs::File;
use std::rc::Rc;

use super::fields::{Ending, Pending, Separator, split};
use super::interpreter::{Interpreter, MAX_FIELDS, MainInput, Run, fail};
use super::value::{Array, Cell, Value};
use crate::context::{reason, show};

impl Interpreter<'_, '_, '_> {
    pub(super) fn special(&self, name: &str) -> Rc<[u8]> {
        match self.globals.get(name) {
            Some(Cell::Scalar(value)) => value.bytes(b"%.6g"),
            _ => Rc::from(&b""[..]),
        }
    }

    pub(super) fn ending(&mut self) -> Run<Ending> {
        let text = self.special("RS");
        Ok(match &*text {
            [] => Ending::Paragraph,
            [byte] => Ending::Byte(*byte),
            _ => Ending::Regex(self.regex_of(&text)?),
        })
    }

    pub(super) fn next_record(&mut self) -> Run<Option<Vec<u8>>> {
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
    pub(super) fn open_next(&mut self) -> Run<bool> {
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
                    self.context.complain(format!("cannot open {} ({})", show(&operand), reason(&error)));
                    self.exit_status = 2;
                }
            }
        }
    }

    pub(super) fn set_record(&mut self, record: Rc<[u8]>) {
        self.record = record;
        self.record_valid = true;
        self.fields_valid = false;
    }

    pub(super) fn separator(&mut self, text: &[u8]) -> Run<Separator> {
        Ok(match text {
            b" " => Separator::Blanks,
            [] => Separator::Nothing,
            [byte] if *byte != b'\\' => Separator::Byte(*byte),
            b"\\" => Separator::Byte(b'\\'),
            _ => Separator::Regex(self.regex_of(&text.into())?),
        })
    }

    pub(super) fn split_record(&mut self) -> Run<()> {
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

    pub(super) fn record_text(&mut self) -> Run<Rc<[u8]>> {
        if !self.record_valid {
            let separator = self.special("OFS");
            let convert = self.special("CONVFMT");
            let texts: Vec<Rc<[u8]>> = self.fields.iter().map(|field| field.bytes(&convert)).collect();
            self.record = texts.join(&separator[..]).into();
            self.record_valid = true;
        }
        Ok(self.record.clone())
    }

    pub(super) fn field(&mut self, index: f64) -> Run<Value> {
        if index < 0.0 || index.is_nan() {
            return fail(format!("trying to access field {index}"));
        }
        if index == 0.0 {
            return Ok(Value::Input(self.record_text()?));
        }
        self.split_record()?;
        Ok(self.fields.get(index as usize - 1).cloned().unwrap_or_default())
    }

    pub(super) fn set_field(&mut self, index: f64, value: Value) -> Run<()> {
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

    pub(super) fn set_field_count(&mut self, count: usize) {
        self.fields.resize(count, Value::Unset);
        self.record_valid = false;
        self.globals.insert("NF".into(), Cell::Scalar(Value::Number(count as f64)));
    }

    pub(super) fn cell(&mut self, name: &str) -> &mut Cell {
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

    pub(super) fn scalar(&mut self, name: &str) -> Run<Value> {
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

    pub(super) fn array(&mut self, name: &str) -> Run<Array> {
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

    pub(super) fn set_variable(&mut self, name: &str, value: Value) -> Run<()> {
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
}
