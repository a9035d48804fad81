//! Variables: texts, arrays, and what is computed when it is asked for.

use std::collections::BTreeMap;
use std::rc::Rc;

use kiln_tools::context::show;

use crate::options::Flag;
use crate::state::{Run, Shell, Stop};
use crate::syntax::ast::Word;
use crate::syntax::is_name_byte;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(Vec<u8>),
    Indexed(BTreeMap<i64, Vec<u8>>),
    Associative(BTreeMap<Vec<u8>, Vec<u8>>),
}

/// What is done to a text when it is assigned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    AsItIs,
    /// `declare -i`
    Integer,
    /// `declare -l`
    Lower,
    /// `declare -u`
    Upper,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Variable {
    pub(crate) value: Option<Value>,
    pub(crate) exported: bool,
    pub(crate) readonly: bool,
    pub(crate) form: Form,
}

/// One element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Index(i64),
    Name(Vec<u8>),
}

/// Values after expansion, some with a key.
pub(crate) type Elements = Vec<(Option<Vec<u8>>, Vec<u8>)>;

/// `name=(value …)` as an argument of a declaring builtin, which finds it by the name.
#[derive(Debug, Clone)]
pub(crate) struct ArrayArgument {
    pub(crate) name: Vec<u8>,
    pub(crate) append: bool,
    pub(crate) elements: Elements,
}

impl Variable {
    pub(crate) fn text(text: Vec<u8>) -> Variable {
        Variable { value: Some(Value::Text(text)), ..Variable::default() }
    }

    /// The value where no subscript is given: an array's element 0.
    pub(crate) fn plain(&self) -> Option<&[u8]> {
        match self.value.as_ref()? {
            Value::Text(text) => Some(text),
            Value::Indexed(elements) => elements.get(&0).map(Vec::as_slice),
            Value::Associative(elements) => elements.get(&b"0"[..]).map(Vec::as_slice),
        }
    }

    pub(crate) fn element(&self, key: &Key) -> Option<&[u8]> {
        match (self.value.as_ref()?, key) {
            (Value::Text(text), Key::Index(0 | -1)) => Some(text),
            (Value::Indexed(elements), Key::Index(index)) => {
                elements.get(&from_end(elements, *index)).map(Vec::as_slice)
            }
            (Value::Associative(elements), Key::Name(name)) => elements.get(name).map(Vec::as_slice),
            _ => None,
        }
    }

    pub(crate) fn elements(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        match &self.value {
            None => Vec::new(),
            Some(Value::Text(text)) => vec![(b"0".to_vec(), text.clone())],
            Some(Value::Indexed(elements)) => {
                elements.iter().map(|(index, text)| (index.to_string().into_bytes(), text.clone())).collect()
            }
            Some(Value::Associative(elements)) => {
                elements.iter().map(|(key, text)| (key.clone(), text.clone())).collect()
            }
        }
    }
}

impl Variable {
    /// Whether it is more than a text that may be exported.
    pub(crate) fn has_attributes(&self) -> bool {
        let array = matches!(self.value, Some(Value::Indexed(_) | Value::Associative(_)));
        array || self.readonly || self.form != Form::AsItIs
    }

    /// As `declare -p` prints it, and a shell can read it.
    pub(crate) fn declaration(&self, name: &[u8]) -> Vec<u8> {
        let mut letters = String::new();
        let marks = [
            ('a', matches!(self.value, Some(Value::Indexed(_)))),
            ('A', matches!(self.value, Some(Value::Associative(_)))),
            ('i', self.form == Form::Integer),
            ('l', self.form == Form::Lower),
            ('r', self.readonly),
            ('u', self.form == Form::Upper),
            ('x', self.exported),
        ];
        letters.extend(marks.iter().filter(|(_, on)| *on).map(|(letter, _)| *letter));
        if letters.is_empty() {
            letters.push('-');
        }
        let mut out = [b"declare -", letters.as_bytes(), b" ", name].concat();
        match &self.value {
            None => {}
            Some(Value::Text(text)) => {
                out.push(b'=');
                out.extend_from_slice(&double_quoted(text));
            }
            Some(_) => {
                let element = |(key, value): (Vec<u8>, Vec<u8>)| {
                    let plain = !key.is_empty() && key.iter().all(|&byte| is_name_byte(byte));
                    let key = if plain { key } else { double_quoted(&key) };
                    [b"[", &key[..], b"]=", &double_quoted(&value)].concat()
                };
                let elements: Vec<_> = self.elements().into_iter().map(element).collect();
                out.extend_from_slice(&[b"=(", &elements.join(&b' ')[..], b")"].concat());
            }
        }
        out.push(b'\n');
        out
    }
}

fn double_quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for &byte in text {
        if b"\"\\$`".contains(&byte) {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
    out
}

/// Negative indices count from the end.
fn from_end(elements: &BTreeMap<i64, Vec<u8>>, index: i64) -> i64 {
    match elements.last_key_value() {
        Some((last, _)) if index < 0 => last.saturating_add(1).saturating_add(index),
        _ => index,
    }
}

impl Shell {
    pub(crate) fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.variables.get(name)?.plain()
    }

    /// The variable, made if there is none, for something other than assigning a text.
    pub(crate) fn variable_mut(&mut self, name: &[u8]) -> &mut Variable {
        Rc::make_mut(&mut self.variables).entry(name.to_vec()).or_default()
    }

    pub(crate) fn restore_variable(&mut self, name: Vec<u8>, variable: Option<Variable>) {
        let variables = Rc::make_mut(&mut self.variables);
        match variable {
            Some(variable) => variables.insert(name, variable),
            None => variables.remove(&name),
        };
    }

    /// Sets a variable; an attempt at a read-only one ends the shell.
    pub(crate) fn assign(&mut self, name: &[u8], value: Vec<u8>) -> Run {
        self.assign_to(name, None, value, false)
    }

    pub(crate) fn assign_to(&mut self, name: &[u8], key: Option<Key>, text: Vec<u8>, append: bool) -> Run {
        let known = self.variables.get(name);
        if known.is_some_and(|variable| variable.readonly) {
            return Err(self.fail(&format!("{}: is read only", show(name))));
        }
        let form = known.map(|variable| variable.form).unwrap_or_default();
        let mut old = None;
        if append && let Some(variable) = known {
            old = match &key {
                Some(key) => variable.element(key),
                None => variable.plain(),
            };
        }
        let text = match (old, form) {
            (old, Form::Integer) => {
                let old = old.map(<[u8]>::to_vec).unwrap_or_default();
                let sum = if old.is_empty() { text } else { [&old, &b"+("[..], &text, b")"].concat() };
                self.arithmetic(&sum)?.to_string().into_bytes()
            }
            (Some(old), _) => [old, &text].concat(),
            (None, _) => text,
        };
        let text = match form {
            Form::Lower => text.to_ascii_lowercase(),
            Form::Upper => text.to_ascii_uppercase(),
            _ => text,
        };
        match name {
            b"RANDOM" => self.random = text.iter().fold(0, |seed, byte| seed * 10 + u64::from(*byte)),
            b"SECONDS" => self.started = std::time::Instant::now(),
            _ => {}
        }
        let allexport = self.options.get(Flag::AllExport);
        let variables = Rc::make_mut(&mut self.variables);
        // Most assignments are to variables that are there.
        let variable = match variables.get_mut(name) {
            Some(variable) => variable,
            None => variables.entry(name.to_vec()).or_default(),
        };
        variable.exported |= allexport;
        match (&mut variable.value, key) {
            (Some(Value::Associative(elements)), None) => {
                elements.insert(b"0".to_vec(), text);
            }
            (Some(Value::Associative(elements)), Some(Key::Name(name))) => {
                elements.insert(name, text);
            }
            (Some(Value::Associative(elements)), Some(Key::Index(index))) => {
                elements.insert(index.to_string().into_bytes(), text);
            }
            (Some(Value::Indexed(elements)), key) => {
                let index = match key {
                    Some(Key::Index(index)) => from_end(elements, index),
                    _ => 0,
                };
                if index < 0 {
                    return Err(self.fail(&format!("{}: bad array subscript", show(name))));
                }
                elements.insert(index, text);
            }
            (value, Some(Key::Index(index))) => {
                if index < 0 {
                    return Err(self.fail(&format!("{}: bad array subscript", show(name))));
                }
                let mut elements = BTreeMap::new();
                if let Some(Value::Text(old)) = value.take() {
                    elements.insert(0, old);
                }
                elements.insert(index, text);
                *value = Some(Value::Indexed(elements));
            }
            (value, _) => *value = Some(Value::Text(text)),
        }
        Ok(())
    }

    pub(crate) fn assign_array(&mut self, name: &[u8], values: impl IntoIterator<Item = Vec<u8>>) -> Run {
        if self.variables.get(name).is_some_and(|variable| variable.readonly) {
            return Err(self.fail(&format!("{}: is read only", show(name))));
        }
        let elements = (0..).zip(values).collect();
        self.variable_mut(name).value = Some(Value::Indexed(elements));
        Ok(())
    }

    /// `name=(value …)`
    pub(crate) fn assign_elements(&mut self, name: &[u8], append: bool, elements: Elements) -> Run {
        if self.variables.get(name).is_some_and(|variable| variable.readonly) {
            return Err(self.fail(&format!("{}: is read only", show(name))));
        }
        let variable = self.variable_mut(name);
        match &mut variable.value {
            Some(Value::Associative(_) | Value::Indexed(_)) if append => {}
            Some(Value::Associative(elements)) => elements.clear(),
            Some(Value::Text(text)) if append => {
                variable.value = Some(Value::Indexed([(0, std::mem::take(text))].into()));
            }
            value => *value = Some(Value::Indexed(BTreeMap::new())),
        }
        let mut next = match &variable.value {
            Some(Value::Indexed(elements)) => elements.last_key_value().map_or(0, |(last, _)| last + 1),
            _ => 0,
        };
        for (key, value) in elements {
            let key = match key {
                Some(text) => self.key_of_text(name, text)?,
                None => Key::Index(next),
            };
            if let Key::Index(index) = key {
                next = index.saturating_add(1);
            }
            self.assign_to(name, Some(key), value, false)?;
        }
        Ok(())
    }

    /// What stands between brackets, for this variable: a name for an associative array, else an expression.
    pub(crate) fn key(&mut self, name: &[u8], subscript: &Word) -> Result<Key, Stop> {
        let text = self.expand_text(subscript)?;
        self.key_of_text(name, text)
    }

    pub(crate) fn key_of_text(&mut self, name: &[u8], text: Vec<u8>) -> Result<Key, Stop> {
        match self.variables.get(name).and_then(|variable| variable.value.as_ref()) {
            Some(Value::Associative(_)) => Ok(Key::Name(text)),
            _ => Ok(Key::Index(self.arithmetic(&text)?)),
        }
    }

    /// The environment of a child.
    pub(crate) fn environment(&self) -> Vec<Vec<u8>> {
        let mut env: Vec<Vec<u8>> = Vec::new();
        for (name, variable) in self.variables.iter() {
            if let (true, Some(Value::Text(value))) = (variable.exported || name == b"PWD", &variable.value) {
                env.push([name, &b"="[..], value].concat());
            }
        }
        env
    }

    /// Variables whose values are found out when they are asked for.
    pub(crate) fn computed(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let text = match name {
            b"LINENO" => self.trap_line.unwrap_or(self.line).to_string(),
            // A script that sets one of the others means its own variable.
            _ if self.variables.contains_key(name) && name != b"RANDOM" && name != b"SECONDS" => return None,
            b"RANDOM" => self.next_random().to_string(),
            b"SECONDS" => {
                let set: u64 = self.value(name).and_then(|text| show(text).parse().ok()).unwrap_or(0);
                (set + self.started.elapsed().as_secs()).to_string()
            }
            b"EPOCHSECONDS" => now().as_secs().to_string(),
            b"EPOCHREALTIME" => format!("{}.{:06}", now().as_secs(), now().subsec_micros()),
            // WASI has no getuid, but a pipe belongs to who made it.
            b"UID" | b"EUID" => {
                let owner = kiln_guest::pipe().and_then(|(read, _)| kiln_guest::stat_file(&read));
                owner.map_or(0, |stat| stat.uid).to_string()
            }
            b"BASHPID" => kiln_guest::self_pid().to_string(),
            b"BASH_SUBSHELL" => self.subshells.to_string(),
            b"FUNCNAME" => return self.calls.last().map(|call| call.name.clone()),
            b"BASH_SOURCE" => return self.sources.last().cloned(),
            b"PIPESTATUS" => self.pipe_status.first().unwrap_or(&self.status).to_string(),
            _ => return None,
        };
        Some(text.into_bytes())
    }

    /// As above, for those that are arrays.
    pub(crate) fn computed_array(&self, name: &[u8]) -> Option<Vec<Vec<u8>>> {
        Some(match name {
            b"PIPESTATUS" if self.pipe_status.is_empty() => vec![self.status.to_string().into_bytes()],
            b"PIPESTATUS" => self.pipe_status.iter().map(|status| status.to_string().into_bytes()).collect(),
            b"FUNCNAME" if !self.calls.is_empty() => {
                let names = self.calls.iter().rev().map(|call| call.name.clone());
                names.chain([b"main".to_vec()]).collect()
            }
            b"BASH_LINENO" => {
                let lines = self.calls.iter().rev().map(|call| call.line.to_string().into_bytes());
                lines.chain([b"0".to_vec()]).collect()
            }
            b"BASH_SOURCE" if !self.sources.is_empty() => self.sources.iter().rev().cloned().collect(),
            _ => return None,
        })
    }

    /// The numbers depend on the host's random source, which a step's key decides, or on what was assigned.
    fn next_random(&mut self) -> u64 {
        use std::hash::{BuildHasher, RandomState};
        if self.random == 0 {
            self.random = RandomState::new().hash_one(0) | 1;
        }
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33 & 0x7fff
    }
}
