//! From tokens to the tree.

use super::lexer::{Problem, Token, tokens};
use super::syntax::*;

pub(super) struct Parser {
    pub(super) tokens: Vec<(Token, u32)>,
    pub(super) position: usize,
    pub(super) depth: u32,
    /// In the expressions of a `print`, `>` redirects.
    pub(super) no_greater: bool,
}

pub(super) type Parsed<T> = Result<T, Problem>;

pub(super) const MAX_DEPTH: u32 = 200;

pub(super) fn parse(source: &[u8]) -> Parsed<Program> {
    let mut program = Program { names: SPECIAL.map(String::from).to_vec(), ..Program::default() };
    let tokens = tokens(source, &mut program.names)?;
    let mut parser = Parser { tokens, position: 0, depth: 0, no_greater: false };
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
    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.position].0
    }

    pub(super) fn advance(&mut self) -> Token {
        let token = self.tokens[self.position].0.clone();
        // The last token is the end, which stays.
        self.position = (self.position + 1).min(self.tokens.len() - 1);
        token
    }

    pub(super) fn problem<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(Problem { line: self.tokens[self.position].1, message: message.into() })
    }

    pub(super) fn at(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    pub(super) fn take(&mut self, sign: &str) -> bool {
        let found = self.at(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { self.problem(format!("expected {sign}")) }
    }

    fn at_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Keyword(found) if *found == keyword)
    }

    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn skip_newlines(&mut self) {
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
            program.functions.push(self.function(&program.names)?);
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

    fn function(&mut self, names: &[String]) -> Parsed<Function> {
        let name = match self.advance() {
            Token::Name(name) => names[name].clone(),
            Token::FunctionName(name) => name,
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
            if args.len() == 1
                && matches!(args[0], Expr::Group(_))
                && let Some(Expr::Group(inner)) = args.pop()
            {
                args = inner;
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
            let (variable, array) = (*variable, *array);
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
    pub(super) fn list(&mut self, closing: &str) -> Parsed<Vec<Expr>> {
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
}
