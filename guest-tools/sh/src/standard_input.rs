//! The program on standard input. It is read line by line and each command runs before the next is read, so that
//! commands can read from there too, and a person at a terminal sees what each one does.

use std::io::{self, IsTerminal, Read};

use crate::options::Flag;
use crate::state::{Run, STATUS_ERROR, Shell, Stop};
use crate::streams::Stream;
use crate::syntax::Parser;
use crate::syntax::ast::List;
use crate::variables::Value;

impl Shell {
    /// Whether a person types the program.
    pub(crate) fn is_at_terminal(&self) -> bool {
        matches!(self.streams.get(&0), Some(Stream::File(file)) if file.is_terminal())
    }

    /// An interactive shell prompts, and goes on after errors.
    pub(crate) fn evaluate_standard_input(&mut self) -> Run {
        let interactive = self.options.get(Flag::Interactive);
        if interactive {
            for (name, prompt) in [(b"PS1", b"$ "), (b"PS2", b"> ")] {
                self.variable_mut(name).value.get_or_insert_with(|| Value::Text(prompt.to_vec()));
            }
        }
        let mut line = 1;
        let mut ran = false;
        loop {
            let result = match self.next_command(&mut line) {
                Ok(Some(list)) => {
                    ran = true;
                    self.list(&list)
                }
                Ok(None) => {
                    if interactive {
                        // The prompt must not stand before what is printed next. A lost prompt is no failure.
                        let _ = self.write(2, b"\n");
                    }
                    if !ran {
                        self.status = 0;
                    }
                    return Ok(());
                }
                Err(stop) => Err(stop),
            };
            match result {
                Err(Stop::Error) if interactive => self.status = STATUS_ERROR,
                other => other?,
            }
        }
    }

    fn next_command(&mut self, line: &mut u32) -> Result<Option<List>, Stop> {
        let mut failed = None;
        let aliases = self.aliases.clone();
        let mut lines = |continued| match self.next_line(continued) {
            Ok(text) => (!text.is_empty()).then_some(text),
            Err(error) => {
                failed = Some(error);
                None
            }
        };
        let mut parser = Parser::reading(&mut lines, *line);
        parser.aliases = aliases;
        let parsed = parser.next_command();
        *line = parser.line();
        if let Some(error) = failed {
            self.fail_io("standard input", &error);
            return Err(Stop::Exit(STATUS_ERROR));
        }
        parsed.map_err(|error| self.syntax_error(&error))
    }

    /// A line with its newline, read byte by byte so that whatever follows is left to commands; empty at the end.
    fn next_line(&mut self, continued: bool) -> io::Result<Vec<u8>> {
        if self.options.get(Flag::Interactive) {
            self.prompt(if continued { b"PS2" } else { b"PS1" });
        }
        let mut line = Vec::new();
        let Some(mut stream) = self.streams.get(&0) else { return Ok(line) };
        let mut byte = [0];
        while line.last() != Some(&b'\n') && stream.read(&mut byte)? > 0 {
            line.push(byte[0]);
        }
        Ok(line)
    }

    fn prompt(&mut self, name: &[u8]) {
        let prompt = self.expand_prompt(name);
        // A lost prompt is no failure.
        let _ = self.write(2, &prompt);
    }

    /// The text of `PS1`, `PS2` or `PS4`.
    pub(crate) fn expand_prompt(&mut self, name: &[u8]) -> Vec<u8> {
        let text = self.value(name).unwrap_or_default().to_vec();
        if !text.iter().any(|byte| b"$`\\".contains(byte)) {
            return text;
        }
        let status = self.status;
        let word = Parser::new(&text, self.line).here_document_word().ok();
        let expanded = word.and_then(|word| self.expand_document(&word).ok());
        self.status = status;
        expanded.unwrap_or(text)
    }
}
