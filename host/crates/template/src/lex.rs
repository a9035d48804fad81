//! Text into tokens, as Go's template/parse does it.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Open,
    Close,
    Space,
    /// `.Name`, with its dot.
    Field,
    /// `$` or `$name`, with its dollar.
    Variable,
    Identifier,
    Keyword,
    Dot,
    Nil,
    Bool,
    Character,
    Number,
    Quoted,
    Raw,
    Declare,
    Assign,
    Pipe,
    LeftParen,
    RightParen,
    /// What no action has, but for the comma of `range $i, $x`.
    Other,
    End,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    pub(crate) text: &'a str,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const KEYWORDS: [&str; 10] = ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

pub(crate) struct Lexer<'a> {
    input: &'a str,
    at: usize,
    inside: bool,
    parens: usize,
    /// White space before the next text goes.
    trim: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Self { input, at: 0, inside: false, parens: 0, trim: false }
    }

    /// The next token; the last one is `End`.
    pub(crate) fn next(&mut self) -> Result<Token<'a>, String> {
        if self.inside { self.action() } else { self.text() }
    }

    fn rest(&self) -> &'a str {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn token(&self, kind: Kind, start: usize) -> Token<'a> {
        Token { kind, at: start, text: &self.input[start..self.at] }
    }

    fn text(&mut self) -> Result<Token<'a>, String> {
        loop {
            if std::mem::take(&mut self.trim) {
                self.at = self.input.len() - self.rest().trim_start_matches(is_space).len();
            }
            let start = self.at;
            let rest = self.rest();
            let Some(length) = rest.find(OPEN) else {
                self.at = self.input.len();
                return Ok(self.token(if rest.is_empty() { Kind::End } else { Kind::Text }, start));
            };
            if length > 0 {
                self.at += length;
                let text = &rest[..length];
                let trimmed = trims_left(self.after_open());
                let text = if trimmed { text.trim_end_matches(is_space) } else { text };
                if text.is_empty() {
                    continue;
                }
                return Ok(Token { kind: Kind::Text, at: start, text });
            }
            let after = self.after_open();
            let begin = if trims_left(after) { after[1..].trim_start_matches(is_space) } else { after };
            if begin.starts_with("/*") {
                self.comment(begin)?;
                continue;
            }
            self.at += OPEN.len();
            if trims_left(after) {
                self.at += 1;
            }
            self.inside = true;
            self.parens = 0;
            return Ok(Token { kind: Kind::Open, at: start, text: OPEN });
        }
    }

    fn after_open(&self) -> &'a str {
        &self.rest()[OPEN.len()..]
    }

    fn comment(&mut self, begin: &'a str) -> Result<(), String> {
        let length = begin.find("*/").ok_or("unclosed comment")?;
        let after = &begin[length + 2..];
        let (close, trim) = closing(after).ok_or("comment ends before closing delimiter")?;
        self.trim = trim;
        self.at = self.input.len() - after.len() + close;
        Ok(())
    }

    fn action(&mut self) -> Result<Token<'a>, String> {
        let start = self.at;
        if let Some((length, trim)) = closing(self.rest()) {
            if self.parens > 0 {
                return Err("unclosed left paren".to_owned());
            }
            self.at += length;
            self.inside = false;
            self.trim = trim;
            return Ok(Token { kind: Kind::Close, at: start, text: CLOSE });
        }
        let Some(first) = self.bump() else { return Err("unclosed action".to_owned()) };
        let kind = match first {
            _ if is_space(first) => {
                // The last space before a dash may belong to the end of the action.
                while self.peek().is_some_and(is_space) && closing(self.rest()).is_none() {
                    self.bump();
                }
                Kind::Space
            }
            '=' => Kind::Assign,
            ':' if self.peek() == Some('=') => {
                self.bump();
                Kind::Declare
            }
            ':' => return Err("expected :=".to_owned()),
            '|' => Kind::Pipe,
            '"' => self.quoted('"', "unterminated quoted string").map(|()| Kind::Quoted)?,
            '\'' => self.quoted('\'', "unterminated character constant").map(|()| Kind::Character)?,
            '`' => {
                let length = self.rest().find('`').ok_or("unterminated raw quoted string")?;
                self.at += length + 1;
                Kind::Raw
            }
            '$' => self.name(Kind::Variable, Kind::Variable)?,
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => self.name(Kind::Field, Kind::Dot)?,
            '.' | '+' | '-' | '0'..='9' => {
                self.at = start;
                self.number()?;
                Kind::Number
            }
            _ if is_alphanumeric(first) => self.word(start)?,
            '(' => {
                self.parens += 1;
                Kind::LeftParen
            }
            ')' => {
                self.parens = self.parens.checked_sub(1).ok_or("unexpected right paren")?;
                Kind::RightParen
            }
            ' '..='~' => Kind::Other,
            other => return Err(format!("unrecognized character in action: U+{:04X} {other:?}", u32::from(other))),
        };
        Ok(self.token(kind, start))
    }

    fn word(&mut self, start: usize) -> Result<Kind, String> {
        self.name(Kind::Identifier, Kind::Identifier)?;
        Ok(match &self.input[start..self.at] {
            "nil" => Kind::Nil,
            "true" | "false" => Kind::Bool,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        })
    }

    fn name(&mut self, long: Kind, alone: Kind) -> Result<Kind, String> {
        let before = self.at;
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
        match self.peek() {
            Some(next) if !(is_space(next) || ".,|:)(=}".contains(next)) => {
                Err(format!("bad character U+{:04X} {next:?}", u32::from(next)))
            }
            _ => Ok(if self.at > before { long } else { alone }),
        }
    }

    fn quoted(&mut self, end: char, unterminated: &str) -> Result<(), String> {
        loop {
            let next = match self.bump() {
                Some('\\') => self.bump().filter(|&next| next != '\n').map(|_| '\\'),
                next => next.filter(|&next| next != '\n'),
            };
            match next {
                None => return Err(unterminated.to_owned()),
                Some(next) if next == end => return Ok(()),
                Some(_) => {}
            }
        }
    }

    /// Takes more than numbers: whether it is one is found out when its value is.
    fn number(&mut self) -> Result<(), String> {
        let start = self.at;
        let accept = |lexer: &mut Self, set: &str| {
            let found = lexer.peek().is_some_and(|next| set.contains(next));
            if found {
                lexer.bump();
            }
            found
        };
        accept(self, "+-");
        let mut digits = "0123456789_";
        let mut hexadecimal = false;
        if accept(self, "0") {
            if accept(self, "xX") {
                digits = "0123456789abcdefABCDEF_";
                hexadecimal = true;
            } else if accept(self, "oO") {
                digits = "01234567_";
            } else if accept(self, "bB") {
                digits = "01_";
            }
        }
        while accept(self, digits) {}
        if accept(self, ".") {
            while accept(self, digits) {}
        }
        if accept(self, if hexadecimal { "pP" } else { "eE" }) {
            accept(self, "+-");
            while accept(self, "0123456789_") {}
        }
        if self.peek().is_some_and(|next| is_alphanumeric(next) || "+-".contains(next)) {
            self.bump();
            return Err(format!("bad number syntax: {:?}", &self.input[start..self.at]));
        }
        Ok(())
    }
}

/// The length of an action's end at the beginning of `text`, and whether white space behind it goes.
fn closing(text: &str) -> Option<(usize, bool)> {
    if text.starts_with(CLOSE) {
        return Some((CLOSE.len(), false));
    }
    let first = text.chars().next().filter(|&first| is_space(first))?;
    let length = first.len_utf8() + 1 + CLOSE.len();
    let trims = text[first.len_utf8()..].strip_prefix('-')?.starts_with(CLOSE);
    trims.then_some((length, true))
}

/// Whether an action that begins like this takes away the white space before it.
fn trims_left(after_open: &str) -> bool {
    after_open.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
