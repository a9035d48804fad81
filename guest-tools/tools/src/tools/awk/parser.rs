//! From tokens to the tree.

use std::rc::Rc;

use super::lexer::{Problem, Token, tokens};
use super::syntax::*;
use crate::regex::{Flags, Regex};

struct Parser {
    tokens: Vec<(Token, u32)>,
    position: usize,
    depth: u32,
    /// In the expressions of a `print`, `>` redirects.
    no_greater: bool,
}

type Parsed<T> = Result<T, Problem>;

const MAX_DEPTH: u32 = 200;

pub(super) fn parse(source: &[u8]) -> Parsed<Program> {
    let mut parser =
        Parser { tokens: tokens(source)?, position: 0, depth: 0, no_greater: false };
    let mut program = Program::default();
    loop {
        parser.skip_ends();
        if *parser.peek() == Token::End {
            break;
        }
        parser.item(&mut program)?;
    }
    super::functions::find_arrays(&mut program);
    Ok(program)
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.position].0
    }

    fn advance(&mut self) -> Token {
        let token = self.tokens[self.position].0.clone();
        // The last token is the end, which stays.
        self.position = (self.position + 1).min(self.tokens.len() - 1);
        token
    }

    fn problem<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(Problem { line: self.tokens[self.position].1, message: message.into() })
    }

    fn at(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.at(sign);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { self.problem(format!("expected {sign}")) }
    }

    fn at_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Keyword(found) if *found == keyword)
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.advance();
        }
        found
    }

    fn skip_newlines(&mut self) {
        while *self.peek() == Token::Newline {
            self.advance();
        }
    }

    fn skip_ends(&mut self) {
        while *self.peek() == Token::Newline || self.at(";") {
            self.advance();
        }
    }

    fn item(&mut self, program: &mut Program) -> Parsed<()> {
        if self.take_keyword("BEGIN") {
            self.skip_newlines();
            program.begin.push(self.block()?);
        } else if self.take_keyword("END") {
            self.skip_newlines();
            program.end.push(self.block()?);
        } else if self.take_keyword("function") || self.take_keyword("func") {
            program.functions.push(self.function()?);
        } else {
            let pattern = if self.at("{") {
                Pattern::Always
            } else {
                let first = self.expr()?;
                if self.take(",") {
                    self.skip_newlines();
                    Pattern::Range(first, self.expr()?)
                } else {
                    Pattern::When(first)
                }
            };
            let action = if self.at("{") { Some(self.block()?) } else { None };
            program.rules.push(Rule { pattern, action });
        }
        Ok(())
    }

    fn function(&mut self) -> Parsed<Function> {
        let name = match self.advance() {
            Token::Name(name) | Token::FunctionName(name) => name,
            _ => return self.problem("expected a function's name"),
        };
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.take(")") {
            match self.advance() {
                Token::Name(parameter) => parameters.push(parameter),
                _ => return self.problem("expected a parameter"),
            }
            self.take(",");
            self.skip_newlines();
        }
        self.skip_newlines();
        let body = self.block()?;
        let arrays = vec![false; parameters.len()];
        Ok(Function { name, parameters, body, arrays })
    }

    fn block(&mut self) -> Parsed<Vec<Statement>> {
        self.expect("{")?;
        let mut statements = Vec::new();
        loop {
            self.skip_ends();
            if self.take("}") {
                return Ok(statements);
            }
            if *self.peek() == Token::End {
                return self.problem("expected }");
            }
            statements.push(self.statement()?);
        }
    }

    fn end_of_statement(&mut self) -> Parsed<()> {
        if self.take(";") || self.at("}") {
            return Ok(());
        }
        match self.peek() {
            Token::Newline => {
                self.advance();
                Ok(())
            }
            Token::End => Ok(()),
            _ => self.problem("unexpected text after a statement"),
        }
    }

    /// What a loop or a condition governs.
    fn body(&mut self) -> Parsed<Vec<Statement>> {
        self.skip_newlines();
        if self.take(";") {
            return Ok(Vec::new());
        }
        if self.at("{") { self.block() } else { Ok(vec![self.statement()?]) }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        if self.depth == MAX_DEPTH {
            return self.problem("nested too deeply");
        }
        self.depth += 1;
        let statement = self.statement_here();
        self.depth -= 1;
        statement
    }

    fn statement_here(&mut self) -> Parsed<Statement> {
        if self.at("{") {
            return Ok(Statement::Block(self.block()?));
        }
        let Token::Keyword(keyword) = *self.peek() else {
            let statement = self.simple()?;
            self.end_of_statement()?;
            return Ok(statement);
        };
        match keyword {
            "if" => {
                self.advance();
                self.expect("(")?;
                let condition = self.expr()?;
                self.expect(")")?;
                let then = self.body()?;
                let position = self.position;
                self.skip_ends();
                if self.take_keyword("else") {
                    return Ok(Statement::If(condition, then, self.body()?));
                }
                self.position = position;
                return Ok(Statement::If(condition, then, Vec::new()));
            }
            "while" => {
                self.advance();
                self.expect("(")?;
                let condition = self.expr()?;
                self.expect(")")?;
                return Ok(Statement::While(condition, self.body()?));
            }
            "do" => {
                self.advance();
                let body = self.body()?;
                self.skip_ends();
                if !self.take_keyword("while") {
                    return self.problem("expected while");
                }
                self.expect("(")?;
                let condition = self.expr()?;
                self.expect(")")?;
                self.end_of_statement()?;
                return Ok(Statement::DoWhile(body, condition));
            }
            "for" => {
                self.advance();
                return self.for_statement();
            }
            _ => {}
        }
        let statement = match keyword {
            "break" => self.only(Statement::Break),
            "continue" => self.only(Statement::Continue),
            "next" => self.only(Statement::Next),
            "nextfile" => self.only(Statement::NextFile),
            "exit" | "return" => {
                self.advance();
                let ends = self.at(";") || self.at("}") || *self.peek() == Token::Newline;
                let value = if ends { None } else { Some(self.expr()?) };
                if keyword == "exit" { Statement::Exit(value) } else { Statement::Return(value) }
            }
            _ => self.simple()?,
        };
        self.end_of_statement()?;
        Ok(statement)
    }

    fn only(&mut self, statement: Statement) -> Statement {
        self.advance();
        statement
    }

    /// A statement that can stand in the head of a `for`.
    fn simple(&mut self) -> Parsed<Statement> {
        if self.take_keyword("delete") {
            let Token::Name(name) = self.advance() else { return self.problem("expected an array") };
            let index = if self.take("[") { Some(self.list("]")?) } else { None };
            return Ok(Statement::Delete(name, index));
        }
        let formatted = self.at_keyword("printf");
        if !formatted && !self.at_keyword("print") {
            return Ok(Statement::Expr(self.expr()?));
        }
        self.advance();
        let outer = std::mem::replace(&mut self.no_greater, true);
        let mut args = Vec::new();
        let ends = |parser: &Self| {
            [";", "}", ">", ">>", "|"].iter().any(|sign| parser.at(sign)) || *parser.peek() == Token::Newline
        };
        if !ends(self) {
            args.push(self.expr()?);
            while self.take(",") {
                self.skip_newlines();
                args.push(self.expr()?);
            }
            if args.len() == 1 && matches!(args[0], Expr::Group(_)) {
                if let Some(Expr::Group(inner)) = args.pop() {
                    args = inner;
                }
            }
        }
        self.no_greater = outer;
        let redirect = if self.take(">") {
            Some(Redirect::Write)
        } else if self.take(">>") {
            Some(Redirect::Append)
        } else if self.take("|") {
            Some(Redirect::Pipe)
        } else {
            None
        };
        let target = match redirect {
            Some(redirect) => {
                let outer = std::mem::replace(&mut self.no_greater, true);
                let target = self.concat()?;
                self.no_greater = outer;
                Some((redirect, target))
            }
            None => None,
        };
        Ok(if formatted { Statement::Printf(args, target) } else { Statement::Print(args, target) })
    }

    fn for_statement(&mut self) -> Parsed<Statement> {
        self.expect("(")?;
        if let [(Token::Name(variable), _), (Token::Keyword("in"), _), (Token::Name(array), _), (Token::Sign(")"), _)] =
            &self.tokens[self.position..(self.position + 4).min(self.tokens.len())]
        {
            let (variable, array) = (variable.clone(), array.clone());
            self.position += 4;
            return Ok(Statement::ForIn(variable, array, self.body()?));
        }
        let first = if self.at(";") { None } else { Some(Box::new(self.simple()?)) };
        self.expect(";")?;
        self.skip_newlines();
        let condition = if self.at(";") { None } else { Some(self.expr()?) };
        self.expect(";")?;
        self.skip_newlines();
        let step = if self.at(")") { None } else { Some(Box::new(self.simple()?)) };
        self.expect(")")?;
        Ok(Statement::For(first, condition, step, self.body()?))
    }

    /// Expressions up to a closing sign.
    fn list(&mut self, closing: &str) -> Parsed<Vec<Expr>> {
        let outer = std::mem::replace(&mut self.no_greater, false);
        let mut list = Vec::new();
        self.skip_newlines();
        while !self.take(closing) {
            list.push(self.expr()?);
            self.skip_newlines();
            if !self.at(closing) {
                self.expect(",")?;
                self.skip_newlines();
            }
        }
        self.no_greater = outer;
        Ok(list)
    }

    fn expr(&mut self) -> Parsed<Expr> {
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

    fn concat(&mut self) -> Parsed<Expr> {
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
                let index = if self.at("++") || self.at("--") || self.at("-") { self.unary()? } else { self.primary()? };
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
