//! The syntax tree.

use std::rc::Rc;

use crate::regex::Regex;

/// A variable's number in `Program::names`.
pub(super) type Name = usize;

/// Variables that the interpreter knows, by their number.
pub(super) const SPECIAL: [&str; 15] = [
    "NF", "NR", "FNR", "FS", "OFS", "ORS", "RS", "SUBSEP", "CONVFMT", "OFMT", "FILENAME", "RSTART", "RLENGTH", "ARGV",
    "ARGC",
];
pub(super) const NF: Name = 0;
pub(super) const NR: Name = 1;
pub(super) const FNR: Name = 2;
pub(super) const FS: Name = 3;
pub(super) const OFS: Name = 4;
pub(super) const ORS: Name = 5;
pub(super) const RS: Name = 6;
pub(super) const SUBSEP: Name = 7;
pub(super) const CONVFMT: Name = 8;
pub(super) const OFMT: Name = 9;
pub(super) const FILENAME: Name = 10;
pub(super) const RSTART: Name = 11;
pub(super) const RLENGTH: Name = 12;
pub(super) const ARGV: Name = 13;
pub(super) const ARGC: Name = 14;

#[derive(Debug, Default)]
pub(super) struct Program {
    /// The variables, those of functions too.
    pub(super) names: Vec<String>,
    pub(super) begin: Vec<Vec<Statement>>,
    pub(super) end: Vec<Vec<Statement>>,
    pub(super) rules: Vec<Rule>,
    pub(super) functions: Vec<Function>,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) pattern: Pattern,
    /// `None` prints the record.
    pub(super) action: Option<Vec<Statement>>,
}

#[derive(Debug)]
pub(super) enum Pattern {
    Always,
    When(Expr),
    Range(Expr, Expr),
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) parameters: Vec<Name>,
    pub(super) body: Vec<Statement>,
    /// Which parameters are used as arrays.
    pub(super) arrays: Vec<bool>,
}

#[derive(Debug)]
pub(super) enum Statement {
    Expr(Expr),
    Print(Vec<Expr>, Option<(Redirect, Expr)>),
    Printf(Vec<Expr>, Option<(Redirect, Expr)>),
    If(Expr, Vec<Statement>, Vec<Statement>),
    While(Expr, Vec<Statement>),
    DoWhile(Vec<Statement>, Expr),
    For(Option<Box<Statement>>, Option<Expr>, Option<Box<Statement>>, Vec<Statement>),
    ForIn(Name, Name, Vec<Statement>),
    Block(Vec<Statement>),
    Break,
    Continue,
    Next,
    NextFile,
    Exit(Option<Expr>),
    Return(Option<Expr>),
    Delete(Name, Option<Vec<Expr>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirect {
    Write,
    Append,
    Pipe,
}

#[derive(Debug)]
pub(super) enum Expr {
    Number(f64),
    Text(Rc<[u8]>),
    Regex(Rc<Regex>),
    Variable(Name),
    Field(Box<Expr>),
    Index(Name, Vec<Expr>),
    Assign(Option<Binary>, Box<Expr>, Box<Expr>),
    Condition(Box<Expr>, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    In(Vec<Expr>, Name),
    Match {
        negated: bool,
        text: Box<Expr>,
        pattern: Box<Expr>,
    },
    Compare(Comparison, Box<Expr>, Box<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
    Concat(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Plus(Box<Expr>),
    /// Whether the value is that before the change, and by how much it changes.
    Step {
        after: bool,
        by: f64,
        target: Box<Expr>,
    },
    Call(String, Vec<Expr>),
    Builtin(&'static str, Vec<Expr>),
    /// `(a, b)`, which only `in` and `print` can use.
    Group(Vec<Expr>),
    Getline {
        source: Source,
        target: Option<Box<Expr>>,
    },
}

#[derive(Debug)]
pub(super) enum Source {
    Main,
    File(Box<Expr>),
    Command(Box<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessEqual,
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
}
