//! Tokens into a tree: nodes here, what stands in actions in `pipeline.rs`.

mod pipeline;

use std::collections::BTreeMap;

use crate::ast::{Branch, Node};
use crate::error::{Error, Result};
use crate::lex::{Kind, Lexer, Token};
use crate::literal;

/// How deep actions and parentheses may be nested: both this parser and the execution recurse.
const MAX_NESTING: usize = 100;

pub(crate) type Templates = BTreeMap<String, Vec<Node>>;

/// All templates of a text: that of the text itself has the empty name.
pub(crate) fn parse(text: &str) -> Result<Templates> {
    let mut parser = Parser {
        text,
        lexer: Lexer::new(text),
        waiting: Vec::new(),
        at: 0,
        variables: vec!["$".to_owned()],
        templates: Templates::new(),
        nesting: 0,
        loops: 0,
    };
    let (nodes, end) = parser.nodes(true)?;
    match end {
        Ending::Text => parser.define(String::new(), nodes)?,
        Ending::End => return Err(parser.error("unexpected {{end}}")),
        Ending::Else => return Err(parser.error("unexpected {{else}}")),
    }
    Ok(parser.templates)
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// Tokens that were given back, the next one last.
    waiting: Vec<Token<'a>>,
    at: usize,
    variables: Vec<String>,
    templates: Templates,
    nesting: usize,
    loops: usize,
}

#[derive(PartialEq, Eq)]
enum Ending {
    Text,
    End,
    /// The rest of the action, as in `else if`, is still to be read.
    Else,
}

impl<'a> Parser<'a> {
    fn error(&self, message: impl Into<String>) -> Error {
        let line = 1 + self.text.as_bytes()[..self.at].iter().filter(|&&byte| byte == b'\n').count();
        Error::Syntax { line, message: message.into() }
    }

    fn unexpected(&self, token: Token<'_>, context: &str) -> Error {
        let text = match token.kind {
            Kind::End => return self.error("unexpected EOF"),
            Kind::Keyword | Kind::Dot | Kind::Nil => format!("<{}>", token.text),
            _ if token.text.chars().count() > 10 => {
                format!("{:?}...", token.text.chars().take(10).collect::<String>())
            }
            _ => format!("{:?}", token.text),
        };
        self.error(format!("unexpected {text} in {context}"))
    }

    fn next(&mut self) -> Result<Token<'a>> {
        let token = match self.waiting.pop() {
            Some(token) => token,
            None => self.lexer.next().map_err(|message| self.error(message))?,
        };
        self.at = token.at;
        Ok(token)
    }

    fn peek(&mut self) -> Result<Token<'a>> {
        let token = self.next()?;
        self.waiting.push(token);
        Ok(token)
    }

    fn next_word(&mut self) -> Result<Token<'a>> {
        loop {
            let token = self.next()?;
            if token.kind != Kind::Space {
                return Ok(token);
            }
        }
    }

    fn peek_word(&mut self) -> Result<Token<'a>> {
        let token = self.next_word()?;
        self.waiting.push(token);
        Ok(token)
    }

    fn close(&mut self, context: &str) -> Result<()> {
        let token = self.next_word()?;
        if token.kind == Kind::Close { Ok(()) } else { Err(self.unexpected(token, context)) }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.error("max expression depth exceeded"));
        }
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    fn define(&mut self, name: String, nodes: Vec<Node>) -> Result<()> {
        let is_empty =
            |nodes: &[Node]| nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()));
        match self.templates.get(&name) {
            Some(before) if !is_empty(before) => {
                if is_empty(&nodes) {
                    return Ok(());
                }
                Err(self.error(format!("template: multiple definition of template {name:?}")))
            }
            _ => {
                self.templates.insert(name, nodes);
                Ok(())
            }
        }
    }

    /// Text and actions up to what ends them.
    fn nodes(&mut self, outermost: bool) -> Result<(Vec<Node>, Ending)> {
        let mut nodes = Vec::new();
        loop {
            let token = self.next_word()?;
            match token.kind {
                Kind::Text => nodes.push(Node::Text(token.text.to_owned())),
                Kind::End if outermost => return Ok((nodes, Ending::Text)),
                Kind::Open => {
                    let word = self.next_word()?;
                    match (word.kind, word.text) {
                        (Kind::Keyword, "end") => {
                            self.close("end")?;
                            return Ok((nodes, Ending::End));
                        }
                        (Kind::Keyword, "else") => return Ok((nodes, Ending::Else)),
                        (Kind::Keyword, "define") if outermost => self.definition()?,
                        (Kind::Keyword, keyword) => nodes.push(self.control(keyword, word)?),
                        _ => {
                            self.waiting.push(word);
                            nodes.push(Node::Action(self.pipeline("command", Kind::Close)?));
                        }
                    }
                }
                _ => return Err(self.unexpected(token, "input")),
            }
        }
    }

    fn control(&mut self, keyword: &str, word: Token<'a>) -> Result<Node> {
        match keyword {
            "if" => self.branch("if").map(Node::If),
            "with" => self.branch("with").map(Node::With),
            "range" => self.branch("range").map(Node::Range),
            "template" => self.template(),
            "block" => self.block(),
            "break" | "continue" => {
                if self.loops == 0 {
                    return Err(self.error(format!("{{{{{keyword}}}}} outside {{{{range}}}}")));
                }
                self.close(keyword)?;
                Ok(if keyword == "break" { Node::Break } else { Node::Continue })
            }
            _ => Err(self.unexpected(word, "command")),
        }
    }

    /// `define` and `block`: the body has no variables from outside.
    fn body_of(&mut self, name: String, context: &str) -> Result<()> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (nodes, end) = self.nested(|parser| parser.nodes(false))?;
        if end != Ending::End {
            return Err(self.error(format!("unexpected {{{{else}}}} in {context}")));
        }
        self.variables = variables;
        self.loops = loops;
        self.define(name, nodes)
    }

    fn definition(&mut self) -> Result<()> {
        let name = self.template_name("define clause")?;
        self.close("define clause")?;
        self.body_of(name, "define clause")
    }

    fn block(&mut self) -> Result<Node> {
        let name = self.template_name("block clause")?;
        let at = self.at;
        let argument = self.pipeline("block clause", Kind::Close)?;
        self.body_of(name.clone(), "block clause")?;
        Ok(Node::Template { at, name, argument: Some(argument) })
    }

    fn template(&mut self) -> Result<Node> {
        let name = self.template_name("template clause")?;
        let at = self.at;
        let argument = if self.peek_word()?.kind == Kind::Close {
            self.next_word()?;
            None
        } else {
            Some(self.pipeline("template clause", Kind::Close)?)
        };
        Ok(Node::Template { at, name, argument })
    }

    fn template_name(&mut self, context: &str) -> Result<String> {
        let token = self.next_word()?;
        match token.kind {
            Kind::Quoted | Kind::Raw => literal::unquote(token.text).map_err(|message| self.error(message)),
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn branch(&mut self, keyword: &'static str) -> Result<Branch> {
        self.nested(|parser| parser.branch_within(keyword))
    }

    fn branch_within(&mut self, keyword: &'static str) -> Result<Branch> {
        let variables = self.variables.len();
        let pipeline = self.pipeline(keyword, Kind::Close)?;
        let is_loop = usize::from(keyword == "range");
        self.loops += is_loop;
        let (body, end) = self.nodes(false)?;
        self.loops -= is_loop;
        let otherwise = if end == Ending::Else { Some(self.otherwise(keyword)?) } else { None };
        self.variables.truncate(variables);
        Ok(Branch { pipeline, body, otherwise })
    }

    /// What follows the word `else`, the closing `end` included.
    fn otherwise(&mut self, keyword: &'static str) -> Result<Vec<Node>> {
        let word = self.peek_word()?;
        if word.kind == Kind::Keyword && word.text == keyword && keyword != "range" {
            self.next_word()?;
            let branch = self.branch(keyword)?;
            return Ok(vec![if keyword == "if" { Node::If(branch) } else { Node::With(branch) }]);
        }
        self.close("else")?;
        let (nodes, end) = self.nodes(false)?;
        if end == Ending::Else {
            return Err(self.error("expected end; found {{else}}"));
        }
        Ok(nodes)
    }
}
