//! The value of `--chmod`: octal, or symbolic as chmod(1) has it, `u=rwX,go=rX`.

use thiserror::Error;

const READ: u32 = 0o444;
const WRITE: u32 = 0o222;
const EXECUTE: u32 = 0o111;
const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a file mode: write it in octal, 755, or as changes, u=rwX,go=rX")]
pub struct ParseModeError(pub String);

/// How a file's mode is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeChange(Steps);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Steps {
    Absolute(u32),
    Relative(Vec<Step>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    operator: char,
    /// The bits of those (user, group, others) whom the step concerns, special ones included.
    who: u32,
    bits: Bits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bits {
    Given {
        bits: u32,
        execute_if_any: bool,
    },
    /// `g=u`: the three bits at this shift.
    CopyOf(u32),
}

impl ModeChange {
    pub fn parse(text: &str) -> Result<Self, ParseModeError> {
        let error = || ParseModeError(text.chars().take(60).collect());
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| mode <= 0o7777);
            return mode.map(|mode| Self(Steps::Absolute(mode))).ok_or_else(error);
        }
        let mut steps = Vec::new();
        for clause in text.split(',') {
            parse_clause(clause, &mut steps).ok_or_else(error)?;
        }
        Ok(Self(Steps::Relative(steps)))
    }

    /// The mode itself, where it is given in octal.
    pub fn absolute(&self) -> Option<u32> {
        match self.0 {
            Steps::Absolute(mode) => Some(mode),
            Steps::Relative(_) => None,
        }
    }

    /// The new permission bits (07777) of a file that has `mode`.
    #[must_use]
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match &self.0 {
            Steps::Absolute(mode) => *mode,
            Steps::Relative(steps) => steps.iter().fold(mode & 0o7777, |mode, step| step.apply(mode, is_directory)),
        }
    }
}

impl Step {
    fn apply(self, mode: u32, is_directory: bool) -> u32 {
        let bits = match self.bits {
            Bits::Given { bits, execute_if_any } if execute_if_any && (is_directory || mode & EXECUTE != 0) => {
                bits | EXECUTE
            }
            Bits::Given { bits, .. } => bits,
            Bits::CopyOf(shift) => (mode >> shift & 0o7) * 0o111,
        } & self.who;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => {
                // A directory keeps its set-id bits unless they are spoken of.
                let kept = if is_directory && bits & (SETUID | SETGID) == 0 { SETUID | SETGID } else { 0 };
                mode & (!self.who | kept) | bits
            }
        }
    }
}

fn parse_clause(clause: &str, steps: &mut Vec<Step>) -> Option<()> {
    let operators = clause.find(['+', '-', '='])?;
    let mut who = 0;
    for letter in clause[..operators].chars() {
        who |= match letter {
            'u' => 0o700 | SETUID,
            'g' => 0o070 | SETGID,
            'o' => 0o007 | STICKY,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if who == 0 {
        who = 0o7777;
    }
    let mut rest = &clause[operators..];
    while let Some(operator) = rest.chars().next() {
        let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
        steps.push(Step { operator, who, bits: parse_bits(&rest[1..end])? });
        rest = &rest[end..];
    }
    Some(())
}

fn parse_bits(letters: &str) -> Option<Bits> {
    match letters {
        "u" => return Some(Bits::CopyOf(6)),
        "g" => return Some(Bits::CopyOf(3)),
        "o" => return Some(Bits::CopyOf(0)),
        _ => {}
    }
    let (mut bits, mut execute_if_any) = (0, false);
    for letter in letters.chars() {
        match letter {
            'r' => bits |= READ,
            'w' => bits |= WRITE,
            'x' => bits |= EXECUTE,
            'X' => execute_if_any = true,
            's' => bits |= SETUID | SETGID,
            't' => bits |= STICKY,
            _ => return None,
        }
    }
    Some(Bits::Given { bits, execute_if_any })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_as_chmod_does() {
        for (change, before, is_directory, after) in [
            ("755", 0o644, false, 0o755),
            ("4755", 0o644, true, 0o4755),
            ("0", 0o644, false, 0),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("g=u", 0o640, false, 0o660),
            ("go=", 0o777, false, 0o700),
            ("u+s,+t", 0o755, false, 0o5755),
            ("g+s", 0o755, true, 0o2755),
            ("u=rx", 0o4755, false, 0o555),
            ("u=rx", 0o4755, true, 0o4555),
            ("u+w-x", 0o555, false, 0o655),
        ] {
            assert_eq!(ModeChange::parse(change).unwrap().apply(before, is_directory), after, "{change}");
        }
    }

    #[test]
    fn refuses_what_is_no_mode() {
        for text in ["", "8", "77777", "7a", "x", "u", "u=rwx,", "z+x", "u=q", "+ug", "0o755", "-1é", "é+x"] {
            assert!(ModeChange::parse(text).is_err(), "{text}");
        }
    }
}
