//! Variables: `$name`, `${name:-word}` and their kin, with quotes and escapes as BuildKit's shell lexer has them.
//!
//! Quotes and escapes are taken away; single quotes keep variables from being expanded. A variable that is not set is
//! empty: callers who want to tell the user see every name that is looked up.

mod error;
mod pattern;
mod substitution;

pub use error::{ExpandError, ExpandFault};

/// Nested `${a:-${b:-…}}` deeper than this is refused, so that input cannot exhaust the stack.
const DEEPEST: usize = 64;
/// Bytes that variables may bring into one text: what grows by doubling must end somewhere.
const LONGEST: usize = 1 << 20;

/// The value of a variable, if it is set.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// One word from one word, white space kept.
pub fn expand(text: &str, lookup: &Lookup<'_>, escape: u8) -> Result<String, ExpandError> {
    let options = Options { escape: escape.into(), ..Options::default() };
    Ok(lex(text, lookup, options)?.text)
}

/// Several words from one text: split at the white space that stands outside quotes, after expansion.
pub fn expand_words(text: &str, lookup: &Lookup<'_>, escape: u8) -> Result<Vec<String>, ExpandError> {
    let options = Options { escape: escape.into(), ..Options::default() };
    Ok(lex(text, lookup, options)?.into_words())
}

/// The content of a COPY or ADD heredoc: quotes mean nothing, the escape character is always the backslash.
pub fn expand_heredoc(content: &str, lookup: &Lookup<'_>) -> Result<String, ExpandError> {
    Ok(lex(content, lookup, Options { quotes: Quotes::Ignore, ..Options::default() })?.text)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// They act and disappear.
    Remove,
    /// They act and stay.
    Keep,
    /// They are ordinary characters.
    Ignore,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) escape: char,
    pub(crate) quotes: Quotes,
    pub(crate) keep_escapes: bool,
    /// Leave variables that are not set as they are written.
    pub(crate) keep_unset: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { escape: '\\', quotes: Quotes::Remove, keep_escapes: false, keep_unset: false }
    }
}

/// Both results of one pass: the text as a whole, and split into words.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) text: String,
    words: Vec<String>,
    word: String,
}

impl Output {
    /// A character that splits words if it is white space.
    fn push(&mut self, character: char) {
        self.text.push(character);
        self.push_to_word(character);
    }

    fn push_to_word(&mut self, character: char) {
        if !character.is_whitespace() {
            self.word.push(character);
        } else if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    /// Characters that never split.
    fn push_quoted(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
    }

    fn push_value(&mut self, value: &str) {
        self.text.push_str(value);
        value.chars().for_each(|character| self.push_to_word(character));
    }

    pub(crate) fn into_words(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

pub(crate) fn lex(text: &str, lookup: &Lookup<'_>, options: Options) -> Result<Output, ExpandError> {
    Lexer { text, at: 0, options, lookup, depth: 0, looked_up: 0 }.run(None, options.keep_escapes)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    options: Options,
    lookup: &'a Lookup<'a>,
    depth: usize,
    /// Bytes that variables have brought in so far.
    looked_up: usize,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_if(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|character| !wanted(character)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn error(offset: usize, fault: ExpandFault) -> ExpandError {
        ExpandError { offset, fault }
    }

    /// Up to the end, or up to and without `stop`, whose absence is an error.
    fn run(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<Output, ExpandError> {
        let begin = self.at;
        if self.depth == DEEPEST {
            return Err(Self::error(begin, ExpandFault::TooDeep));
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.options.keep_escapes, keep_escapes);
        let mut out = Output::default();
        let quotes = self.options.quotes != Quotes::Ignore;
        while let Some(next) = self.peek() {
            if Some(next) == stop {
                self.at += next.len_utf8();
                self.options.keep_escapes = outer;
                self.depth -= 1;
                return Ok(out);
            }
            match next {
                '\'' if quotes => self.single_quotes(&mut out)?,
                '"' if quotes => self.double_quotes(&mut out)?,
                '$' => {
                    let value = self.dollar()?;
                    out.push_value(&value);
                }
                '<' => self.less_than(&mut out),
                _ if next == self.options.escape => {
                    self.at += next.len_utf8();
                    if keep_escapes {
                        out.push_quoted(next.encode_utf8(&mut [0; 4]));
                    }
                    // At the end of the text an escape character is nothing.
                    if let Some(escaped) = self.next() {
                        out.push_quoted(escaped.encode_utf8(&mut [0; 4]));
                    }
                }
                _ => {
                    self.at += next.len_utf8();
                    out.push(next);
                }
            }
        }
        match stop {
            Some('/') => Err(Self::error(begin, ExpandFault::MissingSlash)),
            Some(_) => Err(Self::error(begin, ExpandFault::MissingBrace)),
            None => Ok(out),
        }
    }

    /// Between single quotes everything stands for itself.
    fn single_quotes(&mut self, out: &mut Output) -> Result<(), ExpandError> {
        let begin = self.at;
        self.at += 1;
        let Some(length) = self.text[self.at..].find('\'') else {
            return Err(Self::error(begin, ExpandFault::UnterminatedQuote('\'')));
        };
        let end = self.at + length + 1;
        let quoted = if self.options.quotes == Quotes::Keep { begin..end } else { begin + 1..end - 1 };
        out.push_quoted(&self.text[quoted]);
        self.at = end;
        Ok(())
    }

    /// Between double quotes variables are expanded, and the escape character acts on `"`, `$` and itself.
    fn double_quotes(&mut self, out: &mut Output) -> Result<(), ExpandError> {
        let begin = self.at;
        self.at += 1;
        let mut quoted = String::new();
        let keep = self.options.quotes == Quotes::Keep;
        if keep {
            quoted.push('"');
        }
        loop {
            match self.peek() {
                None => return Err(Self::error(begin, ExpandFault::UnterminatedQuote('"'))),
                Some('"') => {
                    self.at += 1;
                    if keep {
                        quoted.push('"');
                    }
                    out.push_quoted(&quoted);
                    return Ok(());
                }
                Some('$') => quoted.push_str(&self.dollar()?),
                Some(mut character) => {
                    self.at += character.len_utf8();
                    if character == self.options.escape {
                        if self.options.keep_escapes {
                            quoted.push(character);
                        }
                        match self.peek() {
                            None => continue,
                            Some(next) if next == '"' || next == '$' || next == self.options.escape => {
                                self.at += next.len_utf8();
                                character = next;
                            }
                            Some(_) => {}
                        }
                    }
                    quoted.push(character);
                }
            }
        }
    }

    /// The white space between `<<` and the name of a heredoc does not split words.
    fn less_than(&mut self, out: &mut Output) {
        let begin = self.at;
        self.at += 1;
        if self.take_if('<') {
            self.take_while(|character| matches!(character, ' ' | '\t' | '\r'));
        }
        out.push_quoted(&self.text[begin..self.at]);
    }

    fn look_up(&mut self, begin: usize, name: &str) -> Result<Option<String>, ExpandError> {
        let value = (self.lookup)(name);
        self.count(begin, value.as_ref().map_or(0, String::len))?;
        Ok(value)
    }

    fn count(&mut self, begin: usize, bytes: usize) -> Result<(), ExpandError> {
        self.looked_up = self.looked_up.saturating_add(bytes);
        if self.looked_up > LONGEST { Err(Self::error(begin, ExpandFault::TooLong)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
