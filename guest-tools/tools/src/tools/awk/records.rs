//! The interpreter's variables, and the record with its fields.

use std::fs::File;
use std::rc::Rc;

use super::fields::{Ending, Pending, Separator, split};
use super::interpreter::{Interpreter, MAX_FIELDS, MainInput, Run, fail};
use super::syntax::*;
use super::value::{Array, Cell, Value};
use crate::context::{reason, show};

impl Interpreter<'_, '_, '_> {
    pub(super) fn special(&self, name: Name) -> Rc<[u8]> {
        match &self.globals[name] {
            Cell::Scalar(value) => value.bytes(b"%.6g"),
            Cell::Array(_) => Rc::from(&b""[..]),
        }
    }

    /// Counts a record.
    pub(super) fn count(&mut self, name: Name) {
        let before = if let Cell::Scalar(value) = &self.globals[name] { value.number() } else { 0.0 };
        self.set_global(name, Value::Number(before + 1.0));
    }

    pub(super) fn ending(&mut self) -> Run<Ending> {
        let text = self.special(RS);
        Ok(match &*text {
            [] => Ending::Paragraph,
            [byte] => Ending::Byte(*byte),
            _ => Ending::Regex(self.regex_of(&text)?),
        })
    }

    pub(super) fn next_record(&mut self) -> Run<Option<Rc<[u8]>>> {
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
                self.count(NR);
                self.count(FNR);
                return Ok(Some(record));
            }
            self.main = MainInput::NotYet;
        }
    }

    /// Opens the next operand that is a file; without any, standard input, once.
    pub(super) fn open_next(&mut self) -> Run<bool> {
        self.pending = Pending::default();
        loop {
            let count = self.scalar(ARGC)?.number() as usize;
            if self.next_operand >= count {
                if self.any_file {
                    return Ok(false);
                }
                self.any_file = true;
                self.main = MainInput::Standard;
                return Ok(true);
            }
            let argv = self.array(ARGV)?;
            let operand = argv.borrow().get(self.next_operand.to_string().as_bytes()).map(|value| value.bytes(b"%.6g"));
            self.next_operand += 1;
            let Some(operand) = operand.filter(|operand| !operand.is_empty()) else { continue };
            if self.assign_operand(&operand) {
                continue;
            }
            self.any_file = true;
            self.set_global(FILENAME, Value::text(&operand));
            self.set_global(FNR, Value::Number(0.0));
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
        let text = self.special(FS);
        let mut separator = self.separator(&text)?;
        if self.special(RS).is_empty()
            && let Separator::Byte(byte) = separator
        {
            // In paragraphs a newline separates fields, whatever else does.
            let pattern = [b"[\n\\", &[byte][..], b"]"].concat();
            separator = Separator::Regex(self.regex_of(&pattern.into())?);
        }
        self.fields.clear();
        self.pieces.clear();
        split(&self.record, &separator, |piece| self.pieces.push(piece));
        self.fields_valid = true;
        self.set_global(NF, Value::Number(self.pieces.len() as f64));
        Ok(())
    }

    /// Makes values of the fields that are still pieces of the record.
    fn own_fields(&mut self) {
        if !self.pieces.is_empty() {
            self.fields = self.pieces.drain(..).map(|piece| Value::input(&self.record[piece])).collect();
        }
    }

    pub(super) fn record_text(&mut self) -> Run<Rc<[u8]>> {
        if !self.record_valid {
            let separator = self.special(OFS);
            let convert = self.special(CONVFMT);
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
        let index = index as usize - 1;
        Ok(match self.pieces.get(index) {
            Some(piece) => Value::input(&self.record[piece.clone()]),
            None => self.fields.get(index).cloned().unwrap_or_default(),
        })
    }

    pub(super) fn set_field(&mut self, index: f64, value: Value) -> Run<()> {
        if !(0.0..=MAX_FIELDS).contains(&index) {
            return fail(format!("trying to access field {index}"));
        }
        if index < 1.0 {
            let convert = self.special(CONVFMT);
            self.set_record(value.bytes(&convert));
            return Ok(());
        }
        self.split_record()?;
        self.own_fields();
        let index = index as usize;
        if self.fields.len() < index {
            self.set_field_count(index);
        }
        self.fields[index - 1] = value;
        self.record_valid = false;
        Ok(())
    }

    pub(super) fn set_field_count(&mut self, count: usize) {
        self.own_fields();
        self.fields.resize(count, Value::Unset);
        self.record_valid = false;
        self.set_global(NF, Value::Number(count as f64));
    }

    pub(super) fn cell(&mut self, name: Name) -> &mut Cell {
        let local = self.frames.last_mut().and_then(|frame| frame.iter_mut().find(|(known, _)| *known == name));
        match local {
            Some((_, cell)) => cell,
            None => &mut self.globals[name],
        }
    }

    pub(super) fn scalar(&mut self, name: Name) -> Run<Value> {
        if name == NF {
            self.split_record()?;
        }
        match self.cell(name) {
            Cell::Scalar(value) => Ok(value.clone()),
            Cell::Array(_) => fail(format!("{} is an array", self.program.names[name])),
        }
    }

    pub(super) fn array(&mut self, name: Name) -> Run<Array> {
        match self.cell(name) {
            Cell::Array(array) => Ok(array.clone()),
            cell @ Cell::Scalar(Value::Unset) => {
                let array = Array::default();
                *cell = Cell::Array(array.clone());
                Ok(array)
            }
            Cell::Scalar(_) => fail(format!("{} is not an array", self.program.names[name])),
        }
    }

    pub(super) fn set_variable(&mut self, name: Name, value: Value) -> Run<()> {
        if name == NF {
            self.split_record()?;
            let count = value.number();
            if !(0.0..=MAX_FIELDS).contains(&count) {
                return fail(format!("NF cannot be {count}"));
            }
            self.set_field_count(count as usize);
            return Ok(());
        }
        if matches!(name, FS | RS) {
            // What has been read was read under the old one.
            self.split_record()?;
        }
        match self.cell(name) {
            Cell::Array(_) => fail(format!("{} is an array", self.program.names[name])),
            cell => {
                *cell = Cell::Scalar(value);
                Ok(())
            }
        }
    }
}
