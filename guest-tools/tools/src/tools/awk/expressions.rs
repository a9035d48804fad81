//! Parsing expressions, from those that bind loosest to the tightest.

use std::rc::Rc;

use super::lexer::Token;
use super::parser::{MAX_DEPTH, Parsed, Parser};
use super::syntax::*;
use crate::regex::{Flags, Regex};

impl Parser {
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        if self.depth == MAX_DEPTH {
            return self.problem("nested too deeply");
        }
        self.depth += 1;
        let expr = self.ternary();
        self.depth -= 1;
        expr
    }

    fn ternary(&mut self) -> Parsed<Expr> {
        let condition = self.or()?;
        if self.take("?") {
            self.skip_newlines();
            let yes = self.expr()?;
            self.skip_newlines();
            self.expect(":")?;
            self.skip_newlines();
            let no = self.expr()?;
            return Ok(Expr::Condition(Box::new(condition), Box::new(yes), Box::new(no)));
        }
        let operator = match self.peek() {
            Token::Sign("=") => None,
            Token::Sign("+=") => Some(Binary::Add),
            Token::Sign("-=") => Some(Binary::Subtract),
            Token::Sign("*=") => Some(Binary::Multiply),
            Token::Sign("/=") => Some(Binary::Divide),
            Token::Sign("%=") => Some(Binary::Modulo),
            Token::Sign("^=" | "**=") => Some(Binary::Power),
            _ => return Ok(condition),
        };
        self.advance();
        self.skip_newlines();
        let value = self.expr()?;
        self.assigned(condition, operator, value)
    }

    /// `a < b = c` and `!x = y` assign to the operand beside the sign, as everywhere.
    fn assigned(&self, target: Expr, operator: Option<Binary>, value: Expr) -> Parsed<Expr> {
        match target {
            Expr::Variable(_) | Expr::Field(_) | Expr::Index(..) => {
                Ok(Expr::Assign(operator, Box::new(target), Box::new(value)))
            }
            Expr::Not(inner) => Ok(Expr::Not(Box::new(self.assigned(*inner, operator, value)?))),
            Expr::And(left, right) => Ok(Expr::And(left, Box::new(self.assigned(*right, operator, value)?))),
            Expr::Or(left, right) => Ok(Expr::Or(left, Box::new(self.assigned(*right, operator, value)?))),
            Expr::Concat(left, right) => Ok(Expr::Concat(left, Box::new(self.assigned(*right, operator, value)?))),
            Expr::Compare(kind, left, right) => {
                Ok(Expr::Compare(kind, left, Box::new(self.assigned(*right, operator, value)?)))
            }
            _ => self.problem("only a variable, field or element can be assigned to"),
        }
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut left = self.and()?;
        while self.take("||") {
            self.skip_newlines();
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut left = self.membership()?;
        while self.take("&&") {
            self.skip_newlines();
            left = Expr::And(Box::new(left), Box::new(self.membership()?));
        }
        Ok(left)
    }

    fn membership(&mut self) -> Parsed<Expr> {
        let mut left = self.matching()?;
        while self.take_keyword("in") {
            let Token::Name(array) = self.advance() else { return self.problem("expected an array") };
            let keys = match left {
                Expr::Group(keys) => keys,
                key => vec![key],
            };
            left = Expr::In(keys, array);
        }
        Ok(left)
    }

    fn matching(&mut self) -> Parsed<Expr> {
        let mut left = self.comparison()?;
        loop {
            let negated = if self.take("~") {
                false
            } else if self.take("!~") {
                true
            } else {
                return Ok(left);
            };
            let pattern = Box::new(self.comparison()?);
            left = Expr::Match { negated, text: Box::new(left), pattern };
        }
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        let mut left = self.concat()?;
        loop {
            let kind = match self.peek() {
                Token::Sign("<") => Comparison::Less,
                Token::Sign("<=") => Comparison::LessEqual,
                Token::Sign("==") => Comparison::Equal,
                Token::Sign("!=") => Comparison::NotEqual,
                Token::Sign(">") if !self.no_greater => Comparison::Greater,
                Token::Sign(">=") => Comparison::GreaterEqual,
                Token::Sign("|") if matches!(self.tokens[self.position + 1].0, Token::Keyword("getline")) => {
                    self.position += 2;
                    let target = self.getline_target()?;
                    left = Expr::Getline { source: Source::Command(Box::new(left)), target };
                    continue;
                }
                _ => return Ok(left),
            };
            self.advance();
            let right = self.concat()?;
            left = Expr::Compare(kind, Box::new(left), Box::new(right));
        }
    }

    pub(super) fn concat(&mut self) -> Parsed<Expr> {
        let mut left = self.additive()?;
        loop {
            let starts = matches!(
                self.peek(),
                Token::Number(_)
                    | Token::Text(_)
                    | Token::Name(_)
                    | Token::FunctionName(_)
                    | Token::Builtin(_)
                    | Token::Sign("$" | "(" | "-" | "+" | "++" | "--")
            );
            if !starts {
                return Ok(left);
            }
            left = Expr::Concat(Box::new(left), Box::new(self.additive()?));
        }
    }

    fn additive(&mut self) -> Parsed<Expr> {
        let mut left = self.multiplicative()?;
        loop {
            let operator = if self.take("+") {
                Binary::Add
            } else if self.take("-") {
                Binary::Subtract
            } else {
                return Ok(left);
            };
            left = Expr::Binary(operator, Box::new(left), Box::new(self.multiplicative()?));
        }
    }

    fn multiplicative(&mut self) -> Parsed<Expr> {
        let mut left = self.unary()?;
        loop {
            let operator = if self.take("*") {
                Binary::Multiply
            } else if self.take("/") {
                Binary::Divide
            } else if self.take("%") {
                Binary::Modulo
            } else {
                return Ok(left);
            };
            left = Expr::Binary(operator, Box::new(left), Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Parsed<Expr> {
        if self.depth == MAX_DEPTH {
            return self.problem("nested too deeply");
        }
        self.depth += 1;
        let expr = if self.take("!") {
            self.unary().map(|inner| Expr::Not(Box::new(inner)))
        } else if self.take("-") {
            self.unary().map(|inner| Expr::Negate(Box::new(inner)))
        } else if self.take("+") {
            self.unary().map(|inner| Expr::Plus(Box::new(inner)))
        } else {
            self.power()
        };
        self.depth -= 1;
        expr
    }

    fn power(&mut self) -> Parsed<Expr> {
        let left = self.postfix()?;
        if self.take("^") || self.take("**") {
            // Right to left; the exponent may have a sign.
            let right = self.unary()?;
            return Ok(Expr::Binary(Binary::Power, Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        for (sign, by) in [("++", 1.0), ("--", -1.0)] {
            if self.take(sign) {
                let target = Box::new(self.primary()?);
                return Ok(Expr::Step { after: false, by, target });
            }
        }
        let target = self.primary()?;
        if matches!(target, Expr::Variable(_) | Expr::Field(_) | Expr::Index(..)) {
            for (sign, by) in [("++", 1.0), ("--", -1.0)] {
                if self.take(sign) {
                    return Ok(Expr::Step { after: true, by, target: Box::new(target) });
                }
            }
        }
        Ok(target)
    }

    fn getline_target(&mut self) -> Parsed<Option<Box<Expr>>> {
        let has_target = matches!(self.peek(), Token::Name(_)) || self.at("$");
        if has_target { Ok(Some(Box::new(self.primary()?))) } else { Ok(None) }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.advance() {
            Token::Number(number) => Ok(Expr::Number(number)),
            Token::Text(text) => Ok(Expr::Text(text.into())),
            Token::Regex(text) => {
                let flags = Flags { extended: true, ..Flags::default() };
                match Regex::new(&text, flags) {
                    Ok(regex) => Ok(Expr::Regex(Rc::new(regex))),
                    Err(message) => self.problem(message),
                }
            }
            Token::Sign("$") => {
                let index =
                    if self.at("++") || self.at("--") || self.at("-") { self.unary()? } else { self.primary()? };
                Ok(Expr::Field(Box::new(index)))
            }
            Token::Sign("(") => {
                let mut list = self.list(")")?;
                match list.len() {
                    0 => self.problem("expected an expression"),
                    // A group of one keeps an assignment within it apart from what follows.
                    1 => Ok(list.remove(0)),
                    _ => Ok(Expr::Group(list)),
                }
            }
            Token::Name(name) => {
                if self.take("[") {
                    return Ok(Expr::Index(name, self.list("]")?));
                }
                Ok(Expr::Variable(name))
            }
            Token::FunctionName(name) => {
                self.expect("(")?;
                Ok(Expr::Call(name, self.list(")")?))
            }
            Token::Builtin(name) => {
                let args = if self.take("(") { self.list(")")? } else { Vec::new() };
                if args.is_empty() && !matches!(name, "length" | "rand" | "srand" | "fflush" | "systime" | "strftime") {
                    return self.problem(format!("{name} needs arguments"));
                }
                Ok(Expr::Builtin(name, args))
            }
            Token::Keyword("getline") => {
                let target = self.getline_target()?;
                let source = if self.take("<") { Source::File(Box::new(self.primary()?)) } else { Source::Main };
                Ok(Expr::Getline { source, target })
            }
            Token::Newline => self.problem("unexpected newline"),
            _ => {
                self.position = self.position.saturating_sub(1);
                self.problem("unexpected sign")
            }
        }
    }
}
