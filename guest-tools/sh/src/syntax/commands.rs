//! Lists, pipelines, simple and compound commands, redirections.

use std::rc::Rc;

use super::ast::*;
use super::{Parsed, Parser, PendingDocument, is_name, is_name_byte, is_name_start};

/// Words that end a list when they stand where a command would.
const CLOSING_WORDS: [&[u8]; 8] = [b"then", b"else", b"elif", b"fi", b"do", b"done", b"esac", b"}"];

pub(super) fn is_meta(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
}

impl Parser<'_> {
    /// The commands of the next line that has any; `None` at the end.
    pub fn next_command(&mut self) -> Parsed<Option<List>> {
        self.begun = false;
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
    }

    /// The end of a line, and the here-documents that follow it. Whether more lines follow is not asked: the command
    /// may end here.
    fn newline(&mut self) -> Parsed<()> {
        self.position += 1;
        self.line += 1;
        self.read_here_documents()
    }

    fn skip_newlines(&mut self) -> Parsed<()> {
        self.skip_blanks();
        while self.peek() == Some(b'\n') {
            self.newline()?;
            self.fill();
            self.skip_blanks();
        }
        Ok(())
    }

    /// The word here, if it is plain text that could be a reserved word.
    fn plain_word(&self) -> Option<&[u8]> {
        let rest = &self.source[self.position..];
        let length = rest.iter().position(|&byte| is_meta(byte)).unwrap_or(rest.len());
        let word = &rest[..length];
        let plain = !word.is_empty() && !word.iter().any(|byte| b"\\'\"$`".contains(byte));
        plain.then_some(word)
    }

    fn at_word(&self, word: &[u8]) -> bool {
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
        while self.at_word(b"!") {
            self.position += 1;
            self.skip_blanks();
            negated = !negated;
        }
        let mut commands = vec![self.command()?];
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'|') || self.peek_at(1) == Some(b'|') {
                return Ok(Pipeline { negated, commands });
            }
            self.position += 1;
            self.skip_newlines()?;
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parsed<Command> {
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
        self.skip_blanks();
        if self.peek() == Some(b';') {
            self.position += 1;
        }
        self.expect_word("do")?;
        Ok(Compound::For { name, words, body: self.body("done")? })
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
            let falls_through = self.starts_with(b";&");
            arms.push(Arm { patterns, body, falls_through });
            if falls_through || self.starts_with(b";;") {
                self.position += 2;
            } else if !self.at_word(b"esac") {
                return self.unexpected(Some(";;"));
            }
        }
    }

    fn simple(&mut self) -> Parsed<Command> {
        let mut simple = Simple { line: self.line, ..Simple::default() };
        loop {
            self.skip_blanks();
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
                continue;
            }
            if simple.words.is_empty()
                && let Some(name) = self.assignment_name()
            {
                self.position += name.len() + 1;
                let value = self.word()?.unwrap_or_default();
                simple.assignments.push((name, value));
                continue;
            }
            let Some(word) = self.word()? else { break };
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
        if name.iter().any(|byte| b"\\'\"$`=/".contains(byte)) {
            return self.error("Bad function name");
        }
        self.position += 1;
        self.skip_newlines()?;
        let body = self.command()?;
        Ok(Command::Function(name.to_vec(), Rc::new(body)))
    }

    fn assignment_name(&self) -> Option<Vec<u8>> {
        let rest = &self.source[self.position..];
        let length = rest.iter().position(|&byte| !is_name_byte(byte))?;
        let assigns = length > 0 && rest[length] == b'=' && is_name_start(rest[0]);
        assigns.then(|| rest[..length].to_vec())
    }

    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        let digits = self.source[self.position..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = match self.peek_at(digits) {
            Some(b'<' | b'>') if digits > 0 => {
                let text = String::from_utf8_lossy(&self.source[self.position..self.position + digits]).into_owned();
                match text.parse() {
                    Ok(number) => Some(number),
                    Err(_) => return self.error("Bad fd number"),
                }
            }
            Some(b'<' | b'>') => None,
            _ => return Ok(None),
        };
        self.position += digits;
        let operators: [&[u8]; 10] = [b"<<-", b"<<<", b"<<", b"<&", b"<>", b"<", b">>", b">&", b">|", b">"];
        let operator = operators.iter().find(|operator| self.starts_with(operator));
        let operator = *operator.expect("the byte here is < or >");
        self.position += operator.len();
        let fd = number.unwrap_or(u32::from(operator[0] == b'>'));
        self.skip_blanks();
        let Some(word) = self.word()? else { return self.unexpected(None) };
        let target = match operator {
            b"<" => Target::Read(word),
            b">" => Target::Write(word),
            b">|" => Target::Clobber(word),
            b">>" => Target::Append(word),
            b"<>" => Target::ReadWrite(word),
            b"<&" => Target::Duplicate { output: false, source: word },
            b">&" => Target::Duplicate { output: true, source: word },
            b"<<<" => Target::HereString(word),
            _ => Target::HereDocument(self.here_document(&word, operator == b"<<-")),
        };
        Ok(Some(Redirect { fd, target }))
    }

    fn here_document(&mut self, word: &Word, strip_tabs: bool) -> Rc<HereDocument> {
        let literal = word.text.iter().any(|byte| b"\\'\"".contains(byte));
        let mut delimiter = Vec::new();
        unquoted_text(&word.parts, &word.text, literal, &mut delimiter);
        let document = Rc::new(HereDocument { literal, ..HereDocument::default() });
        self.pending.push(PendingDocument { document: document.clone(), delimiter, strip_tabs });
        document
    }

    fn read_here_documents(&mut self) -> Parsed<()> {
        for pending in std::mem::take(&mut self.pending) {
            let first_line = self.line;
            let mut body = Vec::new();
            loop {
                self.fill();
                if self.peek().is_none() {
                    break;
                }
                let rest = &self.source[self.position..];
                let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                let mut line = &rest[..length];
                if pending.strip_tabs {
                    let tabs = line.iter().take_while(|&&byte| byte == b'\t').count();
                    line = &line[tabs..];
                }
                let ends = line == pending.delimiter;
                if !ends {
                    body.extend_from_slice(line);
                    body.push(b'\n');
                }
                self.position = (self.position + length + 1).min(self.source.len());
                self.line += 1;
                if ends {
                    break;
                }
            }
            let word = if pending.document.literal {
                Word { parts: vec![Part::Quoted(body.clone())], text: body }
            } else {
                Parser::new(&body, first_line).here_document_word()?
            };
            pending.document.body.set(word).expect("each document is read once");
        }
        Ok(())
    }
}

/// The delimiter as the lines are compared with: quotes removed, nothing expanded.
fn unquoted_text(parts: &[Part], text: &[u8], quoted: bool, out: &mut Vec<u8>) {
    if !quoted {
        out.extend_from_slice(text);
        return;
    }
    for part in parts {
        match part {
            Part::Literal(text) | Part::Quoted(text) => out.extend_from_slice(text),
            Part::Double(parts) => unquoted_text(parts, b"", true, out),
            Part::Parameter(parameter) => {
                out.push(b'$');
                out.extend_from_slice(&parameter.name);
            }
            Part::Command(_) | Part::Arithmetic(_) => {}
        }
    }
}
