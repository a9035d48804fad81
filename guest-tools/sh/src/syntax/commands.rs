//! Lists, pipelines, simple and compound commands.

use std::rc::Rc;

use super::ast::*;
use super::words::Mode;
use super::{Parsed, Parser, is_name};

/// Words that end a list when they stand where a command would.
const CLOSING_WORDS: [&[u8]; 8] = [b"then", b"else", b"elif", b"fi", b"do", b"done", b"esac", b"}"];

/// The builtins whose arguments can be assignments.
pub(crate) const DECLARING: [&[u8]; 5] = [b"export", b"readonly", b"local", b"declare", b"typeset"];

/// Words that mean something where a command begins.
pub(crate) const RESERVED: [&[u8]; 20] = [
    b"!",
    b"{",
    b"}",
    b"[[",
    b"]]",
    b"case",
    b"do",
    b"done",
    b"elif",
    b"else",
    b"esac",
    b"fi",
    b"for",
    b"function",
    b"if",
    b"in",
    b"then",
    b"time",
    b"until",
    b"while",
];

pub(super) fn is_meta(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
}

impl Parser<'_> {
    /// The commands of the next line that has any; `None` at the end.
    pub fn next_command(&mut self) -> Parsed<Option<List>> {
        self.begun = false;
        self.retries = 0;
        self.fill();
        self.skip_newlines()?;
        if self.peek().is_none() {
            return Ok(None);
        }
        self.begun = true;
        let mut list = List::default();
        loop {
            let Some(item) = self.item()? else {
                return self.unexpected(None);
            };
            list.0.push(item);
            self.skip_blanks();
            match self.peek() {
                None => break,
                Some(b'\n') => {
                    self.newline()?;
                    break;
                }
                _ if self.at_list_end() => return self.unexpected(None),
                _ => {}
            }
        }
        if self.peek().is_none() {
            self.read_here_documents()?;
        }
        Ok(Some(list))
    }

    /// Spaces, continued lines and a comment.
    pub(super) fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.position += 1,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => {
                    self.position += 2;
                    self.line += 1;
                    self.fill();
                }
                Some(b'#') => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.position += 1;
                    }
                }
                _ => break,
            }
        }
        self.join_continued();
    }

    /// The end of a line, and the here-documents that follow it. Whether more lines follow is not asked: the command
    /// may end here.
    fn newline(&mut self) -> Parsed<()> {
        self.position += 1;
        self.line += 1;
        self.read_here_documents()
    }

    pub(super) fn skip_newlines(&mut self) -> Parsed<()> {
        self.skip_blanks();
        while self.peek() == Some(b'\n') {
            self.newline()?;
            self.fill();
            self.skip_blanks();
        }
        Ok(())
    }

    /// The word here, if it is plain text that could be a reserved word.
    pub(super) fn plain_word(&self) -> Option<&[u8]> {
        let rest = &self.source[self.position..];
        let length = rest.iter().position(|&byte| is_meta(byte)).unwrap_or(rest.len());
        let word = &rest[..length];
        let plain = !word.is_empty() && !word.iter().any(|byte| b"\\'\"$`".contains(byte));
        plain.then_some(word)
    }

    pub(super) fn at_word(&self, word: &[u8]) -> bool {
        self.plain_word() == Some(word)
    }

    fn at_list_end(&self) -> bool {
        match self.peek() {
            None | Some(b')') => true,
            Some(b';') => matches!(self.peek_at(1), Some(b';' | b'&')),
            _ => self.plain_word().is_some_and(|word| CLOSING_WORDS.contains(&word)),
        }
    }

    pub(super) fn unexpected<T>(&self, expecting: Option<&str>) -> Parsed<T> {
        let found = match self.peek() {
            None => "end of file".to_string(),
            Some(b'\n') => "newline".to_string(),
            Some(byte) => {
                let rest = &self.source[self.position..];
                let operators: [&[u8]; 9] = [b";;", b"&&", b"||", b"<<", b">>", b">&", b"<&", b"<>", b">|"];
                let text = match operators.iter().find(|operator| rest.starts_with(operator)) {
                    Some(operator) => operator,
                    None if is_meta(byte) => &rest[..1],
                    None => {
                        let length = rest.iter().position(|&byte| is_meta(byte)).unwrap_or(rest.len());
                        let word = &rest[..length];
                        if !CLOSING_WORDS.contains(&word) && word != b"{" && word != b"!" && word != b"in" {
                            let hint = expecting.map(|word| format!(" (expecting \"{word}\")")).unwrap_or_default();
                            return self.error(format!("word unexpected{hint}"));
                        }
                        word
                    }
                };
                format!("\"{}\"", String::from_utf8_lossy(text))
            }
        };
        let hint = expecting.map(|word| format!(" (expecting \"{word}\")")).unwrap_or_default();
        self.error(format!("{found} unexpected{hint}"))
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        self.skip_newlines()?;
        if !self.at_word(word.as_bytes()) {
            return self.unexpected(Some(word));
        }
        self.position += word.len();
        Ok(())
    }

    /// Commands up to a word or sign that closes them.
    pub(super) fn list(&mut self) -> Parsed<List> {
        self.deeper(|parser| {
            let mut list = List::default();
            loop {
                parser.skip_newlines()?;
                match parser.item()? {
                    Some(item) => list.0.push(item),
                    None => return Ok(list),
                }
            }
        })
    }

    fn body(&mut self, closing: &str) -> Parsed<List> {
        let list = self.list()?;
        if list.0.is_empty() {
            return self.unexpected(None);
        }
        if !self.at_word(closing.as_bytes()) {
            return self.unexpected(Some(closing));
        }
        self.position += closing.len();
        Ok(list)
    }

    /// One and-or list with its separator, unless the list ends here.
    fn item(&mut self) -> Parsed<Option<Item>> {
        self.skip_blanks();
        if self.at_list_end() {
            return Ok(None);
        }
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.skip_blanks();
            let connector = match self.peek() {
                Some(b'&') if self.peek_at(1) == Some(b'&') => Connector::And,
                Some(b'|') if self.peek_at(1) == Some(b'|') => Connector::Or,
                _ => break,
            };
            self.position += 2;
            self.skip_newlines()?;
            rest.push((connector, self.pipeline()?));
        }
        let mut background = false;
        match self.peek() {
            Some(b'&') => {
                self.position += 1;
                background = true;
            }
            Some(b';') if !matches!(self.peek_at(1), Some(b';' | b'&')) => self.position += 1,
            None | Some(b'\n' | b';' | b')') => {}
            _ if self.at_list_end() => {}
            _ => return self.unexpected(None),
        }
        Ok(Some(Item { and_or: AndOr { first, rest }, background }))
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut negated = false;
        let mut timed = false;
        loop {
            self.substitute_alias();
            if self.at_word(b"!") {
                self.position += 1;
                negated = !negated;
            } else if !timed && self.at_word(b"time") {
                timed = true;
                self.position += 4;
                self.skip_blanks();
                if self.at_word(b"-p") {
                    self.position += 2;
                }
            } else {
                break;
            }
            self.skip_blanks();
        }
        let mut commands = vec![self.command()?];
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'|') || self.peek_at(1) == Some(b'|') {
                return Ok(Pipeline { negated, timed, commands });
            }
            self.position += 1;
            if self.peek() == Some(b'&') {
                self.position += 1;
                if let Some(Command::Simple(Simple { redirects, .. }) | Command::Compound(_, redirects)) =
                    commands.last_mut()
                {
                    let one = Word { parts: vec![Part::Literal(b"1".to_vec())], text: b"1".to_vec() };
                    redirects.push(Redirect { fd: 2, target: Target::Duplicate { output: true, source: one } });
                }
            }
            self.skip_newlines()?;
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        self.substitute_alias();
        if self.starts_with(b"((")
            && let Some(arithmetic) = self.attempt(Parser::arithmetic_command)?
        {
            return self.redirected(arithmetic);
        }
        if self.peek() == Some(b'(') {
            self.position += 1;
            let list = self.list()?;
            if self.peek() != Some(b')') || list.0.is_empty() {
                return self.unexpected(Some(")").filter(|_| !list.0.is_empty()));
            }
            self.position += 1;
            return self.redirected(Compound::Subshell(list));
        }
        let Some(word) = self.plain_word() else {
            return self.simple();
        };
        let keyword_length = word.len();
        let compound = match word {
            b"{" => {
                self.position += keyword_length;
                Compound::Brace(self.body("}")?)
            }
            b"if" => {
                self.position += keyword_length;
                self.if_clause()?
            }
            b"for" => {
                self.position += keyword_length;
                self.for_clause()?
            }
            b"while" | b"until" => {
                let until = word == b"until";
                self.position += keyword_length;
                let condition = self.body("do")?;
                Compound::While { until, condition, body: self.body("done")? }
            }
            b"case" => {
                self.position += keyword_length;
                self.case_clause()?
            }
            b"[[" => {
                let line = self.line;
                self.position += keyword_length;
                Compound::Condition(line, self.condition()?)
            }
            b"function" => {
                self.position += keyword_length;
                return self.function_clause();
            }
            _ if CLOSING_WORDS.contains(&word) => return self.unexpected(None),
            _ => return self.simple(),
        };
        self.redirected(compound)
    }

    fn redirected(&mut self, compound: Compound) -> Parsed<Command> {
        let mut redirects = Vec::new();
        loop {
            self.skip_blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(Command::Compound(compound, redirects)),
            }
        }
    }

    fn if_clause(&mut self) -> Parsed<Compound> {
        let mut branches = Vec::new();
        loop {
            let condition = self.body("then")?;
            let then = self.list()?;
            if then.0.is_empty() {
                return self.unexpected(None);
            }
            branches.push((condition, then));
            if self.at_word(b"elif") {
                self.position += 4;
            } else if self.at_word(b"else") {
                self.position += 4;
                let otherwise = Some(self.body("fi")?);
                return Ok(Compound::If { branches, otherwise });
            } else if self.at_word(b"fi") {
                self.position += 2;
                return Ok(Compound::If { branches, otherwise: None });
            } else {
                return self.unexpected(Some("fi"));
            }
        }
    }

    fn for_clause(&mut self) -> Parsed<Compound> {
        self.skip_blanks();
        if self.starts_with(b"((") {
            return self.counting_for();
        }
        let name = match self.plain_word() {
            Some(word) if is_name(word) => word.to_vec(),
            _ => return self.error("Bad for loop variable"),
        };
        self.position += name.len();
        self.skip_newlines()?;
        let mut words = None;
        if self.at_word(b"in") {
            self.position += 2;
            let mut list = Vec::new();
            loop {
                self.skip_blanks();
                match self.word()? {
                    Some(word) => list.push(word),
                    None => break,
                }
            }
            if !matches!(self.peek(), Some(b'\n' | b';')) {
                return self.unexpected(None);
            }
            words = Some(list);
        }
        Ok(Compound::For { name, words, body: self.loop_body()? })
    }

    fn loop_body(&mut self) -> Parsed<List> {
        self.skip_blanks();
        if self.peek() == Some(b';') {
            self.position += 1;
        }
        self.skip_newlines()?;
        if self.at_word(b"{") {
            self.position += 1;
            return self.body("}");
        }
        self.expect_word("do")?;
        self.body("done")
    }

    /// `for ((start; condition; step))`
    fn counting_for(&mut self) -> Parsed<Compound> {
        self.position += 2;
        let mut clauses = [Word::default(), Word::default(), Word::default()];
        for (index, clause) in clauses.iter_mut().enumerate() {
            *clause = self.word_in(if index < 2 { Mode::Clause } else { Mode::Arithmetic })?;
            if index < 2 && self.peek() != Some(b';') {
                return self.unexpected(Some(";"));
            }
            self.position += if index < 2 { 1 } else { 2 };
        }
        let [start, condition, step] = clauses;
        Ok(Compound::Count { start, condition, step, body: self.loop_body()? })
    }

    /// `(( … ))`, unless it is two subshells within each other.
    fn arithmetic_command(&mut self) -> Parsed<Option<Compound>> {
        let line = self.line;
        self.position += 2;
        let expression = self.word_in(Mode::Arithmetic)?;
        self.position += 2;
        Ok(Some(Compound::Arithmetic(line, expression)))
    }

    fn case_clause(&mut self) -> Parsed<Compound> {
        self.skip_blanks();
        let Some(word) = self.word()? else { return self.unexpected(None) };
        self.expect_word("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.at_word(b"esac") {
                self.position += 4;
                return Ok(Compound::Case { word, arms });
            }
            if self.peek() == Some(b'(') {
                self.position += 1;
                self.skip_blanks();
            }
            let mut patterns = Vec::new();
            loop {
                let Some(pattern) = self.word()? else { return self.unexpected(None) };
                patterns.push(pattern);
                self.skip_blanks();
                match self.peek() {
                    Some(b'|') => self.position += 1,
                    Some(b')') => break,
                    _ => return self.unexpected(Some(")")),
                }
                self.skip_blanks();
            }
            self.position += 1;
            let body = self.list()?;
            let (end, length) = match () {
                () if self.starts_with(b";;&") => (ArmEnd::TryNext, 3),
                () if self.starts_with(b";&") => (ArmEnd::FallThrough, 2),
                () if self.starts_with(b";;") => (ArmEnd::Leave, 2),
                () if self.at_word(b"esac") => (ArmEnd::Leave, 0),
                () => return self.unexpected(Some(";;")),
            };
            self.position += length;
            arms.push(Arm { patterns, body, end });
        }
    }

    fn simple(&mut self) -> Parsed<Command> {
        let mut simple = Simple { line: self.line, ..Simple::default() };
        let mut declares = false;
        loop {
            self.skip_blanks();
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
                continue;
            }
            if simple.words.is_empty() || self.past_blank_alias() {
                self.substitute_alias();
            }
            if simple.words.is_empty()
                && let Some(assignment) = self.assignment()?
            {
                simple.assignments.push(assignment);
                continue;
            }
            let start = self.position;
            if declares && let Some(assignment) = self.assignment()? {
                let text = self.source[start..self.position].to_vec();
                simple.words.push(Word { parts: vec![Part::Assignment(Box::new(assignment))], text });
                continue;
            }
            // The name of a function is not a pattern.
            self.groups = !simple.words.is_empty();
            let word = self.word();
            self.groups = true;
            let Some(word) = word? else { break };
            if simple.words.is_empty() {
                declares = DECLARING.contains(&word.text.as_slice());
            }
            simple.words.push(word);
            let first = simple.words.len() == 1 && simple.assignments.is_empty() && simple.redirects.is_empty();
            if first {
                self.skip_blanks();
                if self.peek() == Some(b'(') {
                    return self.function(&simple.words[0].text);
                }
            }
        }
        if simple.words.is_empty() && simple.assignments.is_empty() && simple.redirects.is_empty() {
            return self.unexpected(None);
        }
        Ok(Command::Simple(simple))
    }

    fn function(&mut self, name: &[u8]) -> Parsed<Command> {
        let open = self.position;
        self.position += 1;
        self.skip_blanks();
        if self.peek() != Some(b')') {
            self.position = open;
            return self.unexpected(None);
        }
        self.position += 1;
        self.function_body(name)
    }

    /// `function name`, with or without parentheses.
    fn function_clause(&mut self) -> Parsed<Command> {
        self.skip_blanks();
        let Some(name) = self.plain_word().map(<[u8]>::to_vec) else { return self.unexpected(None) };
        self.position += name.len();
        self.skip_blanks();
        if self.peek() == Some(b'(') {
            self.position += 1;
            self.skip_blanks();
            if self.peek() != Some(b')') {
                return self.unexpected(Some(")"));
            }
            self.position += 1;
        }
        self.function_body(&name)
    }

    fn function_body(&mut self, name: &[u8]) -> Parsed<Command> {
        if name.iter().any(|byte| b"\\'\"$`=/".contains(byte)) {
            return self.error("Bad function name");
        }
        self.skip_newlines()?;
        let body = self.deeper(Self::command)?;
        Ok(Command::Function(name.to_vec(), Rc::new(body)))
    }
}
