//! One value by one verb.

use super::format::Flags;
use super::{Printer, TooMuch, float, quote};
use crate::value::{Shape, Val};

/// Lists in lists in lists: JSON has been read with a bound of its own, but values made here have not.
const MAX_DEPTH: usize = 200;

impl Printer<'_> {
    pub(super) fn verb(&mut self, value: &Val<'_>, verb: char, flags: &Flags) -> Result<(), TooMuch> {
        self.nested(value, verb, flags, 0)
    }

    fn nested(&mut self, value: &Val<'_>, verb: char, flags: &Flags, depth: usize) -> Result<(), TooMuch> {
        if depth > MAX_DEPTH {
            return Err(TooMuch);
        }
        if verb == 'T' {
            let name = if value.is_nil() { "<nil>" } else { value.type_name(self.limits.types) };
            return self.padded(name, flags);
        }
        match value {
            Val::Missing | Val::Null(Shape::Struct) if verb == 'v' => {
                self.padded(if flags.sharp_v && depth > 0 { "interface {}(nil)" } else { "<nil>" }, flags)
            }
            Val::Missing | Val::Null(Shape::Struct) => self.push(&format!("%!{verb}(<nil>)")),
            Val::Null(Shape::Map) => self.push("map[]"),
            Val::Null(Shape::List) => self.push("[]"),
            Val::Bool(boolean) if matches!(verb, 't' | 'v') => {
                self.padded(if *boolean { "true" } else { "false" }, &Flags { zero: false, ..flags.clone() })
            }
            Val::Whole(number) => self.whole(*number, verb, flags, value),
            Val::Float(number) if float::is_verb(verb) => {
                let (text, keeps_zeros) = float::format(*number, verb, flags);
                self.number(&text, flags, keeps_zeros)
            }
            Val::Text(text) => self.text(text, verb, flags, value),
            Val::Object(map, shape) => {
                let (open, close, separator) = braces(flags, "map[string]interface {}{", "map[");
                self.push(open)?;
                for (at, (key, json)) in map.iter().enumerate() {
                    if at > 0 {
                        self.push(separator)?;
                    }
                    self.nested(&Val::text(key.as_str()), verb, flags, depth + 1)?;
                    self.push(":")?;
                    self.nested(&Val::of(json, *shape), verb, flags, depth + 1)?;
                }
                self.push(close)
            }
            Val::Array(..) | Val::List(_) => {
                let (open, close, separator) = braces(flags, "[]interface {}{", "[");
                self.push(open)?;
                for at in 0..value.length().unwrap_or(0) {
                    if at > 0 {
                        self.push(separator)?;
                    }
                    if let Some(item) = value.item(at) {
                        self.nested(&item, verb, flags, depth + 1)?;
                    }
                }
                self.push(close)
            }
            Val::Bool(_) | Val::Float(_) => self.bad_verb(value, verb),
        }
    }

    /// `type=value`, as in errors.
    pub(super) fn typed(&mut self, value: &Val<'_>) -> Result<(), TooMuch> {
        if matches!(value, Val::Missing | Val::Null(Shape::Struct)) {
            return self.push("<nil>");
        }
        self.push(value.type_name(self.limits.types))?;
        self.push("=")?;
        self.plain(value)
    }

    fn bad_verb(&mut self, value: &Val<'_>, verb: char) -> Result<(), TooMuch> {
        self.push(&format!("%!{verb}("))?;
        self.typed(value)?;
        self.push(")")
    }

    fn text(&mut self, text: &str, verb: char, flags: &Flags, value: &Val<'_>) -> Result<(), TooMuch> {
        let cut = |text: &str| -> String { text.chars().take(flags.precision.unwrap_or(usize::MAX)).collect() };
        match verb {
            'v' if flags.sharp_v => self.padded(&quote::text(text, false), flags),
            'v' | 's' => self.padded(&cut(text), flags),
            'q' => {
                let text = cut(text);
                let raw = flags.sharp && quote::fits_raw(&text);
                self.padded(&if raw { format!("`{text}`") } else { quote::text(&text, flags.plus) }, flags)
            }
            'x' | 'X' => self.padded(&hexadecimal(text.as_bytes(), verb == 'X', flags), flags),
            _ => self.bad_verb(value, verb),
        }
    }

    fn whole(&mut self, number: i128, verb: char, flags: &Flags, value: &Val<'_>) -> Result<(), TooMuch> {
        let character = || u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
        let (digits, prefix) = match verb {
            'v' | 'd' => (number.unsigned_abs().to_string(), ""),
            'b' => (format!("{:b}", number.unsigned_abs()), if flags.sharp { "0b" } else { "" }),
            'o' => (format!("{:o}", number.unsigned_abs()), if flags.sharp { "0" } else { "" }),
            'O' => (format!("{:o}", number.unsigned_abs()), "0o"),
            'x' => (format!("{:x}", number.unsigned_abs()), if flags.sharp { "0x" } else { "" }),
            'X' => (format!("{:X}", number.unsigned_abs()), if flags.sharp { "0X" } else { "" }),
            'c' => return self.padded(&character().to_string(), flags),
            'q' => return self.padded(&quote::character(character(), flags.plus), flags),
            'U' => {
                let width = flags.precision.unwrap_or(4).max(4);
                let mut text = format!("U+{:0width$X}", number.unsigned_abs());
                if flags.sharp && quote::is_printable(character()) {
                    text.push_str(&format!(" '{}'", character()));
                }
                return self.padded(&text, &Flags { zero: false, ..flags.clone() });
            }
            _ => return self.bad_verb(value, verb),
        };
        let signed = number < 0 || flags.plus || flags.plus_v || flags.space;
        let wanted = match (flags.precision, flags.width) {
            (Some(0), _) if number == 0 => return self.padded("", &Flags { zero: false, ..flags.clone() }),
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(usize::from(signed)),
            (None, _) => 0,
        };
        let digits = format!("{digits:0>wanted$}");
        let prefix = if prefix == "0" && digits.starts_with('0') { "" } else { prefix };
        let sign = match () {
            () if number < 0 => "-",
            () if flags.plus || flags.plus_v => "+",
            () if flags.space => " ",
            () => "",
        };
        self.padded(&format!("{sign}{prefix}{digits}"), &Flags { zero: false, ..flags.clone() })
    }

    /// A number with its sign: zeros go between both.
    fn number(&mut self, text: &str, flags: &Flags, keeps_zeros: bool) -> Result<(), TooMuch> {
        let flags = Flags { zero: flags.zero && keeps_zeros, ..flags.clone() };
        let unsigned = text.trim_start_matches(['+', '-', ' ']);
        let sign = &text[..text.len() - unsigned.len()];
        match flags.width {
            Some(width) if flags.zero && !flags.minus && width > text.len() => {
                let width = width - sign.len();
                self.push(&format!("{sign}{unsigned:0>width$}"))
            }
            _ => self.padded(text, &Flags { zero: false, ..flags }),
        }
    }

    fn padded(&mut self, text: &str, flags: &Flags) -> Result<(), TooMuch> {
        let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
        if flags.minus {
            self.push(text)?;
            return self.push(&" ".repeat(missing));
        }
        self.push(&(if flags.zero { "0" } else { " " }).repeat(missing))?;
        self.push(text)
    }
}

fn braces(flags: &Flags, syntax: &'static str, plain: &'static str) -> (&'static str, &'static str, &'static str) {
    if flags.sharp_v { (syntax, "}", ", ") } else { (plain, "]", " ") }
}

fn hexadecimal(bytes: &[u8], upper: bool, flags: &Flags) -> String {
    let bytes = &bytes[..flags.precision.unwrap_or(bytes.len()).min(bytes.len())];
    let prefix = match (flags.sharp, upper) {
        (false, _) => "",
        (true, false) => "0x",
        (true, true) => "0X",
    };
    let mut out = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if flags.space && at > 0 {
            out.push(' ');
        }
        if at == 0 || flags.space {
            out.push_str(prefix);
        }
        out.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
    }
    out
}
