//! Parameter expansion.

use kiln_tools::context::show;

use crate::expand::{Place, push};
use crate::fields::Fields;
use crate::state::{Run, Shell};
use crate::syntax::ast::{Operation, Parameter, Word};
use crate::syntax::is_name;

impl Shell {
    pub(crate) fn expand_parameter(&mut self, parameter: &Parameter, place: Place, fields: &mut Fields) -> Run {
        let name = parameter.name.as_slice();
        let set = |shell: &Shell, colon: bool| match shell.parameter(name) {
            Some(value) => !(colon && value.is_empty()),
            None => false,
        };
        match &parameter.operation {
            Operation::Value => self.push_value(name, place, fields),
            Operation::Length => {
                let length = match name {
                    b"@" | b"*" => self.positional.len(),
                    _ => match self.parameter(name) {
                        Some(value) => value.len(),
                        None => self.unset(name).map(|()| 0)?,
                    },
                };
                push(length.to_string().as_bytes(), place, fields);
                Ok(())
            }
            Operation::Default { colon, .. } | Operation::Assign { colon, .. } | Operation::Error { colon, .. }
                if set(self, *colon) =>
            {
                self.push_value(name, place, fields)
            }
            Operation::Alternative { colon, .. } if !set(self, *colon) => Ok(()),
            Operation::Default { word, .. } | Operation::Alternative { word, .. } => {
                self.expand_parts(&word.parts, Place { result: true, ..place }, fields)
            }
            Operation::Assign { word, .. } => {
                if !is_name(name) {
                    return Err(self.fail(&format!("{}: bad variable name", show(name))));
                }
                let value = self.expand_text(word)?;
                self.assign(name, value.clone())?;
                push(&value, place, fields);
                Ok(())
            }
            Operation::Error { colon, word } => {
                let message = if word.parts.is_empty() {
                    if *colon { b"parameter not set or null".to_vec() } else { b"parameter not set".to_vec() }
                } else {
                    self.expand_text(word)?
                };
                Err(self.fail(&format!("{}: {}", show(name), show(&message))))
            }
            Operation::RemovePrefix { longest, pattern } => {
                self.removed(name, pattern, place, fields, |pattern, value| {
                    pattern.prefix(&value, *longest).map(|length| value[length..].to_vec()).unwrap_or(value)
                })
            }
            Operation::RemoveSuffix { longest, pattern } => {
                self.removed(name, pattern, place, fields, |pattern, value| {
                    pattern.suffix(&value, *longest).map(|start| value[..start].to_vec()).unwrap_or(value)
                })
            }
            Operation::Bad(_) => Err(self.fail("Bad substitution")),
        }
    }

    fn removed(
        &mut self,
        name: &[u8],
        pattern: &Word,
        place: Place,
        fields: &mut Fields,
        remove: impl Fn(&kiln_tools::pattern::Pattern, Vec<u8>) -> Vec<u8>,
    ) -> Run {
        let Some(value) = self.parameter(name) else {
            return self.unset(name);
        };
        let pattern = self.expand_pattern(pattern)?;
        push(&remove(&pattern, value), place, fields);
        Ok(())
    }

    /// What to do where a parameter has no value.
    fn unset(&self, name: &[u8]) -> Run {
        if self.options.get("nounset") && !matches!(name, b"@" | b"*") {
            return Err(self.fail(&format!("{}: parameter not set", show(name))));
        }
        Ok(())
    }

    fn push_value(&mut self, name: &[u8], place: Place, fields: &mut Fields) -> Run {
        if fields.splits() && (name == b"@" || (name == b"*" && !place.quoted)) {
            for (index, value) in self.positional.iter().enumerate() {
                if index > 0 {
                    fields.finish();
                }
                if place.quoted {
                    fields.begin();
                    fields.push(value, true);
                } else {
                    fields.push_split(value);
                }
            }
            return Ok(());
        }
        match self.parameter(name) {
            Some(value) => {
                push(&value, place, fields);
                Ok(())
            }
            None => self.unset(name),
        }
    }

    /// The value of any parameter as one text.
    pub(crate) fn parameter(&self, name: &[u8]) -> Option<Vec<u8>> {
        let number = |number: u64| Some(number.to_string().into_bytes());
        match name {
            b"@" if self.positional.is_empty() => None,
            b"*" if self.positional.is_empty() => None,
            b"@" => Some(self.positional.join(&b' ')),
            b"*" => match self.value(b"IFS").unwrap_or(b" ").first() {
                Some(separator) => Some(self.positional.join(separator)),
                None => Some(self.positional.concat()),
            },
            b"#" => number(self.positional.len() as u64),
            b"?" => number(u64::from(self.status)),
            b"-" => Some(self.options.letters().into_bytes()),
            b"$" => number(u64::from(self.pid)),
            b"!" => self.last_background.and_then(|pid| number(u64::from(pid))),
            b"0" => Some(self.name.clone()),
            b"LINENO" => number(u64::from(self.line)),
            [b'0'..=b'9', ..] => {
                let index: usize = show(name).parse().ok()?;
                match index {
                    0 => Some(self.name.clone()),
                    _ => self.positional.get(index - 1).cloned(),
                }
            }
            _ => self.value(name).map(<[u8]>::to_vec),
        }
    }
}
