//! A syntax tree as text that parses to the same tree: how functions and pipeline members reach another instance of
//! the shell.

use super::ast::*;

/// The list as a program, with a newline at its end.
pub fn list(list: &List) -> Vec<u8> {
    let mut printer = Printer::default();
    printer.list(list);
    printer.out
}

pub fn command(command: &Command) -> Vec<u8> {
    let mut printer = Printer::default();
    printer.command(command);
    printer.newline();
    printer.out
}

/// The text in single quotes, so that a shell reads it as one word.
pub fn quote(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for &byte in text {
        if byte == b'\'' {
            out.extend_from_slice(b"'\\''");
        } else {
            out.push(byte);
        }
    }
    out.push(b'\'');
    out
}

/// The text, in quotes only if a shell would not read it as one word of this text without.
pub fn quote_if_needed(text: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+=/.,:@%^".contains(byte);
    if !text.is_empty() && text.iter().all(plain) { text.to_vec() } else { quote(text) }
}

#[derive(Default)]
struct Printer<'a> {
    out: Vec<u8>,
    documents: Vec<&'a HereDocument>,
}

impl<'a> Printer<'a> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn word(&mut self, word: &Word) {
        self.out.extend_from_slice(&word.text);
    }

    /// Ends the line, after which the bodies of its here-documents stand.
    fn newline(&mut self) {
        self.out.push(b'\n');
        for document in std::mem::take(&mut self.documents) {
            if let Some(body) = document.body.get() {
                self.out.extend_from_slice(&body.text);
            }
            let delimiter = delimiter(document);
            self.out.extend_from_slice(&delimiter);
            self.out.push(b'\n');
        }
    }

    fn list(&mut self, list: &'a List) {
        for item in &list.0 {
            self.pipeline(&item.and_or.first);
            for (connector, pipeline) in &item.and_or.rest {
                self.text(if *connector == Connector::And { " && " } else { " || " });
                self.pipeline(pipeline);
            }
            if item.background {
                self.text(" &");
            }
            self.newline();
        }
    }

    fn pipeline(&mut self, pipeline: &'a Pipeline) {
        if pipeline.negated {
            self.text("! ");
        }
        if pipeline.timed {
            self.text("time ");
        }
        for (index, command) in pipeline.commands.iter().enumerate() {
            if index > 0 {
                self.text(" | ");
            }
            self.command(command);
        }
    }

    fn command(&mut self, command: &'a Command) {
        match command {
            Command::Simple(simple) => {
                let mut first = true;
                let mut space = |printer: &mut Self| {
                    if !std::mem::take(&mut first) {
                        printer.text(" ");
                    }
                };
                for assignment in &simple.assignments {
                    space(self);
                    self.assignment(assignment);
                }
                // Before the words, where a word such as `if` is not taken for a reserved one.
                for redirect in &simple.redirects {
                    space(self);
                    self.redirect(redirect);
                }
                for word in &simple.words {
                    space(self);
                    self.word(word);
                }
            }
            Command::Compound(compound, redirects) => {
                self.compound(compound);
                for redirect in redirects {
                    self.text(" ");
                    self.redirect(redirect);
                }
            }
            Command::Function(name, body) => {
                self.out.extend_from_slice(name);
                self.text("() ");
                self.command(body);
            }
        }
    }

    fn assignment(&mut self, assignment: &Assignment) {
        self.out.extend_from_slice(&assignment.name);
        if let Some(subscript) = &assignment.subscript {
            self.subscript(subscript);
        }
        self.text(if assignment.append { "+=" } else { "=" });
        match &assignment.value {
            Assigned::Text(word) => self.word(word),
            Assigned::Elements(elements) => {
                self.text("(");
                for element in elements {
                    if let Some(key) = &element.key {
                        self.subscript(key);
                        self.text("=");
                    }
                    self.word(&element.value);
                    self.text(" ");
                }
                self.text(")");
            }
        }
    }

    fn subscript(&mut self, word: &Word) {
        self.text("[");
        self.word(word);
        self.text("]");
    }

    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::Not(inner) => {
                self.text("! ");
                self.condition(inner);
            }
            Condition::All(conditions) | Condition::Any(conditions) => {
                let sign = if matches!(condition, Condition::All(_)) { " && " } else { " || " };
                self.text("( ");
                for (index, condition) in conditions.iter().enumerate() {
                    self.text(if index > 0 { sign } else { "" });
                    self.condition(condition);
                }
                self.text(" )");
            }
            Condition::Unary(operator, word) => {
                self.out.extend_from_slice(operator);
                self.text(" ");
                self.word(word);
            }
            Condition::Binary(operator, left, right) => {
                self.word(left);
                self.text(" ");
                self.out.extend_from_slice(operator);
                self.text(" ");
                self.word(right);
            }
        }
    }

    fn body(&mut self, list: &'a List, closing: &str) {
        self.newline();
        self.list(list);
        self.text(closing);
    }

    fn compound(&mut self, compound: &'a Compound) {
        match compound {
            Compound::Brace(list) => {
                self.text("{");
                self.body(list, "}");
            }
            Compound::Subshell(list) => {
                self.text("(");
                self.body(list, ")");
            }
            Compound::If { branches, otherwise } => {
                for (index, (condition, then)) in branches.iter().enumerate() {
                    self.text(if index == 0 { "if" } else { "elif" });
                    self.body(condition, "then");
                    self.body(then, "");
                }
                if let Some(list) = otherwise {
                    self.text("else");
                    self.body(list, "");
                }
                self.text("fi");
            }
            Compound::For { name, words, body } => {
                self.text("for ");
                self.out.extend_from_slice(name);
                if let Some(words) = words {
                    self.text(" in");
                    for word in words {
                        self.text(" ");
                        self.word(word);
                    }
                }
                self.newline();
                self.text("do");
                self.body(body, "done");
            }
            Compound::Count { start, condition, step, body } => {
                self.text("for ((");
                self.word(start);
                self.text(";");
                self.word(condition);
                self.text(";");
                self.word(step);
                self.text("))");
                self.newline();
                self.text("do");
                self.body(body, "done");
            }
            Compound::Arithmetic(_, expression) => {
                self.text("((");
                self.word(expression);
                self.text("))");
            }
            Compound::Condition(_, condition) => {
                self.text("[[ ");
                self.condition(condition);
                self.text(" ]]");
            }
            Compound::While { until, condition, body } => {
                self.text(if *until { "until" } else { "while" });
                self.body(condition, "do");
                self.body(body, "done");
            }
            Compound::Case { word, arms } => {
                self.text("case ");
                self.word(word);
                self.text(" in");
                self.newline();
                for arm in arms {
                    for (index, pattern) in arm.patterns.iter().enumerate() {
                        self.text(if index == 0 { "(" } else { "|" });
                        self.word(pattern);
                    }
                    self.text(")");
                    self.body(
                        &arm.body,
                        match arm.end {
                            ArmEnd::Leave => ";;",
                            ArmEnd::FallThrough => ";&",
                            ArmEnd::TryNext => ";;&",
                        },
                    );
                    self.newline();
                }
                self.text("esac");
            }
        }
    }

    fn redirect(&mut self, redirect: &'a Redirect) {
        if let Target::Both { append, file } = &redirect.target {
            self.text(if *append { "&>>" } else { "&>" });
            return self.word(file);
        }
        self.text(&redirect.fd.to_string());
        let (operator, word) = match &redirect.target {
            Target::Read(word) => ("<", word),
            Target::Write(word) => (">", word),
            Target::Clobber(word) => (">|", word),
            Target::Append(word) => (">>", word),
            Target::ReadWrite(word) => ("<>", word),
            Target::Duplicate { output: false, source } => ("<&", source),
            Target::Duplicate { output: true, source } => (">&", source),
            Target::HereString(word) => ("<<<", word),
            Target::Both { .. } => return,
            Target::HereDocument(document) => {
                self.text("<<");
                let delimiter = delimiter(document);
                self.out.extend_from_slice(&if document.literal { quote(&delimiter) } else { delimiter });
                self.documents.push(document);
                return;
            }
        };
        self.text(operator);
        // `<` and `<(list)` must not become `<<(`.
        self.text(" ");
        self.word(word);
    }
}

/// A line that the body does not contain.
fn delimiter(document: &HereDocument) -> Vec<u8> {
    let text = document.body.get().map(|body| body.text.as_slice()).unwrap_or_default();
    let mut delimiter = b"EOF".to_vec();
    while text.split(|&byte| byte == b'\n').any(|line| line == delimiter) {
        delimiter.push(b'_');
    }
    delimiter
}
