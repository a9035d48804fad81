//! Redirections.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use kiln_tools::context::{reason, show};

use crate::options::Flag;
use crate::state::{Shell, Stop};
use crate::streams::Stream;
use crate::syntax::ast::{Redirect, Target};

/// Why a redirection did not happen.
pub(crate) enum RedirectError {
    /// The message was printed; the command is not run and has status 2.
    Complained,
    Stop(Stop),
}

impl From<Stop> for RedirectError {
    fn from(stop: Stop) -> RedirectError {
        RedirectError::Stop(stop)
    }
}

/// What a pipe holds: a longer here-document needs a file.
const PIPE_CAPACITY: usize = 64 * 1024;

/// Descriptors 3 and 4 of a child are its directories, so it cannot inherit others under these numbers.
pub(crate) const FIRST_INHERITABLE: u32 = 5;

impl Shell {
    /// The streams that redirections are about to replace.
    pub(crate) fn save_streams(&self, redirects: &[Redirect]) -> Vec<(u32, Option<Stream>)> {
        let mut saved = Vec::with_capacity(redirects.len());
        for redirect in redirects {
            saved.push((redirect.fd, self.streams.get(&redirect.fd).cloned()));
            let other = match &redirect.target {
                Target::Both { .. } => Some(2),
                // `>&4-` closes the descriptor that it moves, `>&file` is `&>file`.
                Target::Duplicate { source, .. } => match source.text.strip_suffix(b"-") {
                    Some(moved) => kiln_tools::options::number(moved),
                    None if source.text.iter().all(u8::is_ascii_digit) => None,
                    None => Some(2),
                },
                _ => None,
            };
            if let Some(number) = other {
                saved.push((number, self.streams.get(&number).cloned()));
            }
        }
        saved
    }

    pub(crate) fn restore_streams(&mut self, saved: Vec<(u32, Option<Stream>)>) {
        for (number, stream) in saved.into_iter().rev() {
            match stream {
                Some(stream) => self.streams.insert(number, stream),
                None => self.streams.remove(&number),
            };
        }
    }

    /// Applies redirections to the table. The caller restores it.
    pub(crate) fn redirect(&mut self, redirects: &[Redirect]) -> Result<(), RedirectError> {
        for redirect in redirects {
            let mut options = OpenOptions::new();
            let stream = match &redirect.target {
                Target::Read(word) => {
                    let name = self.expand_text(word)?;
                    self.open(&name, false, options.read(true))?
                }
                Target::Write(word) => {
                    let name = self.expand_text(word)?;
                    options.write(true).create(true).truncate(true);
                    if self.options.get(Flag::NoClobber) && self.path(&name).is_file() {
                        self.complain(&format!("cannot create {}: File exists", show(&name)));
                        return Err(RedirectError::Complained);
                    }
                    self.open(&name, true, &options)?
                }
                Target::Clobber(word) => {
                    let name = self.expand_text(word)?;
                    self.open(&name, true, options.write(true).create(true).truncate(true))?
                }
                Target::Append(word) => {
                    let name = self.expand_text(word)?;
                    self.open(&name, true, options.append(true).create(true))?
                }
                Target::ReadWrite(word) => {
                    let name = self.expand_text(word)?;
                    self.open(&name, true, options.read(true).write(true).create(true).truncate(false))?
                }
                Target::Both { append, file } => {
                    let name = self.expand_text(file)?;
                    self.open_both(&name, *append)?
                }
                Target::Duplicate { output, source } => {
                    let text = self.expand_text(source)?;
                    if text == b"-" {
                        self.streams.remove(&redirect.fd);
                        continue;
                    }
                    // `3>&1-` moves the descriptor.
                    let (number, moves) = match text.strip_suffix(b"-") {
                        Some(number) => (number, true),
                        None => (text.as_slice(), false),
                    };
                    if *output && redirect.fd == 1 && !number.iter().all(u8::is_ascii_digit) {
                        // An old way to write `&>file`.
                        self.open_both(&text, false)?
                    } else {
                        let stream = self.duplicate(number, *output)?;
                        if moves && let Some(number) = kiln_tools::options::number::<u32>(number) {
                            self.streams.remove(&number);
                        }
                        stream
                    }
                }
                Target::HereDocument(document) => {
                    let text = match document.body.get() {
                        Some(body) => self.expand_document(body)?,
                        None => Vec::new(),
                    };
                    self.document(&text)?
                }
                Target::HereString(word) => {
                    let mut text = self.expand_text(word)?;
                    text.push(b'\n');
                    self.document(&text)?
                }
            };
            self.streams.insert(redirect.fd, stream);
        }
        Ok(())
    }

    /// Opens a file for standard output and standard error.
    fn open_both(&mut self, name: &[u8], append: bool) -> Result<Stream, RedirectError> {
        let mut options = OpenOptions::new();
        let options = if append { options.append(true) } else { options.write(true).truncate(true) };
        let stream = self.open(name, true, options.create(true))?;
        self.streams.insert(2, stream.clone());
        Ok(stream)
    }

    fn open(&mut self, operand: &[u8], creates: bool, options: &OpenOptions) -> Result<Stream, RedirectError> {
        let path = self.path(operand);
        match options.open(&path) {
            Ok(file) => Ok(Stream::file(file)),
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound if creates => "Directory nonexistent".to_string(),
                    io::ErrorKind::NotFound => "No such file".to_string(),
                    _ => reason(&error),
                };
                let verb = if creates { "create" } else { "open" };
                self.complain(&format!("cannot {verb} {}: {why}", show(operand)));
                Err(RedirectError::Complained)
            }
        }
    }

    fn duplicate(&mut self, text: &[u8], output: bool) -> Result<Stream, RedirectError> {
        let number = show(text).parse::<u32>();
        let Ok(number) = number else {
            let sign = if output { ">&" } else { "<&" };
            return Err(RedirectError::Stop(self.fail(&format!("Syntax error: Bad fd number: {sign}{}", show(text)))));
        };
        match self.streams.get(&number) {
            Some(stream) => Ok(stream.clone()),
            None => {
                self.complain(&format!("{number}: Bad file descriptor"));
                Err(RedirectError::Complained)
            }
        }
    }

    /// A stream from which the text can be read.
    fn document(&mut self, text: &[u8]) -> Result<Stream, RedirectError> {
        let made = if text.len() <= PIPE_CAPACITY { filled_pipe(text) } else { self.unlinked_file(text) };
        made.map(Stream::file).map_err(|error| {
            self.complain(&format!("cannot make here-document: {}", reason(&error)));
            RedirectError::Complained
        })
    }

    fn unlinked_file(&self, text: &[u8]) -> io::Result<File> {
        let path = self.temporary_directory().join(format!(".sh-here-document-{}", kiln_guest::self_pid()));
        std::fs::write(&path, text)?;
        let file = File::open(&path);
        std::fs::remove_file(&path)?;
        file
    }
}

fn filled_pipe(text: &[u8]) -> io::Result<File> {
    let (read, mut write) = kiln_guest::pipe()?;
    write.write_all(text)?;
    Ok(read)
}
