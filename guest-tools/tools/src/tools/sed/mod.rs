//! `sed`.

mod execute;
mod script;

use std::io::BufRead;
use std::path::PathBuf;

use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "nEre:f:i::szul:",
    long: &[
        ("quiet", 'n'),
        ("silent", 'n'),
        ("regexp-extended", 'E'),
        ("expression", 'e'),
        ("file", 'f'),
        ("in-place", 'i'),
        ("separate", 's'),
        ("null-data", 'z'),
        ("unbuffered", 'u'),
        ("posix", 'π'),
    ],
    operands_last: false,
};

const BUFFER: usize = 64 * 1024;

/// Substitutions that other utilities are given, as in `tar --transform`.
pub struct Script(Vec<script::Command>);

impl Script {
    pub fn parse(text: &[u8]) -> Result<Script, Failure> {
        match script::parse(text, false) {
            Ok(commands) if text.starts_with(b"s") => Ok(Script(commands)),
            _ => Err(Failure::usage("Invalid transform expression")),
        }
    }

    pub fn run(&self, text: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut output = Vec::new();
        let mut editor = execute::Editor::new(&self.0, false, 0, std::path::Path::new("/"));
        editor.run(&mut [execute::Input::text(text.to_vec())].into_iter(), &mut output)?;
        Ok(output)
    }
}

pub fn sed(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args).map_err(|failure| failure.with_status(1))?;
    let mut text = Vec::new();
    let mut any = false;
    for (letter, value) in &given.options {
        let piece = match (letter, value) {
            ('e', Some(expression)) => expression.clone(),
            ('f', Some(file)) => {
                let mut bytes = context
                    .read(file)
                    .map_err(|error| Failure::new(format!("couldn't open file {}: {}", show(file), reason(&error))))?;
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                bytes
            }
            _ => continue,
        };
        if any {
            text.push(b'\n');
        }
        any = true;
        text.extend(piece);
    }
    let mut operands = given.operands.clone();
    if !any {
        if operands.is_empty() {
            return Err(Failure::new("usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]..."));
        }
        text = operands.remove(0);
    }
    let silent = given.has('n') || text.starts_with(b"#n\n") || text == b"#n";
    let extended = given.last_of("Er").is_some();
    let script = script::parse(&text, extended)
        .map_err(|problem| Failure::new(format!("-e expression #1, char {}: {}", problem.at, problem.message)))?;
    let end = if given.has('z') { 0 } else { b'\n' };
    let in_place = given.has('i');
    let mut status = 0;
    let mut editor = execute::Editor::new(&script, silent, end, context.cwd);
    if in_place {
        let suffix = given.value('i').unwrap_or_default();
        for operand in &operands {
            let path = context.path(operand);
            let input = match std::fs::read(&path) {
                Ok(input) => input,
                Err(error) => {
                    context.complain(format!("can't read {}: {}", show(operand), reason(&error)));
                    status = 2;
                    continue;
                }
            };
            let mut output = Vec::with_capacity(input.len());
            editor.restart();
            let quit = editor.run(&mut [execute::Input::text(input.clone())].into_iter(), &mut output)?;
            if !suffix.is_empty() {
                let backup = if suffix.contains(&b'*') {
                    let base = super::names::base_of(operand);
                    let name: Vec<u8> = suffix.split(|&byte| byte == b'*').collect::<Vec<_>>().join(base);
                    path.with_file_name(kiln_guest::path(&name))
                } else {
                    PathBuf::from(kiln_guest::path(&[crate::context::path_bytes(&path), suffix].concat()))
                };
                std::fs::write(&backup, &input)?;
            }
            // In its place, so that mode, owner and links stay.
            std::fs::write(&path, &output).map_err(|error| {
                Failure::new(format!("couldn't edit {}: {}", show(operand), reason(&error))).with_status(4)
            })?;
            if let Some(code) = quit {
                return Ok(code);
            }
        }
        return Ok(status);
    }
    if operands.is_empty() {
        operands.push(b"-".to_vec());
    }
    let mut inputs: Vec<execute::Input> = Vec::new();
    let separate = given.has('s');
    let (cwd, mut stdin) = (context.cwd, Some(&mut *context.stdin));
    for operand in &operands {
        let path = cwd.join(kiln_guest::path(operand));
        let opened: std::io::Result<Box<dyn BufRead>> = if operand == b"-" {
            match stdin.take() {
                Some(stdin) => Ok(Box::new(std::io::BufReader::with_capacity(BUFFER, stdin))),
                None => Ok(Box::new(std::io::empty())),
            }
        } else if path.is_dir() {
            Err(std::io::Error::other("Is a directory"))
        } else {
            std::fs::File::open(&path)
                .map(|file| Box::new(std::io::BufReader::with_capacity(BUFFER, file)) as Box<dyn BufRead>)
        };
        match opened {
            Ok(reader) => inputs.push(execute::Input { reader }),
            Err(error) => {
                status = 2;
                // The stream of messages is not part of the context that the inputs borrow.
                let _ = writeln!(context.stderr, "{}: can't read {}: {}", context.name, show(operand), reason(&error));
            }
        }
    }
    if separate {
        for input in inputs {
            editor.restart();
            if let Some(code) = editor.run(&mut [input].into_iter(), context.stdout)? {
                return Ok(code);
            }
        }
        return Ok(status);
    }
    Ok(editor.run(&mut inputs.into_iter(), context.stdout)?.unwrap_or(status))
}
