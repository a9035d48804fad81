//! From a pattern to its tree.

use super::{Flags, Node};
use crate::pattern::in_named_class;

struct Parser<'a> {
    pattern: &'a [u8],
    position: usize,
    flags: Flags,
    groups: usize,
    /// Groups that are closed, and can be referred to.
    closed: Vec<usize>,
    depth: u32,
}

const MAX_REPEAT: u32 = 32_767;
const MAX_DEPTH: u32 = 200;

pub(super) fn parse(pattern: &[u8], flags: Flags) -> Result<(Node, usize), String> {
    let mut parser = Parser { pattern, position: 0, flags, groups: 0, closed: Vec::new(), depth: 0 };
    let node = parser.alternatives()?;
    if parser.position < pattern.len() {
        return Err("Unmatched ) or \\)".into());
    }
    Ok((node, parser.groups))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte in either case.
pub(super) fn folded(byte: u8) -> Node {
    if !byte.is_ascii_alphabetic() {
        return Node::Byte(byte);
    }
    let mut set = Box::new([false; 256]);
    set[usize::from(byte.to_ascii_lowercase())] = true;
    set[usize::from(byte.to_ascii_uppercase())] = true;
    Node::Class(set)
}

fn class_of(predicate: impl Fn(u8) -> bool) -> Node {
    let mut set = Box::new([false; 256]);
    for byte in 0..=255u8 {
        set[usize::from(byte)] = predicate(byte);
    }
    Node::Class(set)
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.position).copied()
    }

    fn rest(&self) -> &[u8] {
        &self.pattern[self.position..]
    }

    /// Takes an operator: plain in the extended syntax, escaped in the basic one.
    fn take_operator(&mut self, sign: u8) -> bool {
        let found =
            if self.flags.extended { self.peek() == Some(sign) } else { self.rest().starts_with(&[b'\\', sign]) };
        if found {
            self.position += if self.flags.extended { 1 } else { 2 };
        }
        found
    }

    fn at_operator(&self, sign: u8) -> bool {
        if self.flags.extended { self.peek() == Some(sign) } else { self.rest().starts_with(&[b'\\', sign]) }
    }

    fn alternatives(&mut self) -> Result<Node, String> {
        if self.depth == MAX_DEPTH {
            return Err("Regular expression too deep".into());
        }
        self.depth += 1;
        let mut all = vec![self.sequence()?];
        while self.take_operator(b'|') {
            all.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Alternatives(all) })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut nodes = Vec::new();
        let start = self.position;
        loop {
            let at_end = self.peek().is_none() || self.at_operator(b'|');
            let closes = self.at_operator(b')') && (self.depth > 1 || !self.flags.extended);
            if at_end || closes {
                break;
            }
            let at_start = self.position == start || matches!(nodes.last(), Some(Node::LineStart));
            let node = self.atom(at_start)?;
            let node = self.repeated(node, at_start)?;
            nodes.push(node);
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Sequence(nodes),
        })
    }

    fn repeated(&mut self, mut node: Node, at_start: bool) -> Result<Node, String> {
        loop {
            let (least, most) = if self.peek() == Some(b'*') && !(at_start && matches!(node, Node::LineStart)) {
                self.position += 1;
                (0, u32::MAX)
            } else if self.take_operator(b'+') {
                (1, u32::MAX)
            } else if self.take_operator(b'?') {
                (0, 1)
            } else if self.at_operator(b'{') && (!self.flags.extended || self.interval_follows()) {
                self.take_operator(b'{');
                self.interval()?
            } else {
                return Ok(node);
            };
            node = Node::Repeat { node: Box::new(node), least, most };
        }
    }

    /// In the extended syntax a brace that opens no interval is itself.
    fn interval_follows(&self) -> bool {
        let rest = &self.rest()[1..];
        let end = rest.iter().position(|&byte| byte == b'}');
        end.is_some_and(|end| end > 0 && rest[..end].iter().all(|byte| byte.is_ascii_digit() || *byte == b','))
    }

    fn number(&mut self) -> Option<u32> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.rest()[..digits]).ok()?;
        let number = text.parse().ok();
        self.position += digits;
        number
    }

    fn interval(&mut self) -> Result<(u32, u32), String> {
        let least = self.number();
        let most = if self.peek() == Some(b',') {
            self.position += 1;
            self.number().unwrap_or(u32::MAX)
        } else {
            least.ok_or("Invalid content of \\{\\}")?
        };
        if !self.take_operator(b'}') {
            return Err("Unmatched { or \\{".into());
        }
        let least = least.unwrap_or(0);
        if least > most || least > MAX_REPEAT || (most != u32::MAX && most > MAX_REPEAT) {
            return Err("Invalid content of \\{\\}".into());
        }
        Ok((least, most))
    }

    fn literal(&self, byte: u8) -> Node {
        if self.flags.ignore_case { folded(byte) } else { Node::Byte(byte) }
    }

    fn atom(&mut self, at_start: bool) -> Result<Node, String> {
        let extended = self.flags.extended;
        let byte = self.peek().ok_or("Premature end of regular expression")?;
        if self.take_operator(b'(') {
            self.groups += 1;
            let group = self.groups;
            let inner = self.alternatives()?;
            if !self.take_operator(b')') {
                return Err("Unmatched ( or \\(".into());
            }
            self.closed.push(group);
            return Ok(Node::Group(group, Box::new(inner)));
        }
        self.position += 1;
        Ok(match byte {
            b'.' => Node::Any,
            b'[' => self.class()?,
            b'^' if extended || at_start => Node::LineStart,
            b'$' if extended || self.peek().is_none() || self.at_operator(b')') || self.at_operator(b'|') => {
                Node::LineEnd
            }
            b'*' if extended && at_start => self.literal(b'*'),
            b'+' | b'?' if extended && at_start => self.literal(byte),
            b'\\' => self.escaped()?,
            _ => self.literal(byte),
        })
    }

    fn escaped(&mut self) -> Result<Node, String> {
        let Some(byte) = self.peek() else { return Err("Trailing backslash".into()) };
        self.position += 1;
        Ok(match byte {
            b'1'..=b'9' => {
                let group = usize::from(byte - b'0');
                if !self.closed.contains(&group) {
                    return Err("Invalid back reference".into());
                }
                Node::BackReference(group)
            }
            b'w' => class_of(is_word),
            b'W' => class_of(|byte| !is_word(byte)),
            b's' => class_of(|byte| in_named_class(b"space", byte)),
            b'S' => class_of(|byte| !in_named_class(b"space", byte)),
            b'b' => Node::WordBoundary,
            b'B' => Node::NotWordBoundary,
            b'<' => Node::WordStart,
            b'>' => Node::WordEnd,
            b'`' => Node::TextStart,
            b'\'' => Node::TextEnd,
            b'n' => Node::Byte(b'\n'),
            b't' => Node::Byte(b'\t'),
            b'r' => Node::Byte(b'\r'),
            b'f' => Node::Byte(12),
            b'v' => Node::Byte(11),
            _ => self.literal(byte),
        })
    }

    fn class(&mut self) -> Result<Node, String> {
        const UNMATCHED: &str = "Unmatched [, [^, [:, [., or [=";
        let negated = self.peek() == Some(b'^');
        self.position += usize::from(negated);
        let first = self.position;
        let mut set = Box::new([false; 256]);
        loop {
            let byte = self.peek().ok_or(UNMATCHED)?;
            if byte == b']' && self.position > first {
                self.position += 1;
                break;
            }
            if self.rest().starts_with(b"[:") {
                let length = self.rest()[2..].windows(2).position(|pair| pair == b":]").ok_or(UNMATCHED)?;
                let name = &self.pattern[self.position + 2..self.position + 2 + length];
                let members: Vec<u8> = (0..=255).filter(|&byte| in_named_class(name, byte)).collect();
                if members.is_empty() {
                    return Err("Invalid character class name".into());
                }
                for member in members {
                    set[usize::from(member)] = true;
                }
                self.position += length + 4;
                continue;
            }
            let start = self.class_member().ok_or(UNMATCHED)?;
            let ranges =
                self.peek() == Some(b'-') && self.pattern.get(self.position + 1).is_some_and(|&byte| byte != b']');
            if ranges {
                self.position += 1;
                let end = self.class_member().ok_or(UNMATCHED)?;
                if end < start {
                    return Err("Invalid range end".into());
                }
                for byte in start..=end {
                    set[usize::from(byte)] = true;
                }
            } else {
                set[usize::from(start)] = true;
            }
        }
        if self.flags.ignore_case {
            for byte in b'a'..=b'z' {
                let either = set[usize::from(byte)] || set[usize::from(byte.to_ascii_uppercase())];
                set[usize::from(byte)] = either;
                set[usize::from(byte.to_ascii_uppercase())] = either;
            }
        }
        if negated {
            set.iter_mut().for_each(|member| *member = !*member);
        }
        Ok(Node::Class(set))
    }

    /// A byte, or `[.x.]` or `[=x=]`; and `\n`, `\t`, `\]` as GNU sed has them.
    fn class_member(&mut self) -> Option<u8> {
        if let [b'[', open @ (b'.' | b'='), byte, close, b']', ..] = *self.rest()
            && open == close
        {
            self.position += 5;
            return Some(byte);
        }
        let escape = match self.rest() {
            [b'\\', b'n', ..] => Some(b'\n'),
            [b'\\', b't', ..] => Some(b'\t'),
            _ => None,
        };
        if escape.is_some() {
            self.position += 2;
            return escape;
        }
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }
}
