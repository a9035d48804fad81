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

const PERL_IGNORE_CASE: &[u8] = b"(?i)";
const MAX_REPEAT: u32 = 32_767;
const MAX_DEPTH: u32 = 200;

/// The tree, how many groups it has, and the flags, which a Perl pattern may change.
pub(super) fn parse(pattern: &[u8], flags: Flags) -> Result<(Node, usize, Flags), String> {
    let ignore_case = flags.perl && pattern.starts_with(PERL_IGNORE_CASE);
    let position = if ignore_case { PERL_IGNORE_CASE.len() } else { 0 };
    let flags =
        Flags { extended: flags.extended || flags.perl, ignore_case: flags.ignore_case || ignore_case, ..flags };
    let mut parser = Parser { pattern, position, flags, groups: 0, closed: Vec::new(), depth: 0 };
    let node = parser.alternatives()?;
    if parser.position < pattern.len() {
        return Err("Unmatched ) or \\)".into());
    }
    Ok((node, parser.groups, flags))
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
            if self.flags.perl && self.peek() == Some(b'+') {
                return Err("possessive quantifiers are not supported".into());
            }
            let lazy = self.flags.perl && self.peek() == Some(b'?');
            self.position += usize::from(lazy);
            node = Node::Repeat { node: Box::new(node), least, most, lazy };
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
            if self.flags.perl && self.peek() == Some(b'?') {
                return self.perl_group();
            }
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

    /// `(?:`, `(?=`, `(?!`, `(?<=`, `(?<!`, and groups with names, which have numbers too.
    fn perl_group(&mut self) -> Result<Node, String> {
        let look = |behind, negative| Some((behind, negative));
        let (length, look) = match self.rest() {
            [b'?', b':', ..] => (2, None),
            [b'?', b'=', ..] => (2, look(false, false)),
            [b'?', b'!', ..] => (2, look(false, true)),
            [b'?', b'<', b'=', ..] => (3, look(true, false)),
            [b'?', b'<', b'!', ..] => (3, look(true, true)),
            [b'?', b'<', ..] | [b'?', b'P', b'<', ..] => {
                let end = self.rest().iter().position(|&byte| byte == b'>').ok_or("group name without end")?;
                self.position += end + 1;
                self.groups += 1;
                let group = self.groups;
                let inner = self.group_end()?;
                self.closed.push(group);
                return Ok(Node::Group(group, Box::new(inner)));
            }
            _ => return Err("unrecognized character after (?".into()),
        };
        self.position += length;
        let inner = self.group_end()?;
        Ok(match look {
            Some((behind, negative)) => Node::Look { node: Box::new(inner), behind, negative },
            None => inner,
        })
    }

    fn group_end(&mut self) -> Result<Node, String> {
        let inner = self.alternatives()?;
        if self.take_operator(b')') { Ok(inner) } else { Err("missing closing parenthesis".into()) }
    }

    /// `\xHH` after its `x`.
    fn perl_byte(&mut self) -> Node {
        let digits = self.rest().iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let value =
            self.rest()[..digits].iter().fold(0, |value, &byte| value << 4 | (byte as char).to_digit(16).unwrap_or(0));
        self.position += digits;
        self.literal(value as u8)
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
            b'd' if self.flags.perl => class_of(|byte| byte.is_ascii_digit()),
            b'D' if self.flags.perl => class_of(|byte| !byte.is_ascii_digit()),
            b'h' if self.flags.perl => class_of(|byte| matches!(byte, b' ' | b'\t')),
            b'A' if self.flags.perl => Node::TextStart,
            b'z' | b'Z' if self.flags.perl => Node::TextEnd,
            b'K' if self.flags.perl => Node::Keep,
            b'x' if self.flags.perl => self.perl_byte(),
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
            if let Some(members) = self.perl_class() {
                set.iter_mut().zip(members.iter()).for_each(|(in_set, member)| *in_set |= *member);
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

    /// A class such as `\d` within brackets.
    fn perl_class(&mut self) -> Option<Box<[bool; 256]>> {
        let [b'\\', b'd' | b'D' | b'w' | b'W' | b's' | b'S' | b'h', ..] = self.rest() else { return None };
        if !self.flags.perl {
            return None;
        }
        self.position += 1;
        match self.escaped() {
            Ok(Node::Class(members)) => Some(members),
            _ => None,
        }
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
            [b'\\', byte, ..] if self.flags.perl => Some(*byte),
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
