//! Parameter expansion.

use kiln_tools::context::show;

use crate::expand::{Place, push};
use crate::fields::Fields;
use crate::options::Flag;
use crate::state::{Run, Shell, Stop};
use crate::substrings;
use crate::syntax::ast::{Operation, Parameter, Subscript, Word};
use crate::syntax::{Parser, is_name};
use crate::variables::{Key, Value};

/// What a parameter stands for.
enum Found {
    One(Option<Vec<u8>>),
    /// `$@`, `$*` and the elements of an array; those with a star make one text where they are quoted.
    Many {
        values: Vec<Vec<u8>>,
        joined: bool,
    },
}

impl Found {
    /// Whether it counts as set; with the colon, something empty does not.
    fn is_set(&self, colon: bool) -> bool {
        match self {
            Found::One(value) => value.as_ref().is_some_and(|value| !(colon && value.is_empty())),
            Found::Many { values, .. } => match values.as_slice() {
                [] => false,
                [only] => !(colon && only.is_empty()),
                _ => true,
            },
        }
    }

    fn map(self, change: impl Fn(&[u8]) -> Vec<u8>) -> Found {
        match self {
            Found::One(value) => Found::One(value.map(|value| change(&value))),
            Found::Many { values, joined } => {
                Found::Many { values: values.iter().map(|value| change(value)).collect(), joined }
            }
        }
    }
}

impl Shell {
    pub(crate) fn expand_parameter(&mut self, parameter: &Parameter, place: Place, fields: &mut Fields) -> Run {
        if parameter.indirect {
            let (name, subscript) = self.referred(parameter)?;
            return self.expand_named(&name, subscript.as_ref(), &parameter.operation, place, fields);
        }
        self.expand_named(&parameter.name, parameter.subscript.as_ref(), &parameter.operation, place, fields)
    }

    /// The parameter that the value of this one names.
    fn referred(&mut self, parameter: &Parameter) -> Result<(Vec<u8>, Option<Subscript>), Stop> {
        let value = match self.find(&parameter.name, parameter.subscript.as_ref())? {
            Found::One(value) => value.unwrap_or_default(),
            Found::Many { values, .. } => values.join(&b' '),
        };
        match Parser::reference(&value) {
            Some(reference) => Ok(reference),
            None => Err(self.fail(&format!("{}: invalid variable name", show(&value)))),
        }
    }

    fn find(&mut self, name: &[u8], subscript: Option<&Subscript>) -> Result<Found, Stop> {
        Ok(match subscript {
            None if matches!(name, b"@" | b"*") => {
                Found::Many { values: self.positional.clone(), joined: name == b"*" }
            }
            None => Found::One(self.parameter(name)),
            Some(Subscript::Every { joined }) => {
                let values = match self.computed_array(name) {
                    Some(values) => values,
                    None => {
                        let elements = self.variables.get(name).map(|variable| variable.elements());
                        elements.unwrap_or_default().into_iter().map(|(_, value)| value).collect()
                    }
                };
                Found::Many { values, joined: *joined }
            }
            Some(Subscript::One(word)) => {
                let key = self.key(name, word)?;
                Found::One(match (self.computed_array(name), &key) {
                    (Some(values), Key::Index(index)) => {
                        usize::try_from(*index).ok().and_then(|index| values.get(index).cloned())
                    }
                    _ => self.variables.get(name).and_then(|variable| variable.element(&key)).map(<[u8]>::to_vec),
                })
            }
        })
    }

    fn expand_named(
        &mut self,
        name: &[u8],
        subscript: Option<&Subscript>,
        operation: &Operation,
        place: Place,
        fields: &mut Fields,
    ) -> Run {
        match operation {
            Operation::Bad => return Err(self.fail("Bad substitution")),
            Operation::Keys => {
                let keys = match self.computed_array(name) {
                    Some(values) => (0..values.len()).map(|index| index.to_string().into_bytes()).collect(),
                    None => {
                        let elements = self.variables.get(name).map(|variable| variable.elements());
                        elements.unwrap_or_default().into_iter().map(|(key, _)| key).collect()
                    }
                };
                let joined = matches!(subscript, Some(Subscript::Every { joined: true }));
                self.push_many(keys, joined, place, fields);
                return Ok(());
            }
            Operation::Names { joined } => {
                let names = self.variables.iter().filter(|(known, variable)| {
                    known.starts_with(name) && variable.value.is_some() && !known.starts_with(b"_OPTPOS")
                });
                let names = names.map(|(known, _)| known.clone()).collect();
                self.push_many(names, *joined, place, fields);
                return Ok(());
            }
            _ => {}
        }
        let found = self.find(name, subscript)?;
        let found = match operation {
            Operation::Length => {
                let length = match found {
                    Found::Many { values, .. } => values.len(),
                    Found::One(Some(value)) => value.len(),
                    Found::One(None) => self.unset(name).map(|()| 0)?,
                };
                push(length.to_string().as_bytes(), place, fields);
                return Ok(());
            }
            Operation::Default { colon, .. } | Operation::Assign { colon, .. } | Operation::Error { colon, .. }
                if found.is_set(*colon) =>
            {
                found
            }
            Operation::Alternative { colon, .. } if !found.is_set(*colon) => return Ok(()),
            Operation::Default { word, .. } | Operation::Alternative { word, .. } => {
                return self.expand_with_tilde(&word.parts, Place { result: true, ..place }, fields, false);
            }
            Operation::Assign { word, .. } => {
                let value = self.assign_default(name, subscript, word)?;
                push(&value, place, fields);
                return Ok(());
            }
            Operation::Error { colon, word } => {
                let message = if word.parts.is_empty() {
                    if *colon { b"parameter not set or null".to_vec() } else { b"parameter not set".to_vec() }
                } else {
                    self.expand_text(word)?
                };
                return Err(self.fail(&format!("{}: {}", show(name), show(&message))));
            }
            Operation::RemovePrefix { longest, pattern } => {
                let pattern = self.expand_pattern(pattern)?;
                found.map(|value| match pattern.prefix(value, *longest) {
                    Some(length) => value[length..].to_vec(),
                    None => value.to_vec(),
                })
            }
            Operation::RemoveSuffix { longest, pattern } => {
                let pattern = self.expand_pattern(pattern)?;
                found.map(|value| value[..pattern.suffix(value, *longest).unwrap_or(value.len())].to_vec())
            }
            Operation::Slice { offset, length } => self.slice(name, found, offset, length.as_ref())?,
            Operation::Replace { which, pattern, replacement } => {
                let pattern = self.expand_pattern(pattern)?;
                let replacement = self.expand_text(replacement)?;
                found.map(|value| substrings::replace(value, &pattern, *which, &replacement))
            }
            Operation::Case { upper, every, pattern } => {
                let pattern = match pattern {
                    Some(pattern) => Some(self.expand_pattern(pattern)?),
                    None => None,
                };
                found.map(|value| substrings::change_case(value, *upper, *every, pattern.as_ref()))
            }
            Operation::Transform(letter) => {
                if !b"QULuE".contains(letter) {
                    return Err(self.fail("Bad substitution"));
                }
                found.map(|value| substrings::transform(value, *letter))
            }
            Operation::Value | Operation::Bad | Operation::Keys | Operation::Names { .. } => found,
        };
        match found {
            Found::One(Some(value)) => push(&value, place, fields),
            Found::One(None) => self.unset(name)?,
            Found::Many { values, joined } => self.push_many(values, joined, place, fields),
        }
        Ok(())
    }

    fn assign_default(&mut self, name: &[u8], subscript: Option<&Subscript>, word: &Word) -> Result<Vec<u8>, Stop> {
        if !is_name(name) || matches!(subscript, Some(Subscript::Every { .. })) {
            return Err(self.fail(&format!("{}: bad variable name", show(name))));
        }
        let value = self.expand_text(word)?;
        let key = match subscript {
            Some(Subscript::One(word)) => Some(self.key(name, word)?),
            _ => None,
        };
        self.assign_to(name, key, value.clone(), false)?;
        Ok(value)
    }

    /// `:offset:length` of a text or of a list.
    fn slice(&mut self, name: &[u8], found: Found, offset: &Word, length: Option<&Word>) -> Result<Found, Stop> {
        let offset = self.arithmetic_word(offset)?;
        let length = match length {
            Some(length) => Some(self.arithmetic_word(length)?),
            None => None,
        };
        let bounds = |total: usize| substrings::bounds(total, offset, length);
        let too_short = |shell: &Shell| shell.fail(&format!("{}: substring expression < 0", length.unwrap_or(0)));
        Ok(match found {
            Found::One(None) => Found::One(None),
            Found::One(Some(value)) => match bounds(value.len()) {
                Some(range) => Found::One(Some(value[range].to_vec())),
                None => return Err(too_short(self)),
            },
            Found::Many { mut values, joined } => {
                // Before `$1` there is `$0`, and arguments count from 1.
                if matches!(name, b"@" | b"*") {
                    values.insert(0, self.name.clone());
                }
                if length.is_some_and(|length| length < 0) {
                    return Err(too_short(self));
                }
                if let Some(Value::Indexed(elements)) = self.variables.get(name).and_then(|known| known.value.as_ref())
                {
                    // The offset is an index, and there may be gaps.
                    let end = elements.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
                    let first = if offset < 0 { end.saturating_add(offset) } else { offset };
                    let most = length.map_or(usize::MAX, |length| length as usize);
                    let chosen = elements.range(first..).filter(|_| first >= 0).take(most);
                    return Ok(Found::Many { values: chosen.map(|(_, value)| value.clone()).collect(), joined });
                }
                let mut range = bounds(values.len()).unwrap_or(0..0);
                if matches!(name, b"@" | b"*") && offset < 0 && range.start == 0 {
                    range = 0..0;
                }
                Found::Many { values: values[range].to_vec(), joined }
            }
        })
    }

    /// What to do where a parameter has no value.
    fn unset(&self, name: &[u8]) -> Run {
        if self.options.get(Flag::NoUnset) && !matches!(name, b"@" | b"*") {
            return Err(self.fail(&format!("{}: parameter not set", show(name))));
        }
        Ok(())
    }

    fn push_many(&mut self, values: Vec<Vec<u8>>, joined: bool, place: Place, fields: &mut Fields) {
        if !fields.splits() || (joined && place.quoted) {
            let text = if joined { self.join(&values) } else { values.join(&b' ') };
            return push(&text, place, fields);
        }
        for (index, value) in values.iter().enumerate() {
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
    }

    /// With the first byte of IFS between them.
    fn join(&self, values: &[Vec<u8>]) -> Vec<u8> {
        match self.value(b"IFS").unwrap_or(b" ").first() {
            Some(separator) => values.join(separator),
            None => values.concat(),
        }
    }

    /// The value of any parameter as one text.
    pub(crate) fn parameter(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let number = |number: u64| Some(number.to_string().into_bytes());
        match name {
            b"@" | b"*" if self.positional.is_empty() => None,
            b"@" => Some(self.positional.join(&b' ')),
            b"*" => Some(self.join(&self.positional)),
            b"_" => Some(self.last_word.clone()),
            b"#" => number(self.positional.len() as u64),
            b"?" => number(u64::from(self.status)),
            b"-" => Some(self.options.letters().into_bytes()),
            b"$" => number(u64::from(self.pid)),
            b"!" => self.last_background.and_then(|pid| number(u64::from(pid))),
            [b'0'..=b'9', ..] => {
                let index: usize = show(name).parse().ok()?;
                match index {
                    0 => Some(self.name.clone()),
                    _ => self.positional.get(index - 1).cloned(),
                }
            }
            _ => match self.computed(name) {
                Some(value) => Some(value),
                None => self.value(name).map(<[u8]>::to_vec),
            },
        }
    }
}
