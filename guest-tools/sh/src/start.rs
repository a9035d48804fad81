//! The command line of the shell.

use kiln_tools::context::show;

use crate::builtins;
use crate::options::Flag;
use crate::state::{Run, Shell, Stop};
use crate::syntax::{Parser, SyntaxError};

/// Runs the shell and returns its exit status.
pub fn main(args: Vec<Vec<u8>>, env: Vec<(Vec<u8>, Vec<u8>)>) -> u8 {
    let mut shell = Shell::new(env);
    let result = shell.start(args);
    shell.finish(result)
}

impl Shell {
    fn start(&mut self, args: Vec<Vec<u8>>) -> Run {
        let mut args = args.into_iter().peekable();
        if let Some(name) = args.next().filter(|name| !name.is_empty()) {
            // The stand-in for a missing shell goes by the plain name.
            self.name = name.strip_prefix(b"/.kiln/bin/").map(<[u8]>::to_vec).unwrap_or(name);
            self.is_bash = self.name.rsplit(|&byte| byte == b'/').next() == Some(b"bash");
        }
        let mut command = false;
        let mut read_stdin = false;
        while let Some(arg) = args.next_if(|arg| arg.len() > 1 && matches!(arg[0], b'-' | b'+')) {
            if arg == b"--" {
                break;
            }
            if arg == b"--state" {
                let state = args.next().unwrap_or_default();
                if self.restore(&state).is_none() {
                    return Err(self.fail("--state: not a state of this shell"));
                }
                continue;
            }
            for &letter in &arg[1..] {
                match letter {
                    b'c' if arg[0] == b'-' => command = true,
                    b's' => read_stdin = true,
                    b'l' => {}
                    b'o' => {
                        let name = args.next().unwrap_or_default();
                        builtins::set_named_option(self, &name, arg[0] == b'-')?;
                    }
                    letter => builtins::set_letter_option(self, letter, arg[0] == b'-')?,
                }
            }
        }
        if args.peek().is_some_and(|arg| arg == b"-") {
            args.next();
        }
        let source = if command {
            let Some(source) = args.next() else {
                return Err(self.fail("-c requires an argument"));
            };
            if let Some(name) = args.next() {
                self.name = name;
            }
            source
        } else if let (false, Some(file)) = (read_stdin, args.peek().cloned()) {
            args.next();
            let path = self.path(&file);
            match std::fs::read(&path) {
                Ok(source) => {
                    self.sources.push(file.clone());
                    self.name = file;
                    source
                }
                Err(error) => {
                    self.complain(&format!("cannot open {}: {}", show(&file), builtins::why_not_open(&error)));
                    return Err(Stop::Exit(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }));
                }
            }
        } else {
            self.positional = args.collect();
            if self.is_at_terminal() {
                self.options.set(Flag::Interactive, true);
            }
            return self.evaluate_standard_input();
        };
        self.positional = args.collect();
        self.evaluate(&source)
    }

    /// Runs a text command by command.
    pub(crate) fn evaluate(&mut self, source: &[u8]) -> Run {
        let mut parser = Parser::new(source, 1);
        let mut ran = false;
        loop {
            parser.aliases = self.aliases.clone();
            match parser.next_command() {
                Ok(Some(list)) => {
                    ran = true;
                    self.list(&list)?;
                }
                Ok(None) => {
                    if !ran {
                        self.status = 0;
                    }
                    return Ok(());
                }
                Err(error) => return Err(self.syntax_error(&error)),
            }
        }
    }

    pub(crate) fn syntax_error(&mut self, error: &SyntaxError) -> Stop {
        self.line = error.line;
        self.fail(&format!("Syntax error: {}", error.message))
    }
}
