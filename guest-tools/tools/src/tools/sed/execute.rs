//! Running a script over lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, Cursor, Write};
use std::path::{Path, PathBuf};

use super::script::{Action, Address, Command, Piece, Substitution};
use crate::context::Failure;
use crate::regex::{Captures, Regex, TooComplex};

/// One file to edit.
pub(super) struct Input<'a> {
    pub(super) reader: Box<dyn BufRead + 'a>,
}

impl Input<'_> {
    pub(super) fn text(text: Vec<u8>) -> Input<'static> {
        Input { reader: Box::new(Cursor::new(text)) }
    }
}

type Inputs<'i, 'a> = &'i mut dyn Iterator<Item = Input<'a>>;

/// The inputs as lines, with one line read ahead so that the last one is known.
struct Lines<'i, 'a> {
    inputs: Inputs<'i, 'a>,
    current: Option<Input<'a>>,
    /// The line and whether its end was there.
    ahead: Option<(Vec<u8>, bool)>,
    end: u8,
}

impl Lines<'_, '_> {
    /// Reads the next line into `line`, whose memory is used again.
    fn read(&mut self, mut line: Vec<u8>) -> std::io::Result<Option<(Vec<u8>, bool)>> {
        line.clear();
        loop {
            if self.current.is_none() {
                self.current = self.inputs.next();
            }
            let Some(input) = &mut self.current else { return Ok(None) };
            if input.reader.read_until(self.end, &mut line)? == 0 {
                self.current = None;
                continue;
            }
            let ended = line.last() == Some(&self.end);
            if ended {
                line.pop();
            }
            return Ok(Some((line, ended)));
        }
    }

    /// A line and whether its end was there. Takes the memory of a line that is not needed any more.
    fn next(&mut self, old: Vec<u8>) -> std::io::Result<Option<(Vec<u8>, bool)>> {
        let line = match self.ahead.take() {
            Some(line) => line,
            None => match self.read(Vec::new())? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        self.ahead = self.read(old)?;
        Ok(Some(line))
    }
}

#[derive(Clone, Copy, Default)]
struct RangeState {
    active: bool,
    until: u64,
}

pub(super) struct Editor<'s> {
    script: &'s [Command],
    silent: bool,
    end: u8,
    cwd: PathBuf,
    files: BTreeMap<Vec<u8>, File>,
    line_number: u64,
    pattern: Vec<u8>,
    hold: Vec<u8>,
    ended: bool,
    /// Text and files to be put out after the line.
    appended: Vec<Appended>,
    ranges: Vec<RangeState>,
    last_regex: Option<&'s Regex>,
    missing_newline: bool,
}

enum Appended {
    Text(Vec<u8>),
    File(Vec<u8>),
}

enum Flow {
    /// To the next line, with or without printing this one.
    NextLine {
        print: bool,
    },
    /// Again from the top without reading.
    Restart,
    Quit {
        code: u8,
        print: bool,
    },
}

impl<'s> Editor<'s> {
    pub(super) fn new(script: &'s [Command], silent: bool, end: u8, cwd: &Path) -> Editor<'s> {
        Editor {
            script,
            silent,
            end,
            cwd: cwd.to_path_buf(),
            files: BTreeMap::new(),
            line_number: 0,
            pattern: Vec::new(),
            hold: Vec::new(),
            ended: true,
            appended: Vec::new(),
            ranges: vec![RangeState::default(); script.len()],
            last_regex: None,
            missing_newline: false,
        }
    }

    /// Line numbers and ranges begin anew with the next file.
    pub(super) fn restart(&mut self) {
        self.line_number = 0;
        self.missing_newline = false;
        self.ranges.fill(RangeState::default());
    }

    /// Edits the inputs; returns the exit status if the script quits.
    pub(super) fn run(&mut self, inputs: Inputs, output: &mut dyn Write) -> Result<Option<u8>, Failure> {
        let mut lines = Lines { inputs, current: None, ahead: None, end: self.end };
        while let Some((line, ended)) = lines.next(std::mem::take(&mut self.pattern))? {
            self.line_number += 1;
            (self.pattern, self.ended) = (line, ended);
            loop {
                match self.cycle(&mut lines, output)? {
                    Flow::Restart => continue,
                    Flow::NextLine { print } => {
                        self.finish_line(print, output)?;
                        break;
                    }
                    Flow::Quit { code, print } => {
                        self.finish_line(print, output)?;
                        return Ok(Some(code));
                    }
                }
            }
        }
        Ok(None)
    }

    fn finish_line(&mut self, print: bool, output: &mut dyn Write) -> Result<(), Failure> {
        if print && !self.silent {
            let pattern = std::mem::take(&mut self.pattern);
            self.put_line(&pattern, output)?;
            self.pattern = pattern;
        }
        for appended in std::mem::take(&mut self.appended) {
            match appended {
                Appended::Text(text) => self.put(&text, output)?,
                Appended::File(name) => {
                    // A file that cannot be read counts as empty.
                    if let Ok(text) = std::fs::read(self.cwd.join(kiln_guest::path(&name))) {
                        self.put(&text, output)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A line whose end was missing in the input gets it when something follows.
    fn put(&mut self, text: &[u8], output: &mut dyn Write) -> Result<(), Failure> {
        if std::mem::take(&mut self.missing_newline) {
            output.write_all(&[self.end])?;
        }
        output.write_all(text)?;
        Ok(())
    }

    fn put_line(&mut self, text: &[u8], output: &mut dyn Write) -> Result<(), Failure> {
        self.put(text, output)?;
        if self.ended {
            output.write_all(&[self.end])?;
        } else {
            self.missing_newline = true;
        }
        Ok(())
    }

    /// The expression itself, or the one used last where it is empty.
    fn regex(&mut self, regex: &'s Option<Regex>) -> Result<&'s Regex, Failure> {
        if let Some(regex) = regex {
            self.last_regex = Some(regex);
        }
        self.last_regex.ok_or_else(|| Failure::new("no previous regular expression"))
    }

    fn at(&mut self, address: &'s Address, last: bool) -> Result<bool, Failure> {
        Ok(match address {
            Address::Line(line) => *line == self.line_number,
            Address::Step(first, 0) => *first == self.line_number,
            Address::Step(first, step) => {
                self.line_number >= *first && (self.line_number - first).is_multiple_of(*step)
            }
            Address::Last => last,
            Address::Match(regex) => self.regex(regex)?.is_match(&self.pattern).map_err(too_complex)?,
            Address::Plus(_) | Address::Multiple(_) => false,
        })
    }

    fn selected(&mut self, index: usize, last: bool) -> Result<bool, Failure> {
        let script = self.script;
        let command = &script[index];
        let Some(first) = &command.first else { return Ok(!command.negated) };
        let Some(second) = &command.second else { return Ok(self.at(first, last)? != command.negated) };
        let mut state = self.ranges[index];
        let inside = if state.active {
            let ends = match second {
                Address::Line(line) => self.line_number >= *line,
                Address::Plus(_) | Address::Multiple(_) => self.line_number >= state.until,
                other => self.at(other, last)?,
            };
            state.active = !ends;
            // A line number that has passed does not include this line.
            !matches!(second, Address::Line(line) if self.line_number > *line)
        } else if matches!(first, Address::Line(0)) && self.line_number == 1 {
            // `0,/x/`: the expression may match on the first line.
            state.active = !self.at(second, last)?;
            true
        } else if self.at(first, last)? {
            state.active = match second {
                Address::Line(line) => *line > self.line_number,
                Address::Plus(count) => {
                    state.until = self.line_number + count;
                    *count > 0
                }
                Address::Multiple(0) => false,
                Address::Multiple(factor) => {
                    state.until = self.line_number.div_ceil(*factor) * factor;
                    state.until > self.line_number
                }
                Address::Last => !last,
                _ => true,
            };
            true
        } else {
            false
        };
        self.ranges[index] = state;
        Ok(inside != command.negated)
    }

    fn cycle(&mut self, lines: &mut Lines, output: &mut dyn Write) -> Result<Flow, Failure> {
        let script = self.script;
        let mut index = 0;
        let mut substituted = false;
        while let Some(command) = script.get(index) {
            let here = index;
            index += 1;
            if !self.selected(here, lines.ahead.is_none())? {
                if let Action::Block(end) = command.action {
                    index = end;
                }
                continue;
            }
            match &command.action {
                Action::Block(_) | Action::EndBlock | Action::Nothing => {}
                Action::Append(text) => self.appended.push(Appended::Text(text.clone())),
                Action::Insert(text) => self.put(text, output)?,
                Action::Change(text) => {
                    let in_range = command.second.is_some() && !command.negated && self.ranges[here].active;
                    if !in_range {
                        self.put(text, output)?;
                    }
                    return Ok(Flow::NextLine { print: false });
                }
                Action::Branch(target) => index = *target,
                Action::BranchIf(target) => {
                    if std::mem::take(&mut substituted) {
                        index = *target;
                    }
                }
                Action::BranchUnless(target) => {
                    if !std::mem::take(&mut substituted) {
                        index = *target;
                    }
                }
                Action::Delete => return Ok(Flow::NextLine { print: false }),
                Action::DeleteFirst => match self.pattern.iter().position(|&byte| byte == b'\n') {
                    Some(at) => {
                        self.pattern.drain(..=at);
                        self.finish_line(false, output)?;
                        return Ok(Flow::Restart);
                    }
                    None => return Ok(Flow::NextLine { print: false }),
                },
                Action::Get => self.pattern = self.hold.clone(),
                Action::GetAppend => {
                    self.pattern.push(b'\n');
                    self.pattern.extend_from_slice(&self.hold);
                }
                Action::Hold => self.hold = self.pattern.clone(),
                Action::HoldAppend => {
                    self.hold.push(b'\n');
                    self.hold.extend_from_slice(&self.pattern);
                }
                Action::Exchange => std::mem::swap(&mut self.pattern, &mut self.hold),
                Action::List => {
                    let text = listed(&self.pattern);
                    self.put(&text, output)?;
                }
                Action::Next => {
                    if lines.ahead.is_none() {
                        return Ok(Flow::Quit { code: 0, print: true });
                    }
                    self.finish_line(true, output)?;
                    if let Some((line, ended)) = lines.next(std::mem::take(&mut self.pattern))? {
                        self.line_number += 1;
                        (self.pattern, self.ended) = (line, ended);
                    }
                }
                Action::NextAppend => match lines.next(Vec::new())? {
                    Some((line, ended)) => {
                        self.line_number += 1;
                        self.finish_line(false, output)?;
                        self.pattern.push(b'\n');
                        self.pattern.extend_from_slice(&line);
                        self.ended = ended;
                    }
                    None => return Ok(Flow::Quit { code: 0, print: true }),
                },
                Action::Print => {
                    let pattern = self.pattern.clone();
                    self.put_line(&pattern, output)?;
                }
                Action::PrintFirst => {
                    let end = self.pattern.iter().position(|&byte| byte == b'\n').unwrap_or(self.pattern.len());
                    let text = [&self.pattern[..end], b"\n"].concat();
                    self.put(&text, output)?;
                }
                Action::Quit(code) => return Ok(Flow::Quit { code: *code, print: true }),
                Action::QuitSilently(code) => return Ok(Flow::Quit { code: *code, print: false }),
                Action::ReadFile(name) => self.appended.push(Appended::File(name.clone())),
                Action::WriteFile(name) => {
                    let text = [&self.pattern, &b"\n"[..]].concat();
                    self.write_file(name, &text, output)?;
                }
                Action::WriteFirst(name) => {
                    let end = self.pattern.iter().position(|&byte| byte == b'\n').unwrap_or(self.pattern.len());
                    let text = [&self.pattern[..end], b"\n"].concat();
                    self.write_file(name, &text, output)?;
                }
                Action::LineNumber => {
                    let text = format!("{}\n", self.line_number);
                    self.put(text.as_bytes(), output)?;
                }
                Action::FileName => self.put(b"-\n", output)?,
                Action::Zap => self.pattern.clear(),
                Action::Substitute(substitution) => substituted |= self.substitute(substitution, output)?,
                Action::Translate(map) => self.pattern.iter_mut().for_each(|byte| *byte = map[usize::from(*byte)]),
            }
        }
        Ok(Flow::NextLine { print: true })
    }

    fn write_file(&mut self, name: &[u8], text: &[u8], output: &mut dyn Write) -> Result<(), Failure> {
        if name == b"/dev/stdout" {
            return self.put(text, output);
        }
        if !self.files.contains_key(name) {
            let file = File::create(self.cwd.join(kiln_guest::path(name))).map_err(|error| {
                Failure::new(format!("couldn't open file {}: {error}", String::from_utf8_lossy(name)))
            })?;
            self.files.insert(name.to_vec(), file);
        }
        if let Some(file) = self.files.get_mut(name) {
            file.write_all(text)?;
        }
        Ok(())
    }

    fn substitute(&mut self, substitution: &'s Substitution, output: &mut dyn Write) -> Result<bool, Failure> {
        let mut out = Vec::new();
        let (mut from, mut copied, mut count) = (0, 0, 0);
        let mut replaced = false;
        let mut previous_end = None;
        let regex = self.regex(&substitution.regex)?;
        let groups = substitution.replacement.iter().any(|piece| matches!(piece, Piece::Group(1..)));
        while from <= self.pattern.len() {
            let found = if groups { regex.find_at(&self.pattern, from) } else { regex.find_whole(&self.pattern, from) };
            let Some(captures) = found.map_err(too_complex)? else { break };
            let (start, end) = captures.whole();
            // An empty match does not follow another match at once.
            if start == end && previous_end == Some(start) {
                from = end + 1;
                continue;
            }
            previous_end = Some(end);
            count += 1;
            if count >= substitution.from {
                out.extend_from_slice(&self.pattern[copied..start]);
                expand(&substitution.replacement, &self.pattern, &captures, &mut out);
                copied = end;
                replaced = true;
                if !substitution.global {
                    break;
                }
            }
            from = if end > start { end } else { end + 1 };
        }
        if !replaced {
            return Ok(false);
        }
        out.extend_from_slice(&self.pattern[copied..]);
        self.pattern = out;
        if substitution.print {
            let pattern = self.pattern.clone();
            self.put_line(&pattern, output)?;
        }
        if let Some(name) = &substitution.file {
            let text = [&self.pattern, &b"\n"[..]].concat();
            self.write_file(name, &text, output)?;
        }
        Ok(true)
    }
}

fn too_complex(_: TooComplex) -> Failure {
    Failure::new("the expression is too complex")
}

fn expand(replacement: &[Piece], text: &[u8], captures: &Captures, out: &mut Vec<u8>) {
    let (mut all, mut one) = (None, None);
    for piece in replacement {
        let bytes: &[u8] = match piece {
            Piece::Text(text) => text,
            Piece::Group(group) => captures.get(*group).map_or(b"", |(start, end)| &text[start..end]),
            Piece::Case(letter @ (b'u' | b'l')) => {
                one = Some(*letter);
                continue;
            }
            Piece::Case(b'E') => {
                (all, one) = (None, None);
                continue;
            }
            Piece::Case(letter) => {
                (all, one) = (Some(*letter), None);
                continue;
            }
        };
        for byte in bytes {
            let byte = match one.take().or(all) {
                Some(b'u' | b'U') => byte.to_ascii_uppercase(),
                Some(_) => byte.to_ascii_lowercase(),
                None => *byte,
            };
            out.push(byte);
        }
    }
}

/// The line as `l` shows it.
fn listed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut column = 0;
    for &byte in text {
        let shown = match byte {
            b'\\' => "\\\\".to_string(),
            7 => "\\a".into(),
            8 => "\\b".into(),
            12 => "\\f".into(),
            b'\n' => "\\n".into(),
            b'\r' => "\\r".into(),
            b'\t' => "\\t".into(),
            11 => "\\v".into(),
            b' '..=b'~' => (byte as char).to_string(),
            _ => format!("\\{byte:03o}"),
        };
        if column + shown.len() > 69 {
            out.extend_from_slice(b"\\\n");
            column = 0;
        }
        column += shown.len();
        out.extend_from_slice(shown.as_bytes());
    }
    out.extend_from_slice(b"$\n");
    out
}
