//! `test` and `[`.

use std::path::Path;

use kiln_guest::Stat;

use crate::context::{Context, Failure, Outcome, show};
use crate::options::number;

pub fn test(context: &mut Context) -> Outcome {
    let mut args = context.args;
    if context.name == "[" {
        match args.split_last() {
            Some((last, rest)) if last == b"]" => args = rest,
            _ => return Err(Failure::usage("missing ]")),
        }
    }
    evaluate(context, args)
}

/// `test` under whatever name, for a caller that has taken the bracket away.
pub fn test_without_bracket(context: &mut Context) -> Outcome {
    let args = context.args;
    evaluate(context, args)
}

fn evaluate(context: &Context, args: &[Vec<u8>]) -> Outcome {
    let mut evaluator = Evaluator { args, position: 0, cwd: context.cwd };
    Ok(u8::from(!evaluator.whole()?))
}

struct Evaluator<'a> {
    args: &'a [Vec<u8>],
    position: usize,
    cwd: &'a Path,
}

const BINARY: [&[u8]; 16] = [
    b"=", b"==", b"!=", b"<", b">", b"-eq", b"-ne", b"-lt", b"-le", b"-gt", b"-ge", b"-nt", b"-ot", b"-ef", b"-a",
    b"-o",
];

impl Evaluator<'_> {
    /// With up to four arguments their number decides, as POSIX says.
    fn whole(&mut self) -> Result<bool, Failure> {
        match self.args {
            [] => return Ok(false),
            [only] => return Ok(!only.is_empty()),
            [not, value] if not == b"!" => return Ok(value.is_empty()),
            [left, operator, right] if BINARY.contains(&operator.as_slice()) => {
                return match operator.as_slice() {
                    b"-a" => Ok(!left.is_empty() && !right.is_empty()),
                    b"-o" => Ok(!left.is_empty() || !right.is_empty()),
                    _ => self.binary(left, operator, right),
                };
            }
            [not, ..] if not == b"!" && self.args.len() == 4 => {
                self.args = &self.args[1..];
                return Ok(!self.whole()?);
            }
            [open, middle, close] if open == b"(" && close == b")" => return Ok(!middle.is_empty()),
            _ => {}
        }
        let value = self.or()?;
        match self.args.get(self.position) {
            None => Ok(value),
            Some(extra) => Err(Failure::usage(format!("{}: unexpected operator", show(extra)))),
        }
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let found = self.args.get(self.position).is_some_and(|arg| arg == text);
        self.position += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<bool, Failure> {
        let mut value = self.and()?;
        while self.take(b"-o") {
            value |= self.and()?;
        }
        Ok(value)
    }

    fn and(&mut self) -> Result<bool, Failure> {
        let mut value = self.not()?;
        while self.take(b"-a") {
            value &= self.not()?;
        }
        Ok(value)
    }

    fn not(&mut self) -> Result<bool, Failure> {
        if self.position + 1 < self.args.len() && self.take(b"!") {
            return Ok(!self.not()?);
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<bool, Failure> {
        let args = &self.args[self.position..];
        match args {
            [] => Err(Failure::usage("argument expected")),
            [left, operator, right, ..] if BINARY[..14].contains(&operator.as_slice()) => {
                self.position += 3;
                self.binary(left, operator, right)
            }
            [open, ..] if open == b"(" && args.len() > 1 => {
                self.position += 1;
                let value = self.or()?;
                if !self.take(b")") {
                    return Err(Failure::usage("closing paren expected"));
                }
                Ok(value)
            }
            [_, operator] if BINARY[..14].contains(&operator.as_slice()) => {
                Err(Failure::usage(format!("{}: argument expected", show(operator))))
            }
            [operator, operand, ..] if operator.len() == 2 && operator[0] == b'-' => {
                self.position += 2;
                self.unary(operator, operand)
            }
            [value, ..] => {
                self.position += 1;
                Ok(!value.is_empty())
            }
        }
    }

    fn stat(&self, operand: &[u8], follow: bool) -> Option<Stat> {
        if operand.is_empty() {
            return None;
        }
        kiln_guest::stat(&self.cwd.join(kiln_guest::path(operand)), follow).ok()
    }

    fn unary(&self, operator: &[u8], operand: &[u8]) -> Result<bool, Failure> {
        let stat = |follow| self.stat(operand, follow);
        let kind = |kind: u32| self.stat(operand, true).is_some_and(|stat| stat.kind() == kind);
        let mode = |bits: u32| self.stat(operand, true).is_some_and(|stat| stat.mode & bits != 0);
        Ok(match operator[1] {
            b'n' => !operand.is_empty(),
            b'z' => operand.is_empty(),
            b'e' => stat(true).is_some(),
            b'f' => kind(kiln_guest::S_IFREG),
            b'd' => kind(kiln_guest::S_IFDIR),
            b'b' => kind(kiln_guest::S_IFBLK),
            b'c' => kind(kiln_guest::S_IFCHR),
            b'p' => kind(kiln_guest::S_IFIFO),
            b'S' => kind(kiln_guest::S_IFSOCK),
            b'h' | b'L' => stat(false).is_some_and(|stat| stat.is_symlink()),
            b's' => stat(true).is_some_and(|stat| stat.size > 0),
            // A step runs as the owner of everything that it may touch.
            b'r' | b'w' | b'O' | b'G' => stat(true).is_some(),
            b'x' => stat(true).is_some_and(|stat| stat.is_dir() || stat.mode & 0o111 != 0),
            b'u' => mode(0o4000),
            b'g' => mode(0o2000),
            b'k' => mode(0o1000),
            // No descriptor of a step is a terminal.
            b't' => false,
            _ => return Err(Failure::usage(format!("{}: unexpected operator", show(operand)))),
        })
    }

    fn binary(&self, left: &[u8], operator: &[u8], right: &[u8]) -> Result<bool, Failure> {
        let integer = |text: &[u8]| {
            let trimmed = text.trim_ascii();
            let digits = trimmed.strip_prefix(b"+").unwrap_or(trimmed);
            number::<i64>(digits).ok_or_else(|| Failure::usage(format!("Illegal number: {}", show(text))))
        };
        let compare = || Ok::<_, Failure>(integer(left)?.cmp(&integer(right)?));
        let times = || (self.stat(left, true).map(|stat| stat.mtime), self.stat(right, true).map(|stat| stat.mtime));
        Ok(match operator {
            b"=" | b"==" => left == right,
            b"!=" => left != right,
            b"<" => left < right,
            b">" => left > right,
            b"-eq" => compare()?.is_eq(),
            b"-ne" => compare()?.is_ne(),
            b"-lt" => compare()?.is_lt(),
            b"-le" => compare()?.is_le(),
            b"-gt" => compare()?.is_gt(),
            b"-ge" => compare()?.is_ge(),
            b"-nt" => matches!(times(), (Some(left), right) if right.is_none_or(|right| left > right)),
            b"-ot" => matches!(times(), (left, Some(right)) if left.is_none_or(|left| left < right)),
            b"-ef" => match (self.stat(left, true), self.stat(right, true)) {
                (Some(left), Some(right)) => (left.dev, left.ino) == (right.dev, right.ino),
                _ => false,
            },
            _ => return Err(Failure::usage(format!("{}: unexpected operator", show(operator)))),
        })
    }
}
