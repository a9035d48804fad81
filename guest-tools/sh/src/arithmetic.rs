//! `$(( ))`: integers of 64 bits with the operators of C.

use kiln_tools::context::show;

use crate::options::Flag;
use crate::state::{Shell, Stop};
use crate::syntax::{is_name_byte, is_name_start};
use crate::variables::Key;

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

/// What can be assigned to.
struct Place {
    name: Vec<u8>,
    key: Option<Key>,
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

/// Expressions that are the values of variables in other expressions.
const MAX_EXPRESSIONS: u32 = 30;

impl Shell {
    pub(crate) fn arithmetic(&mut self, text: &[u8]) -> Result<i64, Stop> {
        if self.expressions == MAX_EXPRESSIONS {
            return Err(self.fail(&format!("arithmetic expression: nested too deeply: \"{}\"", show(text))));
        }
        self.expressions += 1;
        let result = Evaluator { shell: self, text, position: 0, skipping: 0, depth: 0 }.whole();
        self.expressions -= 1;
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
        let value = self.comma()?;
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

    fn comma(&mut self) -> Evaluated<i64> {
        let mut value = self.assignment()?;
        while self.take(",") {
            value = self.assignment()?;
        }
        Ok(value)
    }

    /// A name, with a subscript or without.
    fn place(&mut self) -> Evaluated<Option<Place>> {
        let Some(name) = self.name() else { return Ok(None) };
        if self.text.get(self.position) != Some(&b'[') {
            return Ok(Some(Place { name, key: None }));
        }
        let start = self.position + 1;
        let mut open = 0usize;
        for end in start..self.text.len() {
            match self.text[end] {
                b'[' => open += 1,
                b']' if open == 0 => {
                    self.position = end + 1;
                    let subscript = self.text[start..end].to_vec();
                    let key = match self.skipping {
                        0 => self.shell.key_of_text(&name, unquoted(subscript)).map_err(Problem::Stop)?,
                        _ => Key::Index(0),
                    };
                    return Ok(Some(Place { name, key: Some(key) }));
                }
                b']' => open -= 1,
                _ => {}
            }
        }
        self.problem("expecting ']'")
    }

    fn set(&mut self, place: Place, value: i64) -> Evaluated<()> {
        if self.skipping > 0 {
            return Ok(());
        }
        let text = value.to_string().into_bytes();
        self.shell.assign_to(&place.name, place.key, text, false).map_err(Problem::Stop)
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
        if self.at_assignment()
            && let Some(place) = self.place()?
        {
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
                        let left = self.variable(&place)?;
                        self.apply(binary, left, right)?
                    }
                };
                self.set(place, value)?;
                return Ok(value);
            }
            self.position = start;
        }
        self.conditional()
    }

    /// Whether what begins here looks like `name =` or `name[…] +=`: a place is only evaluated once.
    fn at_assignment(&mut self) -> bool {
        self.skip_space();
        let mut rest = &self.text[self.position..];
        let length = rest.iter().take_while(|&&byte| is_name_byte(byte)).count();
        if !rest.first().is_some_and(|&byte| is_name_start(byte)) {
            return false;
        }
        rest = &rest[length..];
        if rest.first() == Some(&b'[') {
            let mut open = 0usize;
            let end = rest.iter().position(|&byte| {
                open += usize::from(byte == b'[');
                open -= usize::from(byte == b']');
                open == 0
            });
            rest = end.map_or(&b""[..], |end| &rest[end + 1..]);
        }
        let rest = rest.trim_ascii_start();
        ASSIGNMENTS.iter().any(|operator| rest.starts_with(operator.as_bytes())) && !rest.starts_with(b"==")
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
        let yes = self.skipped(condition == 0, Self::comma)?;
        if !self.take(":") {
            return self.problem("expecting ':'");
        }
        let no = self.skipped(condition != 0, Self::conditional_part)?;
        Ok(if condition != 0 { yes } else { no })
    }

    fn conditional_part(&mut self) -> Evaluated<i64> {
        if self.depth == MAX_DEPTH {
            return self.problem("nested too deeply");
        }
        self.depth += 1;
        let value = self.assignment_here();
        self.depth -= 1;
        value
    }

    /// The operator that stands here, with its level, if it binds at least so tightly.
    fn operator(&mut self, lowest: usize) -> Option<(&'static str, usize)> {
        self.skip_space();
        let rest = &self.text[self.position..];
        if !rest.first().is_some_and(|byte| b"|&^=!<>+-*/%".contains(byte)) {
            return None;
        }
        let (operator, level) = (lowest..LEVELS.len()).find_map(|level| {
            let operator = LEVELS[level].iter().find(|operator| rest.starts_with(operator.as_bytes()))?;
            let after = rest.get(operator.len());
            // `&` is not the beginning of `&&`, nor `+` of `+=`.
            let doubled = matches!(*operator, "|" | "&") && after == Some(&operator.as_bytes()[0]);
            let shifts = matches!(*operator, "<" | ">") && after == Some(&operator.as_bytes()[0]);
            let assigns = after == Some(&b'=') && !matches!(*operator, "==" | "!=" | "<=" | ">=" | "||" | "&&");
            let power = *operator == "*" && after == Some(&b'*');
            (!(doubled || shifts || assigns || power)).then_some((*operator, level))
        })?;
        self.position += operator.len();
        Some((operator, level))
    }

    /// Operands and the operators between them that bind at least so tightly.
    fn binary(&mut self, lowest: usize) -> Evaluated<i64> {
        let mut left = self.power()?;
        while let Some((operator, level)) = self.operator(lowest) {
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

    /// `**`, which binds from the right.
    fn power(&mut self) -> Evaluated<i64> {
        let base = self.unary()?;
        self.skip_space();
        if !self.text[self.position..].starts_with(b"**") || self.text.get(self.position + 2) == Some(&b'=') {
            return Ok(base);
        }
        self.position += 2;
        if self.depth == MAX_DEPTH {
            return self.problem("nested too deeply");
        }
        self.depth += 1;
        let exponent = self.power();
        self.depth -= 1;
        match u64::try_from(exponent?) {
            Ok(exponent) => Ok(wrapping_power(base, exponent)),
            Err(_) => self.problem("exponent less than 0"),
        }
    }

    fn unary(&mut self) -> Evaluated<i64> {
        if self.depth == MAX_DEPTH {
            return self.problem("nested too deeply");
        }
        self.depth += 1;
        self.skip_space();
        let signed = self.text.get(self.position).is_some_and(|byte| b"+-!~".contains(byte));
        let value = if !signed {
            self.primary()
        } else if self.take("++") {
            self.stepped(1)
        } else if self.take("--") {
            self.stepped(-1)
        } else if self.take("!") {
            self.unary().map(|value| i64::from(value == 0))
        } else if self.take("~") {
            self.unary().map(|value| !value)
        } else if self.take("-") {
            self.unary().map(i64::wrapping_neg)
        } else {
            self.take("+");
            self.unary()
        };
        self.depth -= 1;
        value
    }

    /// What follows `++` or `--`; before anything but a name they are two signs.
    fn stepped(&mut self, step: i64) -> Evaluated<i64> {
        let Some(place) = self.place()? else { return self.unary() };
        let value = self.variable(&place)?.wrapping_add(step);
        self.set(place, value)?;
        Ok(value)
    }

    fn primary(&mut self) -> Evaluated<i64> {
        if self.take("(") {
            let value = self.comma()?;
            if !self.take(")") {
                return self.problem("expecting ')'");
            }
            return Ok(value);
        }
        if let Some(place) = self.place()? {
            let value = self.variable(&place)?;
            for (sign, step) in [("++", 1), ("--", -1)] {
                if self.take(sign) {
                    self.set(place, value.wrapping_add(step))?;
                    break;
                }
            }
            return Ok(value);
        }
        let rest = &self.text[self.position..];
        let length = rest.iter().take_while(|&&byte| is_name_byte(byte) || b"#@".contains(&byte)).count();
        if length == 0 {
            return self.problem("expecting primary");
        }
        self.position += length;
        match constant(&rest[..length]) {
            Some(value) => Ok(value),
            None => self.problem("expecting EOF"),
        }
    }

    /// The value of a variable: a number, or an expression.
    fn variable(&mut self, place: &Place) -> Evaluated<i64> {
        if self.skipping > 0 {
            return Ok(0);
        }
        let name = &place.name;
        let value = match &place.key {
            Some(key) => self.shell.variables.get(name).and_then(|variable| variable.element(key)).map(<[u8]>::to_vec),
            None => self.shell.parameter(name),
        };
        let Some(value) = value else {
            if self.shell.options.get(Flag::NoUnset) {
                return Err(Problem::Stop(self.shell.fail(&format!("{}: parameter not set", show(name)))));
            }
            return Ok(0);
        };
        let text = value.trim_ascii();
        if let Some(number) = constant(text) {
            return Ok(number);
        }
        self.shell.arithmetic(text).map_err(Problem::Stop)
    }
}

/// In an expression, quotes around a key are still there.
fn unquoted(text: Vec<u8>) -> Vec<u8> {
    match text.as_slice() {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner.to_vec(),
        _ => text,
    }
}

fn wrapping_power(mut base: i64, mut exponent: u64) -> i64 {
    let mut power = 1i64;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    power
}

/// A number: decimal, `0x…`, `0…`, or `base#…` with digits, small letters, capitals, `@` and `_`.
fn constant(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some((base, digits)) = text.split_once('#') {
        let base = base.parse::<i64>().ok().filter(|base| (2..=64).contains(base))?;
        let digit = |byte: u8| {
            let value = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'z' => byte - b'a' + 10,
                b'A'..=b'Z' if base <= 36 => byte - b'A' + 10,
                b'A'..=b'Z' => byte - b'A' + 36,
                b'@' => 62,
                b'_' => 63,
                _ => return None,
            };
            Some(i64::from(value)).filter(|value| *value < base)
        };
        let number = digits.bytes().try_fold(0i64, |sum, byte| Some(sum.wrapping_mul(base).wrapping_add(digit(byte)?)));
        return number.filter(|_| !digits.is_empty());
    }
    let (radix, digits) = match text {
        _ if text.starts_with("0x") || text.starts_with("0X") => (16, &text[2..]),
        _ if text.len() > 1 && text.starts_with('0') => (8, &text[1..]),
        _ => (10, text),
    };
    // A constant out of range saturates, as strtoimax does.
    if !digits.starts_with(|digit: char| digit.is_ascii_alphanumeric()) {
        return None;
    }
    match i64::from_str_radix(digits, radix) {
        Ok(value) => Some(value),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => Some(i64::MAX),
        Err(_) => None,
    }
}
