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
    /// What stands in every match.
    required: Vec<u8>,
    /// Whether that is all of the expression.
    is_literal: bool,
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
        let (required, is_literal) = if flags.ignore_case { Default::default() } else { required(&node) };
        Ok(Regex { node, groups, flags, first, required, is_literal, alternatives, automaton })
    }

    /// A text taken as it is.
    pub fn literal(text: &[u8], flags: Flags) -> Regex {
        let fold = |&byte: &u8| if flags.ignore_case { parser::folded(byte) } else { Node::Byte(byte) };
        let node = Node::Sequence(text.iter().map(fold).collect());
        let first = if flags.ignore_case { None } else { text.first().copied() };
        let automaton = automaton::Automaton::new(&node).map(Box::new);
        let (required, is_literal) = if flags.ignore_case { Default::default() } else { (text.to_vec(), true) };
        Regex { node, groups: 0, flags, first, required, is_literal, alternatives: false, automaton }
    }

    /// A text that stands in everything that matches; it may be empty.
    pub fn required(&self) -> &[u8] {
        &self.required
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

/// The longest text that stands in every match, and whether it is the whole of each.
fn required(node: &Node) -> (Vec<u8>, bool) {
    match node {
        Node::Byte(byte) => (vec![*byte], true),
        Node::Group(_, node) => (required(node).0, false),
        Node::Repeat { node, least, .. } if *least > 0 => (required(node).0, false),
        Node::Sequence(nodes) => {
            let mut longest = Vec::new();
            let mut run = Vec::new();
            let mut all = true;
            for node in nodes {
                let (text, whole) = required(node);
                all &= whole;
                if whole {
                    run.extend_from_slice(&text);
                } else {
                    run.clear();
                }
                for text in [&text, &run] {
                    if text.len() > longest.len() {
                        longest.clone_from(text);
                    }
                }
            }
            (longest, all)
        }
        _ => (Vec::new(), false),
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
