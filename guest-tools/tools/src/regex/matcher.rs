//! Finding matches.

use super::{Flags, Node, Regex};
use crate::search;

/// Where the match and its groups are: start and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captures(Vec<Option<(usize, usize)>>);

/// The expression needed more steps than any sensible one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooComplex;

const MAX_STEPS: u64 = 50_000_000;
/// Repetitions recurse; this keeps them off the end of the stack.
const MAX_DEPTH: u32 = 4_000;

impl Captures {
    pub fn get(&self, group: usize) -> Option<(usize, usize)> {
        self.0.get(group).copied().flatten()
    }

    pub fn whole(&self) -> (usize, usize) {
        self.get(0).unwrap_or((0, 0))
    }
}

/// What remains to be matched after the node at hand.
#[derive(Clone, Copy)]
enum Next<'a> {
    Done,
    Nodes(&'a [Node], &'a Next<'a>),
    CloseGroup(usize, usize, &'a Next<'a>),
    Repeat {
        round: Round<'a>,
        since: usize,
        next: &'a Next<'a>,
    },
    /// Enough, if it is here, or anywhere.
    EndOfLook(Option<usize>),
}

/// A repetition and how often it has matched.
#[derive(Clone, Copy)]
struct Round<'a> {
    node: &'a Node,
    least: u32,
    most: u32,
    lazy: bool,
    count: u32,
}

struct Matcher<'a> {
    text: &'a [u8],
    flags: Flags,
    groups: Vec<Option<(usize, usize)>>,
    /// The longest match so far.
    best: Option<Vec<Option<(usize, usize)>>>,
    longest: bool,
    /// Where the match has to end, if that is known.
    end: Option<usize>,
    start: usize,
    steps: u64,
    depth: u32,
}

impl Regex {
    /// The first match at or after `from`, with its groups.
    pub fn find_at(&self, text: &[u8], from: usize) -> Result<Option<Captures>, TooComplex> {
        if let Some(found) = self.find_required(text, from) {
            return Ok(found);
        }
        let Some(automaton) = &self.automaton else { return self.search(text, from, None) };
        if self.flags.perl {
            return if automaton.is_match(text, from) { self.search(text, from, None) } else { Ok(None) };
        }
        match automaton.find(text, from) {
            Some(whole) if self.groups == 0 => Ok(Some(Captures(vec![Some(whole)]))),
            Some((start, end)) => self.search(text, start, Some(end)),
            None => Ok(None),
        }
    }

    /// The first match at or after `from`, without its groups.
    pub fn find_whole(&self, text: &[u8], from: usize) -> Result<Option<Captures>, TooComplex> {
        match &self.automaton {
            Some(automaton) if !self.flags.perl => {
                let found = self.find_required(text, from);
                Ok(found.unwrap_or_else(|| automaton.find(text, from).map(|whole| Captures(vec![Some(whole)]))))
            }
            _ => self.find_at(text, from),
        }
    }

    /// What the text alone that every match holds says, if that is enough.
    fn find_required(&self, text: &[u8], from: usize) -> Option<Option<Captures>> {
        if self.required.is_empty() {
            return None;
        }
        let Some(at) = search::find(text.get(from..)?, &self.required) else { return Some(None) };
        let whole = (from + at, from + at + self.required.len());
        self.is_literal.then(|| Some(Captures(vec![Some(whole)])))
    }

    /// Backtracks. Where the end is known, the match is known to begin at `from`.
    fn search(&self, text: &[u8], from: usize, end: Option<usize>) -> Result<Option<Captures>, TooComplex> {
        let mut matcher = Matcher {
            text,
            flags: self.flags,
            groups: vec![None; self.groups + 1],
            best: None,
            longest: self.alternatives && end.is_none(),
            end,
            start: from,
            steps: 0,
            depth: 0,
        };
        let last = if end.is_some() { from } else { text.len() };
        for start in from..=last {
            if let Some(first) = self.first
                && text.get(start) != Some(&first)
            {
                continue;
            }
            matcher.start = start;
            matcher.groups.iter_mut().for_each(|group| *group = None);
            matcher.run(&self.node, start, &Next::Done)?;
            if let Some(best) = matcher.best.take() {
                return Ok(Some(Captures(best)));
            }
        }
        Ok(None)
    }

    pub fn is_match(&self, text: &[u8]) -> Result<bool, TooComplex> {
        if let Some(found) = self.find_required(text, 0) {
            return Ok(found.is_some());
        }
        match &self.automaton {
            Some(automaton) => Ok(automaton.is_match(text, 0)),
            None => Ok(self.search(text, 0, None)?.is_some()),
        }
    }
}

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

impl Matcher<'_> {
    /// Whether the node and then the rest match here; when the longest is wanted, notes it and says no, so that every
    /// way is tried.
    fn run(&mut self, node: &Node, at: usize, next: &Next) -> Result<bool, TooComplex> {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.depth > MAX_DEPTH {
            return Err(TooComplex);
        }
        self.depth += 1;
        let result = self.run_here(node, at, next);
        self.depth -= 1;
        result
    }

    fn run_here(&mut self, node: &Node, at: usize, next: &Next) -> Result<bool, TooComplex> {
        let here = self.text.get(at);
        let before = if at > 0 { self.text.get(at - 1) } else { None };
        let holds = match node {
            Node::Byte(_) | Node::Any | Node::Class(_) => {
                return if self.accepts(node, at) { self.go_on(at + 1, next) } else { Ok(false) };
            }
            Node::Empty => true,
            Node::LineStart => at == 0 || (self.flags.multi_line && before == Some(&b'\n')),
            Node::LineEnd => at == self.text.len() || (self.flags.multi_line && here == Some(&b'\n')),
            Node::TextStart => at == 0,
            Node::TextEnd => at == self.text.len(),
            Node::WordStart => !is_word(before) && is_word(here),
            Node::WordEnd => is_word(before) && !is_word(here),
            Node::WordBoundary => is_word(before) != is_word(here),
            Node::NotWordBoundary => is_word(before) == is_word(here),
            Node::Sequence(nodes) => return self.go_on(at, &Next::Nodes(nodes, next)),
            Node::Alternatives(all) => {
                for node in all {
                    if self.run(node, at, next)? {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            Node::Group(group, node) => return self.run(node, at, &Next::CloseGroup(*group, at, next)),
            Node::BackReference(group) => {
                let Some((start, end)) = self.groups[*group] else { return Ok(false) };
                let length = end - start;
                let same = self.text.get(at..at + length).is_some_and(|text| {
                    let earlier = &self.text[start..end];
                    if self.flags.ignore_case { text.eq_ignore_ascii_case(earlier) } else { text == earlier }
                });
                return if same { self.go_on(at + length, next) } else { Ok(false) };
            }
            Node::Repeat { node, least, most, lazy } => {
                if !lazy && matches!(**node, Node::Byte(_) | Node::Any | Node::Class(_)) {
                    return self.repeat_single(node, *least, *most, at, next);
                }
                let round = Round { node, least: *least, most: *most, lazy: *lazy, count: 0 };
                return self.repeat(round, at, next);
            }
            Node::Look { node, behind: false, negative } => self.run(node, at, &Next::EndOfLook(None))? != *negative,
            Node::Look { node, behind: true, negative } => {
                let mut found = false;
                for start in (0..=at).rev() {
                    found = self.run(node, start, &Next::EndOfLook(Some(at)))?;
                    if found {
                        break;
                    }
                }
                found != *negative
            }
            Node::Keep => {
                let old = std::mem::replace(&mut self.start, at);
                let matched = self.go_on(at, next)?;
                if !matched {
                    self.start = old;
                }
                return Ok(matched);
            }
        };
        if holds { self.go_on(at, next) } else { Ok(false) }
    }

    fn accepts(&self, node: &Node, at: usize) -> bool {
        match (node, self.text.get(at)) {
            (_, None) => false,
            (Node::Byte(byte), Some(here)) => byte == here,
            (Node::Class(set), Some(here)) => set[usize::from(*here)],
            (_, Some(_)) => true,
        }
    }

    fn repeat_single(
        &mut self,
        node: &Node,
        least: u32,
        most: u32,
        at: usize,
        next: &Next,
    ) -> Result<bool, TooComplex> {
        let mut end = at;
        while end - at < most as usize && self.accepts(node, end) {
            end += 1;
        }
        loop {
            if end < at + least as usize {
                return Ok(false);
            }
            if self.go_on(end, next)? {
                return Ok(true);
            }
            if end == at {
                return Ok(false);
            }
            end -= 1;
        }
    }

    /// As often as possible first; as seldom as possible where it is lazy.
    fn repeat(&mut self, round: Round, at: usize, next: &Next) -> Result<bool, TooComplex> {
        let enough = round.count >= round.least;
        if round.lazy && enough && self.go_on(at, next)? {
            return Ok(true);
        }
        if round.count < round.most {
            let saved = self.groups.clone();
            let again = Next::Repeat { round: Round { count: round.count + 1, ..round }, since: at, next };
            if self.run(round.node, at, &again)? {
                return Ok(true);
            }
            self.groups = saved;
        }
        if enough && !round.lazy { self.go_on(at, next) } else { Ok(false) }
    }

    fn go_on(&mut self, at: usize, next: &Next) -> Result<bool, TooComplex> {
        match next {
            Next::Done if self.end.is_some_and(|end| end != at) => Ok(false),
            Next::Done => {
                self.groups[0] = Some((self.start, at));
                let longer = self.best.as_ref().is_none_or(|best| best[0].is_some_and(|(_, end)| at > end));
                if longer {
                    self.best = Some(self.groups.clone());
                }
                // Nothing is longer than all of it.
                Ok(!self.longest || at == self.text.len())
            }
            Next::Nodes([], next) => self.go_on(at, next),
            Next::Nodes([node, rest @ ..], next) => self.run(node, at, &Next::Nodes(rest, next)),
            Next::CloseGroup(group, start, next) => {
                let old = self.groups[*group].replace((*start, at));
                if self.go_on(at, next)? {
                    return Ok(true);
                }
                self.groups[*group] = old;
                Ok(false)
            }
            // A round that matched nothing would go on for ever.
            Next::Repeat { since, round, next } if *since == at && round.count >= round.least => self.go_on(at, next),
            Next::Repeat { round, next, .. } => self.repeat(*round, at, next),
            Next::EndOfLook(place) => Ok(place.is_none_or(|place| place == at)),
        }
    }
}
