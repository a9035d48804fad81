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
    /// Begins with `time`.
    pub timed: bool,
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
    pub assignments: Vec<Assignment>,
    pub words: Vec<Word>,
    pub redirects: Vec<Redirect>,
}

/// `name=value`, `name+=value`, `name[subscript]=value`, `name=(value …)`.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub name: Vec<u8>,
    pub subscript: Option<Word>,
    pub append: bool,
    pub value: Assigned,
}

#[derive(Debug, Clone)]
pub enum Assigned {
    Text(Word),
    Elements(Vec<Element>),
}

/// A value within `name=( )`, which may say where it goes: `[key]=value`.
#[derive(Debug, Clone)]
pub struct Element {
    pub key: Option<Word>,
    pub value: Word,
}

#[derive(Debug, Clone)]
pub enum Compound {
    Brace(List),
    Subshell(List),
    If {
        branches: Vec<(List, List)>,
        otherwise: Option<List>,
    },
    For {
        name: Vec<u8>,
        words: Option<Vec<Word>>,
        body: List,
    },
    /// `for ((start; condition; step))`
    Count {
        start: Word,
        condition: Word,
        step: Word,
        body: List,
    },
    While {
        until: bool,
        condition: List,
        body: List,
    },
    Case {
        word: Word,
        arms: Vec<Arm>,
    },
    /// `(( expression ))`
    Arithmetic(u32, Word),
    /// `[[ condition ]]`
    Condition(u32, Condition),
}

#[derive(Debug, Clone)]
pub struct Arm {
    pub patterns: Vec<Word>,
    pub body: List,
    pub end: ArmEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArmEnd {
    /// `;;`
    Leave,
    /// `;&`: the next arm's body runs too.
    FallThrough,
    /// `;;&`: the following patterns are tried too.
    TryNext,
}

/// What stands between `[[` and `]]`.
#[derive(Debug, Clone)]
pub enum Condition {
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Unary(Vec<u8>, Word),
    Binary(Vec<u8>, Word, Word),
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
    /// `&>` and `&>>`: standard output and standard error.
    Both {
        append: bool,
        file: Word,
    },
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
    /// `<(list)` and `>(list)`
    Process {
        output: bool,
        list: Rc<List>,
    },
    /// An argument of `export` and the like.
    Assignment(Box<Assignment>),
}

#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: Vec<u8>,
    /// `${!name}`: the value names the parameter that is meant.
    pub indirect: bool,
    pub subscript: Option<Subscript>,
    pub operation: Operation,
}

#[derive(Debug, Clone)]
pub enum Subscript {
    /// `[@]`, or `[*]`, which joins.
    Every {
        joined: bool,
    },
    One(Word),
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
    /// `:offset` and `:offset:length`
    Slice {
        offset: Word,
        length: Option<Word>,
    },
    /// `/pattern/replacement`
    Replace {
        which: Which,
        pattern: Word,
        replacement: Word,
    },
    /// `^`, `^^`, `,` and `,,`
    Case {
        upper: bool,
        every: bool,
        pattern: Option<Word>,
    },
    /// `@Q` and the like.
    Transform(u8),
    /// `${!name[@]}`
    Keys,
    /// `${!prefix*}` and `${!prefix@}`
    Names {
        joined: bool,
    },
    /// Not an expansion of this shell: an error when it is reached, as in other shells.
    Bad,
}

/// What `${name/pattern/replacement}` replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    First,
    Every,
    Prefix,
    Suffix,
}
