//! The syntax tree of a shell program. Text is bytes: file names and variables need not be UTF-8.

use std::cell::OnceCell;
use std::rc::Rc;

/// Commands one after another.
#[derive(Debug, Clone, Default)]
pub struct List(pub Vec<Item>);

#[derive(Debug, Clone)]
pub struct Item {
    pub and_or: AndOr,
    /// Ended by `&`.
    pub background: bool,
}

#[derive(Debug, Clone)]
pub struct AndOr {
    pub first: Pipeline,
    pub rest: Vec<(Connector, Pipeline)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connector {
    And,
    Or,
}

#[derive(Debug, Clone)]
pub struct Pipeline {
    pub negated: bool,
    pub commands: Vec<Command>,
}

#[derive(Debug, Clone)]
pub enum Command {
    Simple(Simple),
    Compound(Compound, Vec<Redirect>),
    Function(Vec<u8>, Rc<Command>),
}

#[derive(Debug, Clone, Default)]
pub struct Simple {
    pub line: u32,
    pub assignments: Vec<(Vec<u8>, Word)>,
    pub words: Vec<Word>,
    pub redirects: Vec<Redirect>,
}

#[derive(Debug, Clone)]
pub enum Compound {
    Brace(List),
    Subshell(List),
    If { branches: Vec<(List, List)>, otherwise: Option<List> },
    For { name: Vec<u8>, words: Option<Vec<Word>>, body: List },
    While { until: bool, condition: List, body: List },
    Case { word: Word, arms: Vec<Arm> },
}

#[derive(Debug, Clone)]
pub struct Arm {
    pub patterns: Vec<Word>,
    pub body: List,
    /// Ended by `;&`: the next arm's body runs too.
    pub falls_through: bool,
}

#[derive(Debug, Clone)]
pub struct Redirect {
    pub fd: u32,
    pub target: Target,
}

#[derive(Debug, Clone)]
pub enum Target {
    Read(Word),
    Write(Word),
    Clobber(Word),
    Append(Word),
    ReadWrite(Word),
    /// `<&` and `>&`: a number, or `-` to close.
    Duplicate {
        output: bool,
        source: Word,
    },
    HereDocument(Rc<HereDocument>),
    HereString(Word),
}

#[derive(Debug, Default)]
pub struct HereDocument {
    /// Whether the delimiter was quoted, so that the body is taken as it is.
    pub literal: bool,
    /// Filled when the parser reaches the line after the operator.
    pub body: OnceCell<Word>,
}

/// A word before expansion, with the text that it was read from.
#[derive(Debug, Clone, Default)]
pub struct Word {
    pub parts: Vec<Part>,
    pub text: Vec<u8>,
}

#[derive(Debug, Clone)]
pub enum Part {
    Literal(Vec<u8>),
    /// Single-quoted or escaped text.
    Quoted(Vec<u8>),
    Double(Vec<Part>),
    Parameter(Box<Parameter>),
    Command(Rc<List>),
    Arithmetic(Vec<Part>),
}

#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: Vec<u8>,
    pub operation: Operation,
}

#[derive(Debug, Clone)]
pub enum Operation {
    Value,
    Length,
    /// `-`, with or without the colon that makes an empty value count as unset; likewise the next three.
    Default {
        colon: bool,
        word: Word,
    },
    Assign {
        colon: bool,
        word: Word,
    },
    Error {
        colon: bool,
        word: Word,
    },
    Alternative {
        colon: bool,
        word: Word,
    },
    RemovePrefix {
        longest: bool,
        pattern: Word,
    },
    RemoveSuffix {
        longest: bool,
        pattern: Word,
    },
    /// Not an expansion of POSIX: an error when it is reached, as in other shells.
    Bad(Vec<u8>),
}
