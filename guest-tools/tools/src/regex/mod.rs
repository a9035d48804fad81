//! POSIX regular expressions, basic and extended, over bytes, with GNU's usual additions (`\w`, `\b`, `\+` …) and back
//! references.
//!
//! An automaton says where the leftmost longest match is, in time proportional to the text. Where the groups are in it,
//! and all that an automaton cannot know, a backtracking matcher says; its worst case is bounded by a step limit.

mod automaton;
mod matcher;
mod parser;

pub use matcher::{Captures, TooComplex};

/// Which syntax, and how to compare.
#[derive(Debug, Clone, Copy, Default)]
pub struct Flags {
    pub extended: bool,
    pub ignore_case: bool,
    /// `^` and `$` also match at lines within the text.
    pub multi_line: bool,
    /// Perl's syntax, as far as `grep -P` is commonly used; implies `extended`.
    pub perl: bool,
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Regex {
    node: Node,
    groups: usize,
    flags: Flags,
    /// A byte with which every match begins.
    first: Option<u8>,
    /// Whether several alternatives could match at one place, so that the longest must be looked for.
    alternatives: bool,
    /// Where the pattern is one that it can find.
    automaton: Option<Box<automaton::Automaton>>,
}

#[derive(Debug, Clone)]
enum Node {
    Empty,
    Byte(u8),
    Any,
    Class(Box<[bool; 256]>),
    LineStart,
    LineEnd,
    WordStart,
    WordEnd,
    WordBoundary,
    NotWordBoundary,
    TextStart,
    TextEnd,
    Sequence(Vec<Node>),
    Alternatives(Vec<Node>),
    Group(usize, Box<Node>),
    BackReference(usize),
    Repeat {
        node: Box<Node>,
        least: u32,
        most: u32,
        lazy: bool,
    },
    /// What must, or must not, follow here or end here.
    Look {
        node: Box<Node>,
        behind: bool,
        negative: bool,
    },
    /// The match is said to begin here.
    Keep,
}

impl Regex {
    /// Why an expression is not one is said in words.
    pub fn new(pattern: &[u8], flags: Flags) -> Result<Regex, String> {
        let (node, groups, flags) = parser::parse(pattern, flags)?;
        let first = if flags.ignore_case { None } else { first_byte(&node) };
        // Perl takes the first that matches.
        let alternatives = !flags.perl && has_alternatives(&node);
        let automaton = if flags.multi_line { None } else { automaton::Automaton::new(&node).map(Box::new) };
        Ok(Regex { node, groups, flags, first, alternatives, automaton })
    }

    /// A text taken as it is.
    pub fn literal(text: &[u8], flags: Flags) -> Regex {
        let fold = |&byte: &u8| if flags.ignore_case { parser::folded(byte) } else { Node::Byte(byte) };
        let node = Node::Sequence(text.iter().map(fold).collect());
        let first = if flags.ignore_case { None } else { text.first().copied() };
        let automaton = automaton::Automaton::new(&node).map(Box::new);
        Regex { node, groups: 0, flags, first, alternatives: false, automaton }
    }

    /// How many groups the expression has.
    pub fn groups(&self) -> usize {
        self.groups
    }
}

fn first_byte(node: &Node) -> Option<u8> {
    match node {
        Node::Byte(byte) => Some(*byte),
        Node::Sequence(nodes) => nodes.first().and_then(first_byte),
        Node::Group(_, node) => first_byte(node),
        Node::Repeat { node, least, .. } if *least > 0 => first_byte(node),
        _ => None,
    }
}

fn has_alternatives(node: &Node) -> bool {
    match node {
        Node::Alternatives(_) => true,
        Node::Sequence(nodes) => nodes.iter().any(has_alternatives),
        Node::Group(_, node) | Node::Repeat { node, .. } => has_alternatives(node),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
