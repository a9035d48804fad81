//! The functions that the language has.

use std::rc::Rc;

use super::fields::{Separator, split};
use super::functions::{format, substitute, substring};
use super::interpreter::{Interpreter, Run, fail};
use super::streams;
use super::syntax::{Expr, FS, RLENGTH, RSTART};
use super::value::{Cell, Value};
use crate::calendar::{SECOND, now};
use crate::context::{reason, show};
use crate::tools::system::strftime;

impl Interpreter<'_, '_, '_> {
    pub(super) fn builtin(&mut self, name: &str, args: &[Expr]) -> Run<Value> {
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
                Some(Expr::Variable(array)) if matches!(self.cell(*array), Cell::Array(_)) => {
                    Value::Number(self.array(*array)?.borrow().len() as f64)
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
                let at = if part.is_empty() {
                    Some(0)
                } else {
                    text.windows(part.len()).position(|window| window == &*part)
                };
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
                        let text = self.special(FS);
                        self.separator(&text)?
                    }
                };
                let Some(Expr::Variable(array)) = args.get(1) else { return fail("split needs an array") };
                let array = self.array(*array)?;
                let mut array = array.borrow_mut();
                array.clear();
                let mut count = 0;
                split(&text, &separator, |piece| {
                    count += 1;
                    array.insert(count.to_string().into_bytes(), Value::input(&text[piece]));
                });
                Value::Number(f64::from(count))
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
                let Ok(found) = regex.find_whole(&text, 0) else { return fail("a regular expression is too complex") };
                let (start, length) = match found.map(|captures| captures.whole()) {
                    Some((start, end)) => (characters(&text[..start]) + 1.0, characters(&text[start..end])),
                    None => (0.0, -1.0),
                };
                self.set_variable(RSTART, Value::Number(start))?;
                self.set_variable(RLENGTH, Value::Number(length))?;
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
                let template = if args.is_empty() {
                    "%a %b %e %H:%M:%S %Z %Y".into()
                } else {
                    show(&arg_text(self, 0)?).into_owned()
                };
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
