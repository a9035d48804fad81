//! `expr`.

use crate::context::{Context, Failure, Outcome, show};
use crate::options::number;
use crate::regex::{Flags, Regex};

struct Evaluator<'a> {
    args: &'a [Vec<u8>],
    position: usize,
    depth: u32,
}

const LEVELS: [&[&[u8]]; 5] =
    [&[b"|"], &[b"&"], &[b"<", b"<=", b"=", b"==", b"!=", b">=", b">"], &[b"+", b"-"], &[b"*", b"/", b"%"]];

pub fn expr(context: &mut Context) -> Outcome {
    let args = match context.args.first() {
        Some(first) if first == b"--" => &context.args[1..],
        _ => context.args,
    };
    if args.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    let mut evaluator = Evaluator { args, position: 0, depth: 0 };
    let value = evaluator.binary(0)?;
    if let Some(extra) = args.get(evaluator.position) {
        return Err(Failure::usage(format!("syntax error: unexpected argument '{}'", show(extra))));
    }
    context.stdout.write_all(&[&value[..], b"\n"].concat())?;
    Ok(u8::from(is_null(&value)))
}

fn is_null(value: &[u8]) -> bool {
    value.is_empty() || number::<i64>(value) == Some(0)
}

fn integer(value: &[u8]) -> Result<i64, Failure> {
    number(value).ok_or_else(|| Failure::usage("non-integer argument"))
}

impl Evaluator<'_> {
    fn binary(&mut self, level: usize) -> Result<Vec<u8>, Failure> {
        if level == LEVELS.len() {
            return self.matching();
        }
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.args.get(self.position).filter(|arg| LEVELS[level].contains(&arg.as_slice())) {
            self.position += 1;
            let right = self.binary(level + 1)?;
            left = apply(operator, left, right)?;
        }
        Ok(left)
    }

    fn matching(&mut self) -> Result<Vec<u8>, Failure> {
        let mut left = self.primary()?;
        while self.args.get(self.position).is_some_and(|arg| arg == b":") {
            self.position += 1;
            let pattern = self.primary()?;
            left = matched(&left, &pattern)?;
        }
        Ok(left)
    }

    fn primary(&mut self) -> Result<Vec<u8>, Failure> {
        let Some(arg) = self.args.get(self.position) else {
            return Err(Failure::usage("syntax error: missing argument"));
        };
        self.position += 1;
        if self.depth == 200 {
            return Err(Failure::usage("nested too deeply"));
        }
        self.depth += 1;
        let value = match arg.as_slice() {
            b"(" => {
                let value = self.binary(0)?;
                if self.args.get(self.position).is_none_or(|arg| arg != b")") {
                    return Err(Failure::usage("syntax error: expecting ')'"));
                }
                self.position += 1;
                value
            }
            b"length" if self.position < self.args.len() => self.primary()?.len().to_string().into_bytes(),
            b"match" if self.position + 1 < self.args.len() => {
                let text = self.primary()?;
                let pattern = self.primary()?;
                matched(&text, &pattern)?
            }
            b"index" if self.position + 1 < self.args.len() => {
                let text = self.primary()?;
                let set = self.primary()?;
                let at = text.iter().position(|byte| set.contains(byte)).map_or(0, |at| at + 1);
                at.to_string().into_bytes()
            }
            b"substr" if self.position + 2 < self.args.len() => {
                let text = self.primary()?;
                let (start, length) = (self.primary()?, self.primary()?);
                match (number::<usize>(&start), number::<usize>(&length)) {
                    (Some(start), Some(length)) if start > 0 && start <= text.len() => {
                        text[start - 1..].iter().take(length).copied().collect()
                    }
                    _ => Vec::new(),
                }
            }
            b"+" if self.position < self.args.len() => {
                self.position += 1;
                self.args[self.position - 1].clone()
            }
            _ => arg.clone(),
        };
        self.depth -= 1;
        Ok(value)
    }
}

fn matched(text: &[u8], pattern: &[u8]) -> Result<Vec<u8>, Failure> {
    // Anchored at the start.
    let regex = Regex::new(pattern, Flags::default()).map_err(Failure::usage)?;
    let found = regex.find_at(text, 0).map_err(|_| Failure::usage("the expression is too complex"))?;
    let found = found.filter(|captures| captures.whole().0 == 0);
    Ok(match (found, regex.groups()) {
        (Some(captures), 0) => captures.whole().1.to_string().into_bytes(),
        (Some(captures), _) => captures.get(1).map(|(start, end)| text[start..end].to_vec()).unwrap_or_default(),
        (None, 0) => b"0".to_vec(),
        (None, _) => Vec::new(),
    })
}

fn apply(operator: &[u8], left: Vec<u8>, right: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let zero = || b"0".to_vec();
    match operator {
        b"|" if !is_null(&left) => return Ok(left),
        b"|" => return Ok(if is_null(&right) { zero() } else { right }),
        b"&" => return Ok(if is_null(&left) || is_null(&right) { zero() } else { left }),
        _ => {}
    }
    let ordering = match (number::<i64>(&left), number::<i64>(&right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.cmp(&right),
    };
    let truth = match operator {
        b"<" => Some(ordering.is_lt()),
        b"<=" => Some(ordering.is_le()),
        b"=" | b"==" => Some(ordering.is_eq()),
        b"!=" => Some(ordering.is_ne()),
        b">=" => Some(ordering.is_ge()),
        b">" => Some(ordering.is_gt()),
        _ => None,
    };
    if let Some(truth) = truth {
        return Ok(if truth { b"1".to_vec() } else { zero() });
    }
    let (left, right) = (integer(&left)?, integer(&right)?);
    if matches!(operator, b"/" | b"%") && right == 0 {
        return Err(Failure::usage("division by zero"));
    }
    let value = match operator {
        b"+" => left.checked_add(right),
        b"-" => left.checked_sub(right),
        b"*" => left.checked_mul(right),
        b"/" => left.checked_div(right),
        _ => left.checked_rem(right),
    };
    value.map(|value| value.to_string().into_bytes()).ok_or_else(|| Failure::usage("integer result too large"))
}
