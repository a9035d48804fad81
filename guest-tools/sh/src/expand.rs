//! Word expansion: tilde, parameters, command and arithmetic substitution, field splitting, file names.

use kiln_guest::OsStrExt;
use kiln_tools::context::show;
use kiln_tools::pattern::Pattern;
use kiln_tools::tools::system::account_home;

use crate::braces;
use crate::fields::{Field, Fields};
use crate::glob;
use crate::options::Flag;
use crate::state::{Shell, Stop};
use crate::syntax::ast::{Operation, Part, Subscript, Word};

type Expanded<T> = Result<T, Stop>;

/// How the parts being expanded stand in their word.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) quoted: bool,
    /// Inside `${name-word}`, where even literal text is the result of an expansion.
    pub(crate) result: bool,
}

const TOP: Place = Place { quoted: false, result: false };

impl Shell {
    /// The arguments that words stand for.
    pub(crate) fn expand_words(&mut self, words: &[Word]) -> Expanded<Vec<Vec<u8>>> {
        let mut out = Vec::with_capacity(words.len());
        for word in words {
            self.expand_word(word, &mut out)?;
        }
        Ok(out)
    }

    fn expand_word(&mut self, word: &Word, out: &mut Vec<Vec<u8>>) -> Expanded<()> {
        if let [Part::Literal(text)] = word.parts.as_slice()
            && !text.iter().any(|byte| b"*?[~{(".contains(byte))
        {
            out.push(text.clone());
            return Ok(());
        }
        match braces::expand(word) {
            Ok(Some(words)) => words.iter().try_for_each(|word| self.expand_braceless(word, out)),
            Ok(None) => self.expand_braceless(word, out),
            Err(braces::TooMany) => Err(self.fail("brace expansion: too many words")),
        }
    }

    fn expand_braceless(&mut self, word: &Word, out: &mut Vec<Vec<u8>>) -> Expanded<()> {
        let ifs = self.value(b"IFS").unwrap_or(b" \t\n").to_vec();
        let mut fields = Fields::splitting(ifs);
        self.expand_with_tilde(&word.parts, TOP, &mut fields, false)?;
        for field in fields.into_fields() {
            if self.options.get(Flag::NoGlob) {
                out.push(field.bytes);
                continue;
            }
            if let Err(glob::NoMatch(pattern)) = glob::generate(&self.cwd, self.options, field, out) {
                return Err(self.fail(&format!("no match: {}", show(&pattern))));
            }
        }
        Ok(())
    }

    /// The text that a word stands for where nothing is split: assignments, redirections, `case`.
    pub(crate) fn expand_text(&mut self, word: &Word) -> Expanded<Vec<u8>> {
        let mut fields = Fields::single();
        self.expand_with_tilde(&word.parts, TOP, &mut fields, false)?;
        Ok(fields.into_single().bytes)
    }

    /// As text, with tildes after colons too.
    pub(crate) fn expand_assignment(&mut self, word: &Word) -> Expanded<Vec<u8>> {
        let mut fields = Fields::single();
        self.expand_with_tilde(&word.parts, TOP, &mut fields, true)?;
        Ok(fields.into_single().bytes)
    }

    /// The text of a here-document.
    pub(crate) fn expand_document(&mut self, word: &Word) -> Expanded<Vec<u8>> {
        let mut fields = Fields::single();
        self.expand_parts(&word.parts, Place { quoted: true, result: false }, &mut fields)?;
        Ok(fields.into_single().bytes)
    }

    /// As a pattern, in which quoted signs are ordinary.
    pub(crate) fn expand_pattern(&mut self, word: &Word) -> Expanded<Pattern> {
        let field = self.expand_field(word)?;
        Ok(field.pattern(self.options.get(Flag::ExtGlob)))
    }

    /// As text that knows which of its bytes are quoted.
    pub(crate) fn expand_field(&mut self, word: &Word) -> Expanded<Field> {
        let mut fields = Fields::single();
        self.expand_with_tilde(&word.parts, TOP, &mut fields, false)?;
        Ok(fields.into_single())
    }

    /// The value of an expression.
    pub(crate) fn arithmetic_word(&mut self, word: &Word) -> Expanded<i64> {
        match word.parts.as_slice() {
            [Part::Literal(text)] => self.arithmetic(text),
            parts => {
                let text = self.expand_expression(parts)?;
                self.arithmetic(&text)
            }
        }
    }

    fn expand_expression(&mut self, parts: &[Part]) -> Expanded<Vec<u8>> {
        let mut text = Fields::single();
        self.expand_parts(parts, Place { quoted: true, result: false }, &mut text)?;
        Ok(text.into_single().bytes)
    }

    pub(crate) fn expand_with_tilde(
        &mut self,
        parts: &[Part],
        place: Place,
        fields: &mut Fields,
        assignment: bool,
    ) -> Expanded<()> {
        let Some((Part::Literal(text), rest)) = parts.split_first().filter(|_| !place.quoted) else {
            return self.expand_parts(parts, place, fields);
        };
        if !text.contains(&b'~') {
            return self.expand_parts(parts, place, fields);
        }
        let literal = |fields: &mut Fields, text: &[u8]| {
            if place.result { fields.push_split(text) } else { fields.push(text, false) }
        };
        let mut start = 0;
        for (index, &byte) in text.iter().enumerate() {
            let at_start = index == 0 || (assignment && text[index - 1] == b':');
            if byte != b'~' || !at_start {
                continue;
            }
            let length = text[index..].iter().position(|&byte| byte == b'/' || (assignment && byte == b':'));
            let end = match length {
                Some(length) => index + length,
                None if rest.is_empty() => text.len(),
                // What is quoted or comes of an expansion is not part of a tilde prefix, which makes this none.
                None => continue,
            };
            let home = match &text[index + 1..end] {
                b"" => self.value(b"HOME").map(<[u8]>::to_vec),
                name => account_home(name),
            };
            if let Some(home) = home {
                literal(fields, &text[start..index]);
                fields.begin();
                fields.push(&home, true);
                start = end;
            }
        }
        literal(fields, &text[start..]);
        self.expand_parts(rest, place, fields)
    }

    pub(crate) fn expand_parts(&mut self, parts: &[Part], place: Place, fields: &mut Fields) -> Expanded<()> {
        self.deeper(|shell| shell.expand_each(parts, place, fields))
    }

    fn expand_each(&mut self, parts: &[Part], place: Place, fields: &mut Fields) -> Expanded<()> {
        for part in parts {
            match part {
                Part::Literal(text) if place.quoted => fields.push(text, true),
                Part::Literal(text) if place.result => fields.push_split(text),
                Part::Literal(text) => fields.push(text, false),
                Part::Quoted(text) => {
                    fields.begin();
                    fields.push(text, true);
                }
                Part::Double(inner) => {
                    // `"$@"` without arguments is no field at all, nor is `"${array[@]}"` without elements.
                    let vanishes = |part: &Part| {
                        matches!(part, Part::Parameter(parameter) if !matches!(parameter.operation, Operation::Length)
                            && (parameter.name == b"@"
                                || matches!(parameter.subscript, Some(Subscript::Every { joined: false }))))
                    };
                    if !inner.iter().any(vanishes) {
                        fields.begin();
                    }
                    self.expand_parts(inner, Place { quoted: true, ..place }, fields)?;
                }
                Part::Parameter(parameter) => self.expand_parameter(parameter, place, fields)?,
                Part::Command(list) => {
                    let output = self.capture(list)?;
                    push(&output, place, fields);
                }
                Part::Arithmetic(inner) => {
                    let text = self.expand_expression(inner)?;
                    let value = self.arithmetic(&text)?;
                    push(value.to_string().as_bytes(), place, fields);
                }
                Part::Process { output, list } => {
                    let name = self.process_substitution(*output, list)?;
                    fields.push(&name, true);
                }
                // Only as an argument of a declaring builtin, which does not come here.
                Part::Assignment(_) => {}
            }
        }
        Ok(())
    }

    pub(crate) fn path(&self, text: &[u8]) -> std::path::PathBuf {
        if text.is_empty() { std::path::PathBuf::new() } else { self.cwd.join(std::ffi::OsStr::from_bytes(text)) }
    }
}

/// Adds the result of an expansion.
pub(crate) fn push(text: &[u8], place: Place, fields: &mut Fields) {
    if place.quoted {
        fields.push(text, true);
    } else {
        fields.push_split(text);
    }
}
