//! Format strings: flags, widths, precisions, argument indexes.

use super::{Printer, TooMuch};
use crate::value::Val;

/// As in Go: a larger width or precision is none.
const MAX_NUMBER: i128 = 1_000_000;

#[derive(Debug, Clone, Default)]
pub(super) struct Flags {
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    /// `%+v`
    pub(super) plus_v: bool,
    /// `%#v`
    pub(super) sharp_v: bool,
}

struct Reader<'a, 'v> {
    format: &'a str,
    at: usize,
    values: &'a [Val<'v>],
    next: usize,
    reordered: bool,
    good_index: bool,
    after_index: bool,
}

pub(super) fn run(printer: &mut Printer<'_>, format: &str, values: &[Val<'_>]) -> Result<(), TooMuch> {
    let mut reader = Reader { format, at: 0, values, next: 0, reordered: false, good_index: true, after_index: false };
    while reader.at < format.len() {
        let rest = &format[reader.at..];
        let length = rest.find('%').unwrap_or(rest.len());
        printer.push(&rest[..length])?;
        reader.at += length;
        if reader.at == format.len() {
            break;
        }
        reader.at += 1;
        reader.verb(printer)?;
    }
    if !reader.reordered && reader.next < values.len() {
        printer.push("%!(EXTRA ")?;
        for (at, value) in values[reader.next..].iter().enumerate() {
            if at > 0 {
                printer.push(", ")?;
            }
            printer.typed(value)?;
        }
        printer.push(")")?;
    }
    Ok(())
}

impl Reader<'_, '_> {
    fn peek(&self) -> Option<char> {
        self.format[self.at..].chars().next()
    }

    fn verb(&mut self, printer: &mut Printer<'_>) -> Result<(), TooMuch> {
        self.good_index = true;
        self.after_index = false;
        let mut flags = self.flags();
        self.index();
        self.width(&mut flags, printer)?;
        self.precision(&mut flags, printer)?;
        if !self.after_index {
            self.index();
        }
        let Some(verb) = self.peek() else { return printer.push("%!(NOVERB)") };
        self.at += verb.len_utf8();
        if verb == '%' {
            return printer.push("%");
        }
        if !self.good_index {
            return printer.push(&format!("%!{verb}(BADINDEX)"));
        }
        let Some(value) = self.values.get(self.next) else {
            return printer.push(&format!("%!{verb}(MISSING)"));
        };
        self.next += 1;
        if verb == 'v' {
            flags.sharp_v = std::mem::take(&mut flags.sharp);
            flags.plus_v = std::mem::take(&mut flags.plus);
        }
        printer.verb(value, verb, &flags)
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::default();
        while let Some(flag) = self.peek() {
            match flag {
                '#' => flags.sharp = true,
                '0' => flags.zero = true,
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                ' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        flags
    }

    fn width(&mut self, flags: &mut Flags, printer: &mut Printer<'_>) -> Result<(), TooMuch> {
        if self.peek() == Some('*') {
            self.at += 1;
            match self.number_value() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = usize::try_from(width.abs()).ok();
                }
                None => printer.push("%!(BADWIDTH)")?,
            }
            self.after_index = false;
        } else {
            flags.width = self.number();
            // `%[3]2d` is an error.
            if self.after_index && flags.width.is_some() {
                self.good_index = false;
            }
        }
        Ok(())
    }

    fn precision(&mut self, flags: &mut Flags, printer: &mut Printer<'_>) -> Result<(), TooMuch> {
        if self.peek() != Some('.') {
            return Ok(());
        }
        self.at += 1;
        // `%[3].2d` is one, too.
        if self.after_index {
            self.good_index = false;
        }
        self.index();
        if self.peek() == Some('*') {
            self.at += 1;
            match self.number_value().and_then(|value| usize::try_from(value).ok()) {
                Some(precision) => flags.precision = Some(precision),
                None => printer.push("%!(BADPREC)")?,
            }
            self.after_index = false;
        } else {
            flags.precision = Some(self.number().unwrap_or(0));
        }
        Ok(())
    }

    /// Digits. Too large a number swallows the rest of the format.
    fn number(&mut self) -> Option<usize> {
        let rest = &self.format[self.at..];
        let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if length == 0 {
            return None;
        }
        match rest[..length].parse::<i128>() {
            Ok(number) if number <= MAX_NUMBER => {
                self.at += length;
                usize::try_from(number).ok()
            }
            _ => {
                self.at = self.format.len();
                None
            }
        }
    }

    /// The value that a `*` stands for.
    fn number_value(&mut self) -> Option<i128> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        match value {
            Val::Whole(number) if number.abs() <= MAX_NUMBER => Some(*number),
            _ => None,
        }
    }

    /// `[n]`: which value comes next.
    fn index(&mut self) {
        if self.peek() != Some('[') {
            return;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let Some(end) = rest.find(']') else {
            self.good_index = false;
            self.at += 1;
            return;
        };
        let index = rest[1..end].parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        self.at += end + 1;
        match index.filter(|&index| index < self.values.len() && rest[1..end].bytes().all(|b| b.is_ascii_digit())) {
            Some(index) => {
                self.next = index;
                self.after_index = true;
            }
            None => self.good_index = false,
        }
    }
}
