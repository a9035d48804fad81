//! The text of a script as commands.

use crate::regex::{Flags, Regex};

/// Why a script is not one, and at which character.
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) message: String,
}

#[derive(Debug, Clone)]
pub(super) enum Address {
    Line(u64),
    /// `first~step`.
    Step(u64, u64),
    Last,
    /// `None` is the expression used last.
    Match(Option<Regex>),
    /// `+N` lines after the first address, and up to a multiple of N.
    Plus(u64),
    Multiple(u64),
}

#[derive(Debug)]
pub(super) struct Command {
    pub(super) first: Option<Address>,
    pub(super) second: Option<Address>,
    pub(super) negated: bool,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    /// Where the block ends.
    Block(usize),
    EndBlock,
    Append(Vec<u8>),
    Insert(Vec<u8>),
    Change(Vec<u8>),
    /// The target's index, after resolution; the end where there is no label.
    Branch(usize),
    BranchIf(usize),
    BranchUnless(usize),
    Delete,
    DeleteFirst,
    Get,
    GetAppend,
    Hold,
    HoldAppend,
    Exchange,
    List,
    Next,
    NextAppend,
    Print,
    PrintFirst,
    Quit(u8),
    QuitSilently(u8),
    ReadFile(Vec<u8>),
    WriteFile(Vec<u8>),
    WriteFirst(Vec<u8>),
    LineNumber,
    FileName,
    Zap,
    Substitute(Box<Substitution>),
    Translate(Box<[u8; 256]>),
    Nothing,
}

#[derive(Debug)]
pub(super) struct Substitution {
    pub(super) regex: Option<Regex>,
    pub(super) replacement: Vec<Piece>,
    pub(super) global: bool,
    pub(super) print: bool,
    /// Which match is the first to be replaced, from 1.
    pub(super) from: u64,
    pub(super) file: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Vec<u8>),
    /// 0 is the whole match.
    Group(usize),
    /// `\U`, `\L`, `\u`, `\l`, `\E`.
    Case(u8),
}

struct Parser<'a> {
    text: &'a [u8],
    position: usize,
    extended: bool,
    /// Branches whose labels may still come.
    branches: Vec<(usize, Vec<u8>)>,
    labels: Vec<(Vec<u8>, usize)>,
}

type Parsed<T> = Result<T, Problem>;

pub(super) fn parse(text: &[u8], extended: bool) -> Parsed<Vec<Command>> {
    let mut parser = Parser { text, position: 0, extended, branches: Vec::new(), labels: Vec::new() };
    let mut commands = Vec::new();
    let mut open = Vec::new();
    while let Some(command) = parser.command(commands.len())? {
        match command.action {
            Action::Block(_) => open.push(commands.len()),
            Action::EndBlock => {
                let Some(start) = open.pop() else { return parser.problem("unexpected `}'") };
                let end = commands.len();
                let block: &mut Command = &mut commands[start];
                block.action = Action::Block(end);
            }
            _ => {}
        }
        commands.push(command);
    }
    if !open.is_empty() {
        parser.position = 0;
        return parser.problem("unmatched `{'");
    }
    let end = commands.len();
    for (index, label) in std::mem::take(&mut parser.branches) {
        let target = match parser.labels.iter().find(|(name, _)| *name == label) {
            Some((_, target)) => *target,
            None if label.is_empty() => end,
            None => {
                return parser.problem(&format!("can't find label for jump to `{}'", String::from_utf8_lossy(&label)));
            }
        };
        commands[index].action = match commands[index].action {
            Action::BranchIf(_) => Action::BranchIf(target),
            Action::BranchUnless(_) => Action::BranchUnless(target),
            _ => Action::Branch(target),
        };
    }
    Ok(commands)
}

impl Parser<'_> {
    fn problem<T>(&self, message: &str) -> Parsed<T> {
        Err(Problem { at: self.position, message: message.into() })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    fn skip(&mut self, bytes: &[u8]) {
        while self.peek().is_some_and(|byte| bytes.contains(&byte)) {
            self.position += 1;
        }
    }

    fn number(&mut self) -> Option<u64> {
        let rest = &self.text[self.position..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.position += digits;
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    }

    fn command(&mut self, index: usize) -> Parsed<Option<Command>> {
        self.skip(b" \t\n;");
        let Some(_) = self.peek() else { return Ok(None) };
        let first = self.address(false)?;
        self.skip(b" \t");
        let mut second = None;
        if first.is_some() && self.peek() == Some(b',') {
            self.position += 1;
            self.skip(b" \t");
            second = self.address(true)?;
            if second.is_none() {
                return self.problem("unexpected `,'");
            }
        }
        self.skip(b" \t");
        let mut negated = false;
        while self.peek() == Some(b'!') {
            self.position += 1;
            negated = true;
            self.skip(b" \t");
        }
        let Some(letter) = self.next() else { return self.problem("missing command") };
        let action = self.action(letter, index, first.is_some())?;
        Ok(Some(Command { first, second, negated, action }))
    }

    fn address(&mut self, second: bool) -> Parsed<Option<Address>> {
        let address = match self.peek() {
            Some(b'0'..=b'9') => {
                let line = self.number().unwrap_or(u64::MAX);
                if self.peek() == Some(b'~') && !second {
                    self.position += 1;
                    Address::Step(line, self.number().unwrap_or(0))
                } else {
                    Address::Line(line)
                }
            }
            Some(b'$') => {
                self.position += 1;
                Address::Last
            }
            Some(sign @ (b'+' | b'~')) if second => {
                self.position += 1;
                let Some(count) = self.number() else { return self.problem("expected a number") };
                if sign == b'+' { Address::Plus(count) } else { Address::Multiple(count) }
            }
            Some(b'/') => {
                self.position += 1;
                self.match_address(b'/')?
            }
            Some(b'\\') => {
                self.position += 1;
                let Some(delimiter) = self.next() else { return self.problem("unterminated address regex") };
                self.match_address(delimiter)?
            }
            _ => return Ok(None),
        };
        Ok(Some(address))
    }

    fn match_address(&mut self, delimiter: u8) -> Parsed<Address> {
        let pattern = self.delimited(delimiter, true, "unterminated address regex")?;
        let mut flags = Flags { extended: self.extended, ..Flags::default() };
        loop {
            match self.peek() {
                Some(b'I') => flags.ignore_case = true,
                Some(b'M') => flags.multi_line = true,
                _ => break,
            }
            self.position += 1;
        }
        Ok(Address::Match(self.regex(&pattern, flags)?))
    }

    fn regex(&self, pattern: &[u8], flags: Flags) -> Parsed<Option<Regex>> {
        if pattern.is_empty() {
            return Ok(None);
        }
        match Regex::new(pattern, flags) {
            Ok(regex) => Ok(Some(regex)),
            Err(message) => self.problem(&message),
        }
    }

    /// Text up to a delimiter that is not escaped. In a pattern an escaped delimiter is the plain byte, and one within
    /// brackets does not count.
    fn delimited(&mut self, delimiter: u8, pattern: bool, unterminated: &str) -> Parsed<Vec<u8>> {
        let mut out = Vec::new();
        let mut bracket: Option<usize> = None;
        while let Some(byte) = self.next() {
            if let Some(start) = bracket {
                out.push(byte);
                let inner = &out[start..];
                let first = if inner.first() == Some(&b'^') { 1 } else { 0 };
                if byte == b'[' && matches!(self.peek(), Some(b':' | b'.' | b'=')) {
                    let kind = self.text[self.position];
                    let rest = &self.text[self.position + 1..];
                    if let Some(length) = rest.windows(2).position(|pair| pair == [kind, b']']) {
                        out.extend_from_slice(&self.text[self.position..self.position + length + 3]);
                        self.position += length + 3;
                    }
                } else if byte == b']' && inner.len() > first + 1 {
                    bracket = None;
                }
                continue;
            }
            match byte {
                _ if byte == delimiter => return Ok(out),
                b'\\' => match self.next() {
                    Some(next) if next == delimiter && delimiter != b'\\' => {
                        // An escaped delimiter that is also an operator stays escaped where it would change meaning.
                        if !pattern && next == b'&' {
                            out.push(b'\\');
                        }
                        out.push(next);
                    }
                    Some(b'\n') if pattern => out.push(b'\n'),
                    Some(next) => out.extend_from_slice(&[b'\\', next]),
                    None => break,
                },
                b'[' if pattern => {
                    out.push(byte);
                    bracket = Some(out.len());
                }
                b'\n' if pattern => break,
                _ => out.push(byte),
            }
        }
        self.problem(unterminated)
    }

    /// The rest of the line.
    fn line(&mut self) -> Vec<u8> {
        let rest = &self.text[self.position..];
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        self.position += length;
        rest[..length].to_vec()
    }

    fn label(&mut self) -> Vec<u8> {
        self.skip(b" \t");
        let rest = &self.text[self.position..];
        let ends = |byte: &u8| matches!(*byte, b'\n' | b';' | b'}');
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.position += length;
        rest[..length].trim_ascii_end().to_vec()
    }

    /// The text of `a`, `i`, `c`: after a backslash and a newline, or on the same line.
    fn block_text(&mut self) -> Parsed<Vec<u8>> {
        self.skip(b" \t");
        if self.peek() == Some(b'\\') {
            let after = self.text[self.position + 1..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if self.text.get(self.position + 1 + after) == Some(&b'\n') {
                self.position += after + 2;
            } else {
                // `a\text`: the backslash keeps leading blanks.
                self.position += 1;
            }
        }
        if self.peek().is_none() {
            return self.problem("expected \\ after `a', `c' or `i'");
        }
        let mut out = Vec::new();
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => match self.next() {
                    Some(next) => out.push(next),
                    None => break,
                },
                b'\n' => break,
                _ => out.push(byte),
            }
        }
        out.push(b'\n');
        Ok(out)
    }

    fn file_name(&mut self) -> Parsed<Vec<u8>> {
        self.skip(b" \t");
        let name = self.line();
        if name.is_empty() {
            return self.problem("missing filename in r/R/w/W commands");
        }
        Ok(name)
    }

    fn end_of_command(&mut self) -> Parsed<()> {
        self.skip(b" \t");
        match self.peek() {
            None | Some(b'\n' | b';' | b'}' | b'#') => Ok(()),
            Some(_) => self.problem("extra characters after command"),
        }
    }

    fn action(&mut self, letter: u8, index: usize, addressed: bool) -> Parsed<Action> {
        let simple = match letter {
            b'{' => return Ok(Action::Block(0)),
            b'}' => {
                if addressed {
                    return self.problem("} doesn't want any addresses");
                }
                Action::EndBlock
            }
            b'=' => Action::LineNumber,
            b'd' => Action::Delete,
            b'D' => Action::DeleteFirst,
            b'g' => Action::Get,
            b'G' => Action::GetAppend,
            b'h' => Action::Hold,
            b'H' => Action::HoldAppend,
            b'x' => Action::Exchange,
            b'n' => Action::Next,
            b'N' => Action::NextAppend,
            b'p' => Action::Print,
            b'P' => Action::PrintFirst,
            b'F' => Action::FileName,
            b'z' => Action::Zap,
            b'l' => {
                self.skip(b" \t");
                self.number();
                Action::List
            }
            b'q' | b'Q' => {
                self.skip(b" \t");
                let code = self.number().unwrap_or(0) as u8;
                if letter == b'q' { Action::Quit(code) } else { Action::QuitSilently(code) }
            }
            b'#' => {
                if addressed {
                    return self.problem("comments don't accept any addresses");
                }
                self.line();
                return Ok(Action::Nothing);
            }
            b':' => {
                let label = self.label();
                if label.is_empty() {
                    return self.problem("\":\" lacks a label");
                }
                self.labels.push((label, index));
                return Ok(Action::Nothing);
            }
            b'b' | b't' | b'T' => {
                let label = self.label();
                self.branches.push((index, label));
                return Ok(match letter {
                    b'b' => Action::Branch(0),
                    b't' => Action::BranchIf(0),
                    _ => Action::BranchUnless(0),
                });
            }
            b'a' => return Ok(Action::Append(self.block_text()?)),
            b'i' => return Ok(Action::Insert(self.block_text()?)),
            b'c' => return Ok(Action::Change(self.block_text()?)),
            b'r' => return Ok(Action::ReadFile(self.file_name()?)),
            b'w' => return Ok(Action::WriteFile(self.file_name()?)),
            b'W' => return Ok(Action::WriteFirst(self.file_name()?)),
            b's' => return self.substitution(),
            b'y' => self.translation()?,
            _ => {
                let shown = String::from_utf8_lossy(&[letter]).into_owned();
                return self.problem(&format!("unknown command: `{shown}'"));
            }
        };
        self.end_of_command()?;
        Ok(simple)
    }

    fn substitution(&mut self) -> Parsed<Action> {
        const UNTERMINATED: &str = "unterminated `s' command";
        let Some(delimiter) = self.next().filter(|byte| !matches!(byte, b'\n' | b'\\')) else {
            return self.problem(UNTERMINATED);
        };
        let pattern = self.delimited(delimiter, true, UNTERMINATED)?;
        let replacement = self.delimited(delimiter, false, UNTERMINATED)?;
        let mut flags = Flags { extended: self.extended, ..Flags::default() };
        let mut substitution =
            Substitution { regex: None, replacement: Vec::new(), global: false, print: false, from: 1, file: None };
        loop {
            match self.peek() {
                Some(b'g') => substitution.global = true,
                Some(b'p') => substitution.print = true,
                Some(b'i' | b'I') => flags.ignore_case = true,
                Some(b'm' | b'M') => flags.multi_line = true,
                Some(b'1'..=b'9') => {
                    substitution.from = self.number().unwrap_or(u64::MAX);
                    continue;
                }
                Some(b'w') => {
                    self.position += 1;
                    substitution.file = Some(self.file_name()?);
                    break;
                }
                Some(b'e') => return self.problem("the e flag is not supported: it would run a shell"),
                _ => break,
            }
            self.position += 1;
        }
        self.end_of_command().or_else(|_| self.problem("unknown option to `s'"))?;
        substitution.regex = self.regex(&pattern, flags)?;
        substitution.replacement = pieces(&replacement);
        let groups = substitution.regex.as_ref().map_or(9, Regex::groups);
        for piece in &substitution.replacement {
            if let Piece::Group(group) = piece
                && *group > groups
            {
                return self.problem(&format!("invalid reference \\{group} on `s' command's RHS"));
            }
        }
        Ok(Action::Substitute(Box::new(substitution)))
    }

    fn translation(&mut self) -> Parsed<Action> {
        const UNTERMINATED: &str = "unterminated `y' command";
        let Some(delimiter) = self.next() else { return self.problem(UNTERMINATED) };
        let mut sides = Vec::new();
        for _ in 0..2 {
            let raw = self.delimited(delimiter, false, UNTERMINATED)?;
            let mut side = Vec::new();
            let mut bytes = raw.iter();
            while let Some(&byte) = bytes.next() {
                side.push(match (byte, bytes.as_slice().first()) {
                    (b'\\', Some(&next)) => {
                        bytes.next();
                        match next {
                            b'n' => b'\n',
                            b't' => b'\t',
                            b'r' => b'\r',
                            other => other,
                        }
                    }
                    _ => byte,
                });
            }
            sides.push(side);
        }
        if sides[0].len() != sides[1].len() {
            return self.problem("strings for `y' command are different lengths");
        }
        let mut map: Box<[u8; 256]> = Box::new(std::array::from_fn(|byte| byte as u8));
        for (&from, &to) in sides[0].iter().zip(&sides[1]) {
            map[usize::from(from)] = to;
        }
        Ok(Action::Translate(map))
    }
}

fn pieces(text: &[u8]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let push = |out: &mut Vec<Piece>, byte: u8| match out.last_mut() {
        Some(Piece::Text(text)) => text.push(byte),
        _ => out.push(Piece::Text(vec![byte])),
    };
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'&' => out.push(Piece::Group(0)),
            b'\\' => match bytes.next() {
                Some(digit @ b'0'..=b'9') => out.push(Piece::Group(usize::from(digit - b'0'))),
                Some(letter @ (b'U' | b'L' | b'u' | b'l' | b'E')) => out.push(Piece::Case(*letter)),
                Some(b'n') => push(&mut out, b'\n'),
                Some(b't') => push(&mut out, b'\t'),
                Some(b'r') => push(&mut out, b'\r'),
                Some(&other) => push(&mut out, other),
                None => push(&mut out, b'\\'),
            },
            _ => push(&mut out, byte),
        }
    }
    out
}
