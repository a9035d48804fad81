//! Finding matches in time proportional to the text: a deterministic automaton, made as far as a text needs it. It
//! knows nothing of groups, back references and what stands around a place; for those there is the matcher.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Node;

/// Of the nondeterministic automaton.
const MOST_STATES: usize = 2_000;
/// How many deterministic states are kept; then they are made anew.
const MOST_SETS: usize = 1_000;

/// No step is at or above this but those that match and those not made yet: one comparison finds both.
const MATCHES: u32 = 1 << 30;
const UNKNOWN: u32 = u32::MAX;
const DEAD: u32 = 0;

#[derive(Debug, Clone)]
enum State {
    /// One byte of a class, then the state after this one.
    Byte(Box<[bool; 256]>),
    Jump(u32),
    Split(u32, u32),
    LineStart,
    LineEnd,
    Match,
}

/// What a pattern is compiled to.
#[derive(Debug, Clone)]
pub(super) struct Automaton {
    states: Vec<State>,
    /// Bytes that no state tells apart are one class.
    classes: Box<[u8; 256]>,
    class_count: usize,
    /// Bytes that a match can begin with; all, if it can be empty.
    first: Box<[bool; 256]>,
    /// Whether it matches where a text begins and ends at once.
    matches_nothing: bool,
    anchored: RefCell<Sets>,
    floating: RefCell<Sets>,
}

/// Sets of states: those of the deterministic automaton.
#[derive(Debug, Clone, Default)]
struct Sets {
    known: BTreeMap<Vec<u32>, u32>,
    sets: Vec<Set>,
    /// From each set by each class; with MATCHES where a match ends.
    steps: Vec<u32>,
    /// Where a text begins, and where something stands before.
    starts: [Option<u32>; 2],
}

#[derive(Debug, Clone)]
struct Set {
    members: Vec<u32>,
    matches_at_end: bool,
}

impl Automaton {
    /// None if the pattern needs more than an automaton can do.
    pub(super) fn new(node: &Node) -> Option<Automaton> {
        let mut states = Vec::new();
        compile(node, &mut states)?;
        states.push(State::Match);
        let (classes, class_count) = byte_classes(&states);
        let mut automaton = Automaton {
            states,
            classes,
            class_count,
            first: Box::new([false; 256]),
            matches_nothing: false,
            anchored: RefCell::default(),
            floating: RefCell::default(),
        };
        automaton.first = automaton.first_bytes();
        automaton.matches_nothing = automaton.matches(&automaton.closure([0], true, true));
        Some(automaton)
    }

    fn first_bytes(&self) -> Box<[bool; 256]> {
        let mut first = Box::new([false; 256]);
        for at in self.closure([0], true, true) {
            match &self.states[at as usize] {
                State::Byte(class) => first.iter_mut().zip(class.iter()).for_each(|(first, member)| *first |= *member),
                State::Match => return Box::new([true; 256]),
                _ => {}
            }
        }
        first
    }

    /// Whether there is a match at or after `from`.
    pub(super) fn is_match(&self, text: &[u8], from: usize) -> bool {
        if text.is_empty() {
            return self.matches_nothing;
        }
        let mut sets = self.floating.borrow_mut();
        let mut set = sets.start(self, from == 0);
        for &byte in &text[from..] {
            if set >= MATCHES {
                return true;
            }
            set = sets.step(self, set, byte, true);
        }
        set >= MATCHES || sets.sets[set as usize].matches_at_end
    }

    /// The leftmost match at or after `from`, and of those the longest.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        let mut starts =
            (from..=text.len()).filter(|&start| text.get(start).is_none_or(|&byte| self.first[usize::from(byte)]));
        let start = starts.next()?;
        if let Some(end) = self.longest(text, start) {
            return Some((start, end));
        }
        // Going on from each start in turn is only worth it where there is something to be found.
        if start == text.len() || !self.is_match(text, start + 1) {
            return None;
        }
        starts.find_map(|start| self.longest(text, start).map(|end| (start, end)))
    }

    /// Where the longest match ends that begins here.
    fn longest(&self, text: &[u8], start: usize) -> Option<usize> {
        if text.is_empty() {
            return self.matches_nothing.then_some(0);
        }
        let mut sets = self.anchored.borrow_mut();
        let mut set = sets.start(self, start == 0);
        let mut end = None;
        for (at, &byte) in text.iter().enumerate().skip(start) {
            if set >= MATCHES {
                end = Some(at);
                set -= MATCHES;
            }
            set = sets.step(self, set, byte, false);
            if set == DEAD {
                return end;
            }
        }
        if set >= MATCHES || sets.sets[set as usize].matches_at_end { Some(text.len()) } else { end }
    }

    /// All states that can be reached without a byte, sorted.
    fn closure(&self, from: impl IntoIterator<Item = u32>, at_start: bool, at_end: bool) -> Vec<u32> {
        let mut seen = vec![false; self.states.len()];
        let mut left: Vec<u32> = from.into_iter().collect();
        while let Some(at) = left.pop() {
            if std::mem::replace(&mut seen[at as usize], true) {
                continue;
            }
            match self.states[at as usize] {
                State::Jump(to) => left.push(to),
                State::Split(a, b) => left.extend([a, b]),
                State::LineStart if at_start => left.push(at + 1),
                State::LineEnd if at_end => left.push(at + 1),
                _ => {}
            }
        }
        (0..self.states.len() as u32).filter(|&at| seen[at as usize]).collect()
    }

    fn matches(&self, members: &[u32]) -> bool {
        members.iter().any(|&at| matches!(self.states[at as usize], State::Match))
    }
}

impl Sets {
    fn start(&mut self, automaton: &Automaton, at_start: bool) -> u32 {
        if self.sets.is_empty() {
            self.add(automaton, Vec::new());
        }
        if let Some(known) = self.starts[usize::from(at_start)] {
            return known;
        }
        let set = self.add(automaton, automaton.closure([0], at_start, false));
        self.starts[usize::from(at_start)] = Some(set);
        set
    }

    fn add(&mut self, automaton: &Automaton, members: Vec<u32>) -> u32 {
        if let Some(&known) = self.known.get(&members) {
            return known;
        }
        let number = self.sets.len() as u32 + if automaton.matches(&members) { MATCHES } else { 0 };
        let at_end = automaton.closure(members.iter().copied(), false, true);
        self.sets.push(Set { matches_at_end: automaton.matches(&at_end), members: members.clone() });
        self.known.insert(members, number);
        self.steps.resize(self.steps.len() + automaton.class_count, UNKNOWN);
        number
    }

    #[inline]
    fn step(&mut self, automaton: &Automaton, set: u32, byte: u8, floating: bool) -> u32 {
        let place = set as usize * automaton.class_count + usize::from(automaton.classes[usize::from(byte)]);
        match self.steps[place] {
            UNKNOWN => self.make_step(automaton, set, byte, place, floating),
            known => known,
        }
    }

    #[cold]
    fn make_step(&mut self, automaton: &Automaton, set: u32, byte: u8, place: usize, floating: bool) -> u32 {
        let accepts =
            |at: &u32| matches!(&automaton.states[*at as usize], State::Byte(class) if class[usize::from(byte)]);
        let after = self.sets[set as usize].members.iter().copied().filter(accepts).map(|at| at + 1);
        let members = automaton.closure(after.chain(floating.then_some(0)), false, false);
        if self.sets.len() >= MOST_SETS && !self.known.contains_key(&members) {
            *self = Sets::default();
            self.add(automaton, Vec::new());
            return self.add(automaton, members);
        }
        let next = self.add(automaton, members);
        self.steps[place] = next;
        next
    }
}

/// Appends the states of a node; what follows it begins where they end.
fn compile(node: &Node, states: &mut Vec<State>) -> Option<()> {
    if states.len() > MOST_STATES {
        return None;
    }
    match node {
        Node::Empty => {}
        Node::Byte(byte) => {
            let mut class = Box::new([false; 256]);
            class[usize::from(*byte)] = true;
            states.push(State::Byte(class));
        }
        Node::Any => states.push(State::Byte(Box::new([true; 256]))),
        Node::Class(class) => states.push(State::Byte(class.clone())),
        Node::LineStart | Node::TextStart => states.push(State::LineStart),
        Node::LineEnd | Node::TextEnd => states.push(State::LineEnd),
        Node::Sequence(nodes) => {
            for node in nodes {
                compile(node, states)?;
            }
        }
        Node::Alternatives(nodes) => {
            let mut ends = Vec::new();
            for (index, node) in nodes.iter().enumerate() {
                let split = states.len();
                if index + 1 < nodes.len() {
                    states.push(State::Split(split as u32 + 1, 0));
                }
                compile(node, states)?;
                if index + 1 < nodes.len() {
                    ends.push(states.len());
                    states.push(State::Jump(0));
                    states[split] = State::Split(split as u32 + 1, states.len() as u32);
                }
            }
            let end = states.len() as u32;
            ends.into_iter().for_each(|jump| states[jump] = State::Jump(end));
        }
        Node::Group(_, node) => compile(node, states)?,
        Node::Repeat { node, least, most, .. } => {
            for _ in 0..*least {
                compile(node, states)?;
            }
            if *most == u32::MAX {
                let split = states.len();
                states.push(State::Jump(0));
                compile(node, states)?;
                states.push(State::Jump(split as u32));
                states[split] = State::Split(split as u32 + 1, states.len() as u32);
            } else {
                let mut splits = Vec::new();
                for _ in *least..*most {
                    splits.push(states.len());
                    states.push(State::Jump(0));
                    compile(node, states)?;
                }
                let end = states.len() as u32;
                splits.into_iter().for_each(|split| states[split] = State::Split(split as u32 + 1, end));
            }
        }
        Node::WordStart
        | Node::WordEnd
        | Node::WordBoundary
        | Node::NotWordBoundary
        | Node::BackReference(_)
        | Node::Look { .. }
        | Node::Keep => return None,
    }
    Some(())
}

fn byte_classes(states: &[State]) -> (Box<[u8; 256]>, usize) {
    // Where a class of some state begins or ends, a new one begins.
    let mut begins = [false; 256];
    for state in states {
        if let State::Byte(class) = state {
            (1..256).filter(|&byte| class[byte] != class[byte - 1]).for_each(|byte| begins[byte] = true);
        }
    }
    let mut classes = Box::new([0; 256]);
    let mut class = 0u8;
    for byte in 1..256 {
        class += u8::from(begins[byte]);
        classes[byte] = class;
    }
    (classes, usize::from(class) + 1)
}
