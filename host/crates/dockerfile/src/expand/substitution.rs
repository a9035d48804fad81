//! `$name` and the forms of `${…}`.

use super::pattern::Pattern;
use super::{ExpandError, ExpandFault, Lexer};

impl Lexer<'_> {
    /// What the variable that begins here stands for.
    pub(super) fn dollar(&mut self) -> Result<String, ExpandError> {
        let begin = self.at;
        self.at += 1;
        if !self.take_if('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return match self.look_up(begin, &name)? {
                None if self.options.keep_unset => Ok(self.text[begin..self.at].to_owned()),
                value => Ok(value.unwrap_or_default()),
            };
        }
        match self.peek() {
            None => return Err(Self::error(begin, ExpandFault::MissingBrace)),
            Some('{' | '}' | ':') => return Err(Self::error(begin, ExpandFault::BadSubstitution)),
            Some(_) => {}
        }
        let name = self.name();
        let modifier_at = self.at;
        match self.next() {
            None => Err(Self::error(begin, ExpandFault::MissingBrace)),
            Some('}') => match self.look_up(begin, &name)? {
                None if self.options.keep_unset => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some(':') => match self.next() {
                Some(kind @ ('-' | '+' | '?')) => self.default_forms(begin, &name, kind, true),
                _ => Err(self.unsupported(modifier_at)),
            },
            Some(kind @ ('-' | '+' | '?')) => self.default_forms(begin, &name, kind, false),
            Some(kind @ ('#' | '%')) => self.trim_forms(begin, &name, kind),
            Some('/') => self.replace_forms(begin, &name),
            Some(_) => Err(self.unsupported(modifier_at)),
        }
    }

    fn unsupported(&self, modifier_at: usize) -> ExpandError {
        let modifier = self.text[modifier_at..self.at].to_owned();
        Self::error(modifier_at, ExpandFault::UnsupportedModifier(modifier))
    }

    /// A word inside the braces of a substitution that began at `begin`.
    fn inner(&mut self, begin: usize, stop: char, keep_escapes: bool) -> Result<String, ExpandError> {
        match self.run(Some(stop), keep_escapes) {
            Ok(out) => Ok(out.text),
            Err(mut error) => {
                if matches!(error.fault, ExpandFault::MissingBrace | ExpandFault::MissingSlash) {
                    error.offset = begin;
                }
                Err(error)
            }
        }
    }

    /// `${v:-w}`, `${v:+w}`, `${v:?w}` and the same without the colon, where an empty value counts as set.
    fn default_forms(
        &mut self,
        begin: usize,
        name: &str,
        kind: char,
        empty_is_unset: bool,
    ) -> Result<String, ExpandError> {
        let word = self.inner(begin, '}', false)?;
        let value = self.look_up(begin, name)?;
        if value.is_none() && self.options.keep_unset {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{kind}{word}}}"));
        }
        let set = value.filter(|value| !(empty_is_unset && value.is_empty()));
        match (kind, set) {
            ('-', Some(value)) | ('?', Some(value)) => Ok(value),
            ('-', None) | ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, _) => {
                Err(Self::error(begin, ExpandFault::Required { name: name.to_owned(), message: word, empty_is_unset }))
            }
        }
    }

    /// `${v#p}`, `${v##p}`, `${v%p}`, `${v%%p}`.
    fn trim_forms(&mut self, begin: usize, name: &str, kind: char) -> Result<String, ExpandError> {
        let word = self.inner(begin, '}', true)?;
        let Some(value) = self.look_up(begin, name)? else {
            return Ok(if self.options.keep_unset { format!("${{{name}{kind}{word}}}") } else { String::new() });
        };
        let (pattern, greedy) = match word.strip_prefix(kind) {
            Some(pattern) => (pattern, true),
            None => (word.as_str(), false),
        };
        let bad = || Self::error(begin, ExpandFault::BadPattern(pattern.to_owned()));
        let pattern = Pattern::parse(pattern).ok_or_else(bad)?;
        let trimmed = match kind {
            '#' => pattern.without_prefix(&value, greedy),
            _ => pattern.without_suffix(&value, greedy),
        };
        trimmed.ok_or_else(bad)
    }

    /// `${v/p/r}`, `${v//p/r}`.
    fn replace_forms(&mut self, begin: usize, name: &str) -> Result<String, ExpandError> {
        let all = self.take_if('/');
        let word = self.inner(begin, '/', true)?;
        let replacement = self.inner(begin, '}', true)?;
        let Some(value) = self.look_up(begin, name)? else {
            let slashes = if all { "//" } else { "/" };
            return Ok(match self.options.keep_unset {
                true => format!("${{{name}{slashes}{word}/{replacement}}}"),
                false => String::new(),
            });
        };
        let bad = || Self::error(begin, ExpandFault::BadPattern(word.clone()));
        let replaced = Pattern::parse(&word).and_then(|pattern| pattern.replaced(&value, &replacement, all));
        let replaced = replaced.ok_or_else(bad)?;
        self.count(begin, replaced.len())?;
        Ok(replaced)
    }

    /// Letters, digits and underscores; or only digits; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        match self.peek() {
            Some(first) if first.is_numeric() => self.take_while(char::is_numeric).to_owned(),
            Some(special @ ('@' | '*' | '#' | '?' | '-' | '$' | '!')) => {
                self.at += 1;
                special.to_string()
            }
            _ => self.take_while(|character| character.is_alphanumeric() || character == '_').to_owned(),
        }
    }
}
