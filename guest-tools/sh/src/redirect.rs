//! Redirections.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use kiln_tools::context::{reason, show};

use crate::state::{Shell, Stop};
use crate::streams::Stream;
use crate::syntax::ast::{Redirect, Target, Word};

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
    /// Applies redirections to the table. The caller restores it.
    pub(crate) fn redirect(&mut self, redirects: &[Redirect]) -> Result<(), RedirectError> {
        for redirect in redirects {
            let stream = match &redirect.target {
                Target::Read(word) => self.open(word, false, OpenOptions::new().read(true))?,
                Target::Write(word) => {
                    let mut options = OpenOptions::new();
                    options.write(true).create(true).truncate(true);
                    if self.options.get("noclobber") {
                        let path = self.expand_text(word)?;
                        if self.path(&path).is_file() {
                            self.complain(&format!("cannot create {}: File exists", show(&path)));
                            return Err(RedirectError::Complained);
                        }
                    }
                    self.open(word, true, &options)?
                }
                Target::Clobber(word) => {
                    self.open(word, true, OpenOptions::new().write(true).create(true).truncate(true))?
                }
                Target::Append(word) => self.open(word, true, OpenOptions::new().append(true).create(true))?,
                Target::ReadWrite(word) => {
                    self.open(word, true, OpenOptions::new().read(true).write(true).create(true).truncate(false))?
                }
                Target::Duplicate { output, source } => {
                    let text = self.expand_text(source)?;
                    if text == b"-" {
                        self.streams.remove(&redirect.fd);
                        continue;
                    }
                    self.duplicate(&text, *output)?
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

    fn open(&mut self, word: &Word, creates: bool, options: &OpenOptions) -> Result<Stream, RedirectError> {
        let operand = self.expand_text(word)?;
        let path = self.path(&operand);
        match options.open(&path) {
            Ok(file) => Ok(Stream::file(file)),
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::NotFound if creates => "Directory nonexistent".to_string(),
                    io::ErrorKind::NotFound => "No such file".to_string(),
                    _ => reason(&error),
                };
                let verb = if creates { "create" } else { "open" };
                self.complain(&format!("cannot {verb} {}: {why}", show(&operand)));
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
        let tmp = std::path::Path::new("/tmp");
        let directory = if tmp.is_dir() { tmp } else { &self.cwd };
        let path = directory.join(format!(".sh-here-document-{}", kiln_guest::self_pid()));
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
