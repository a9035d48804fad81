//! `$(( ))`: integers of 64 bits with the operators of C.

use kiln_tools::context::show;

use crate::state::{Shell, Stop};
use crate::syntax::{is_name_byte, is_name_start};

/// An error of an expression, as text.
type Evaluated<T> = Result<T, Problem>;

enum Problem {
    Message(String),
    Stop(Stop),
}

struct Evaluator<'a> {
    shell: &'a mut Shell,
    text: &'a [u8],
    position: usize,
    /// In an operand that is not evaluated, nothing is assigned and a division by zero is no error.
    skipping: u32,
    depth: u32,
}

/// Binary operators, from those that bind loosest; longer signs first within a level.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

const ASSIGNMENTS: [&str; 11] = ["=", "*=", "/=", "%=", "+=", "-=", "<<=", ">>=", "&=", "^=", "|="];

const MAX_DEPTH: u32 = 200;

impl Shell {
    pub(crate) fn arithmetic(&mut self, text: &[u8]) -> Result<i64, Stop> {
        let mut evaluator = Evaluator { shell: self, text, position: 0, skipping: 0, depth: 0 };
        let result = evaluator.whole();
        match result {
            Ok(value) => Ok(value),
            Err(Problem::Stop(stop)) => Err(stop),
            Err(Problem::Message(message)) => {
                Err(self.fail(&format!("arithmetic expression: {message}: \"{}\"", show(text))))
            }
        }
    }
}

impl Evaluator<'_> {
    fn whole(&mut self) -> Evaluated<i64> {
        self.skip_space();
        if self.position == self.text.len() {
            return Ok(0);
        }
        let value = self.assignment()?;
        self.skip_space();
        if self.position < self.text.len() {
            return self.problem("expecting EOF");
        }
        Ok(value)
    }

    fn problem<T>(&self, message: &str) -> Evaluated<T> {
        Err(Problem::Message(message.to_string()))
    }

    fn skip_space(&mut self) {
        while self.text.get(self.position).is_some_and(u8::is_ascii_whitespace) {
            self.position += 1;
        }
    }

    fn take(&mut self, sign: &str) -> bool {
        self.skip_space();
        let found = self.text[self.position..].starts_with(sign.as_bytes());
        self.position += if found { sign.len() } else { 0 };
        found
    }

    fn name(&mut self) -> Option<Vec<u8>> {
        self.skip_space();
        let rest = &self.text[self.position..];
        if !rest.first().is_some_and(|&byte| is_name_start(byte)) {
            return None;
        }
        let length = rest.iter().take_while(|&&byte| is_name_byte(byte)).count();
        self.position += length;
        Some(rest[..length].to_vec())
    }

    fn assignment(&mut self) -> Evaluated<i64> {
        if self.depth == MAX_DEPTH {
            return self.problem("nested too deeply");
        }
        self.depth += 1;
        let value = self.assignment_here();
        self.depth -= 1;
        value
    }

    fn assignment_here(&mut self) -> Evaluated<i64> {
        let start = self.position;
        if let Some(name) = self.name() {
            for operator in ASSIGNMENTS {
                if !self.take(operator) {
                    continue;
                }
                if operator == "=" && self.text.get(self.position) == Some(&b'=') {
                    break;
                }
                let right = self.assignment()?;
                let value = match operator.strip_suffix('=') {
                    Some("") | None => right,
                    Some(binary) => {
                        let left = self.variable(&name)?;
                        self.apply(binary, left, right)?
                    }
                };
                if self.skipping == 0 {
                    self.shell.assign(&name, value.to_string().into_bytes()).map_err(Problem::Stop)?;
                }
                return Ok(value);
            }
            self.position = start;
        }
        self.conditional()
    }

    fn skipped<T>(&mut self, skip: bool, evaluate: impl FnOnce(&mut Self) -> Evaluated<T>) -> Evaluated<T> {
        self.skipping += u32::from(skip);
        let value = evaluate(self);
        self.skipping -= u32::from(skip);
        value
    }

    fn conditional(&mut self) -> Evaluated<i64> {
        let condition = self.binary(0)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let yes = self.skipped(condition == 0, Self::assignment)?;
        if !self.take(":") {
            return self.problem("expecting ':'");
        }
        let no = self.skipped(condition != 0, Self::assignment)?;
        Ok(if condition != 0 { yes } else { no })
    }

    fn operator(&mut self, level: usize) -> Option<&'static str> {
        self.skip_space();
        let rest = &self.text[self.position..];
        let operator = LEVELS[level].iter().find(|operator| rest.starts_with(operator.as_bytes()))?;
        let after = rest.get(operator.len());
        // `&` is not the beginning of `&&`, nor `+` of `+=`.
        let doubled = matches!(*operator, "|" | "&") && after == Some(&operator.as_bytes()[0]);
        let shifts = matches!(*operator, "<" | ">") && after == Some(&operator.as_bytes()[0]);
        let assigns = after == Some(&b'=') && !matches!(*operator, "==" | "!=" | "<=" | ">=" | "||" | "&&");
        if doubled || shifts || assigns {
            return None;
        }
        self.position += operator.len();
        Some(operator)
    }

    fn binary(&mut self, level: usize) -> Evaluated<i64> {
        if level == LEVELS.len() {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(level) {
            left = match operator {
                "||" => i64::from(self.skipped(left != 0, |e| e.binary(level + 1))? != 0 || left != 0),
                "&&" => i64::from(self.skipped(left == 0, |e| e.binary(level + 1))? != 0 && left != 0),
                _ => {
                    let right = self.binary(level + 1)?;
                    self.apply(operator, left, right)?
                }
            };
        }
        Ok(left)
    }

    fn apply(&self, operator: &str, left: i64, right: i64) -> Evaluated<i64> {
        if matches!(operator, "/" | "%") && right == 0 {
            return if self.skipping > 0 { Ok(0) } else { self.problem("division by zero") };
        }
        Ok(match operator {
            "|" => left | right,
            "^" => left ^ right,
            "&" => left & right,
            "==" => i64::from(left == right),
            "!=" => i64::from(left != right),
            "<=" => i64::from(left <= right),
            ">=" => i64::from(left >= right),
            "<" => i64::from(left < right),
            ">" => i64::from(left > right),
            "<<" => left.wrapping_shl(right as u32),
            ">>" => left.wrapping_shr(right as u32),
            "+" => left.wrapping_add(right),
            "-" => left.wrapping_sub(right),
            "*" => left.wrapping_mul(right),
            "/" => left.wrapping_div(right),
            _ => left.wrapping_rem(right),
        })
    }

    fn unary(&mut self) -> Evaluated<i64> {
        if self.depth == MAX_DEPTH {
            return self.problem("nested too deeply");
        }
        self.depth += 1;
        let value = if self.take("!") {
            self.unary().map(|value| i64::from(value == 0))
        } else if self.take("~") {
            self.unary().map(|value| !value)
        } else if self.take("-") {
            self.unary().map(i64::wrapping_neg)
        } else if self.take("+") {
            self.unary()
        } else {
            self.primary()
        };
        self.depth -= 1;
        value
    }

    fn primary(&mut self) -> Evaluated<i64> {
        if self.take("(") {
            let value = self.assignment()?;
            if !self.take(")") {
                return self.problem("expecting ')'");
            }
            return Ok(value);
        }
        if let Some(name) = self.name() {
            return self.variable(&name);
        }
        let rest = &self.text[self.position..];
        let length = rest.iter().take_while(|&&byte| is_name_byte(byte)).count();
        if length == 0 {
            return self.problem("expecting primary");
        }
        self.position += length;
        match constant(&rest[..length]) {
            Some(value) => Ok(value),
            None => self.problem("expecting EOF"),
        }
    }

    fn variable(&mut self, name: &[u8]) -> Evaluated<i64> {
        let Some(value) = self.shell.parameter(name) else {
            if self.shell.options.get("nounset") {
                return Err(Problem::Stop(self.shell.fail(&format!("{}: parameter not set", show(name)))));
            }
            return Ok(0);
        };
        let text = value.trim_ascii();
        let (negative, digits) = match text.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix(b"+").unwrap_or(text)),
        };
        let number = if digits.is_empty() { Some(0) } else { constant(digits) };
        match number {
            Some(number) if negative => Ok(number.wrapping_neg()),
            Some(number) => Ok(number),
            None => Err(Problem::Stop(self.shell.fail(&format!("Illegal number: {}", show(&value))))),
        }
    }
}

fn constant(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (radix, digits) = match text {
        _ if text.starts_with("0x") || text.starts_with("0X") => (16, &text[2..]),
        _ if text.len() > 1 && text.starts_with('0') => (8, &text[1..]),
        _ => (10, text),
    };
    // A constant out of range saturates, as strtoimax does.
    match i64::from_str_radix(digits, radix) {
        Ok(value) => Some(value),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => Some(i64::MAX),
        Err(_) => None,
    }
}
