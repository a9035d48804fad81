//! Shell patterns: `*`, `?`, `[…]`, and the extended `?(a|b)`, `*( )`, `+( )`, `@( )`, `!( )`.

/// A pattern, ready to be matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    Any,
    Star,
    Class {
        negated: bool,
        set: Box<[bool; 256]>,
    },
    /// The sign before the parenthesis, and what stands between the bars.
    Group {
        sign: u8,
        choices: Vec<Pattern>,
    },
}

impl Pattern {
    /// A pattern in which a backslash takes the special meaning of the next byte.
    pub fn new(text: &[u8]) -> Pattern {
        let mut bytes = Vec::with_capacity(text.len());
        let mut quoted = Vec::with_capacity(text.len());
        let mut iterator = text.iter();
        while let Some(&byte) = iterator.next() {
            let escaped = if byte == b'\\' { iterator.next() } else { None };
            bytes.push(*escaped.unwrap_or(&byte));
            quoted.push(escaped.is_some());
        }
        Pattern::with_quoting(&bytes, &quoted)
    }

    /// A pattern in which the bytes marked in `quoted` stand for themselves.
    pub fn with_quoting(bytes: &[u8], quoted: &[bool]) -> Pattern {
        Pattern::parse(bytes, quoted, false)
    }

    /// As above, with the groups of extended patterns.
    pub fn extended(bytes: &[u8], quoted: &[bool]) -> Pattern {
        Pattern::parse(bytes, quoted, true)
    }

    fn parse(bytes: &[u8], quoted: &[bool], extended: bool) -> Pattern {
        let special = |index: usize, sign: u8| bytes.get(index) == Some(&sign) && !quoted[index];
        let mut tokens = Vec::with_capacity(bytes.len());
        let mut index = 0;
        while index < bytes.len() {
            if extended
                && special(index + 1, b'(')
                && b"?*+@!".iter().any(|&sign| special(index, sign))
                && let Some((group, end)) = group(bytes, quoted, index)
            {
                tokens.push(group);
                index = end;
                continue;
            } else if special(index, b'*') {
                if tokens.last() != Some(&Token::Star) {
                    tokens.push(Token::Star);
                }
            } else if special(index, b'?') {
                tokens.push(Token::Any);
            } else if special(index, b'[')
                && let Some((class, end)) = class(bytes, quoted, index + 1)
            {
                tokens.push(class);
                index = end;
                continue;
            } else {
                tokens.push(Token::Byte(bytes[index]));
            }
            index += 1;
        }
        Pattern { tokens }
    }

    /// Whether it is only text.
    pub fn is_literal(&self) -> bool {
        self.tokens.iter().all(|token| matches!(token, Token::Byte(_)))
    }

    /// Whether it begins with a dot that is written out, so that it matches hidden names.
    pub fn begins_with_dot(&self) -> bool {
        self.tokens.first() == Some(&Token::Byte(b'.'))
    }

    /// The same for texts in either case.
    pub fn ignoring_case(mut self) -> Pattern {
        for token in &mut self.tokens {
            match token {
                Token::Byte(byte) if byte.is_ascii_alphabetic() => {
                    let mut set = Box::new([false; 256]);
                    set[usize::from(byte.to_ascii_lowercase())] = true;
                    set[usize::from(byte.to_ascii_uppercase())] = true;
                    *token = Token::Class { negated: false, set };
                }
                Token::Class { set, .. } => {
                    for (lower, upper) in (b'a'..=b'z').zip(b'A'..=b'Z') {
                        let either = set[usize::from(lower)] || set[usize::from(upper)];
                        set[usize::from(lower)] = either;
                        set[usize::from(upper)] = either;
                    }
                }
                Token::Group { choices, .. } => {
                    *choices = std::mem::take(choices).into_iter().map(Pattern::ignoring_case).collect();
                }
                _ => {}
            }
        }
        self
    }

    fn has_groups(&self) -> bool {
        self.tokens.iter().any(|token| matches!(token, Token::Group { .. }))
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        if self.has_groups() {
            return ends(&self.tokens, text, &[0]).last() == Some(&text.len());
        }
        let (mut token, mut position) = (0, 0);
        // Where to go on after the last star, should the rest not match.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let matched = match self.tokens.get(token) {
                Some(Token::Star) => {
                    retry = Some((token + 1, position));
                    token += 1;
                    continue;
                }
                None if position == text.len() => return true,
                None => false,
                Some(single) => text.get(position).is_some_and(|&byte| single.takes(byte)),
            };
            if matched {
                token += 1;
                position += 1;
                continue;
            }
            match retry {
                Some((after_star, start)) if start < text.len() => {
                    retry = Some((after_star, start + 1));
                    (token, position) = (after_star, start + 1);
                }
                _ => return false,
            }
        }
    }

    /// The length of the beginning of `text` that matches, shortest or longest.
    pub fn prefix(&self, text: &[u8], longest: bool) -> Option<usize> {
        if self.has_groups() {
            let lengths = ends(&self.tokens, text, &[0]);
            return if longest { lengths.last() } else { lengths.first() }.copied();
        }
        let tokens: Vec<&Token> = self.tokens.iter().collect();
        reach(&tokens, text.iter().copied(), longest)
    }

    /// For each place of the text whether something that matches may begin there.
    pub fn beginnings(&self, text: &[u8]) -> Vec<bool> {
        let mut beginnings = vec![true; text.len()];
        if !self.has_groups() {
            let tokens: Vec<&Token> = self.tokens.iter().rev().collect();
            let mut places = Places::new(&tokens);
            for (beginning, &byte) in beginnings.iter_mut().zip(text).rev() {
                places.start();
                places.step(byte);
                *beginning = places.matches();
            }
        }
        beginnings
    }

    /// Where the end of `text` that matches begins.
    pub fn suffix(&self, text: &[u8], longest: bool) -> Option<usize> {
        if self.has_groups() {
            let mut starts = 0..=text.len();
            let matches = |start: &usize| self.matches(&text[*start..]);
            return if longest { starts.find(matches) } else { starts.rev().find(matches) };
        }
        let tokens: Vec<&Token> = self.tokens.iter().rev().collect();
        reach(&tokens, text.iter().rev().copied(), longest).map(|length| text.len() - length)
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Token::Byte(expected) => byte == *expected,
            Token::Class { negated, set } => set[usize::from(byte)] != *negated,
            Token::Any | Token::Star => true,
            Token::Group { .. } => false,
        }
    }
}

/// How many bytes the tokens, none of them a group, can take.
fn reach(tokens: &[&Token], text: impl Iterator<Item = u8>, longest: bool) -> Option<usize> {
    let mut places = Places::new(tokens);
    places.start();
    let mut found = places.matches().then_some(0);
    for (index, byte) in text.enumerate() {
        if found.is_some() && !longest {
            break;
        }
        places.step(byte);
        if places.matches() {
            found = Some(index + 1);
        } else if !places.reached.contains(&true) {
            break;
        }
    }
    found
}

/// Before which tokens, none of them a group, a match can stand. All ways to match go forward at once, so that the
/// time is that of reading the text.
struct Places<'a> {
    tokens: &'a [&'a Token],
    reached: Vec<bool>,
}

impl Places<'_> {
    fn new<'a>(tokens: &'a [&'a Token]) -> Places<'a> {
        Places { tokens, reached: vec![false; tokens.len() + 1] }
    }

    /// A match can begin here.
    fn start(&mut self) {
        self.reached[0] = true;
        self.pass_stars();
    }

    fn pass_stars(&mut self) {
        for (place, token) in self.tokens.iter().enumerate() {
            if self.reached[place] && **token == Token::Star {
                self.reached[place + 1] = true;
            }
        }
    }

    fn step(&mut self, byte: u8) {
        let Places { tokens, reached } = self;
        // From the end, so that each place is read before it is written.
        for place in (0..=tokens.len()).rev() {
            let stays = tokens.get(place).is_some_and(|token| reached[place] && **token == Token::Star);
            let comes =
                place > 0 && reached[place - 1] && *tokens[place - 1] != Token::Star && tokens[place - 1].takes(byte);
            reached[place] = stays || comes;
        }
        self.pass_stars();
    }

    fn matches(&self) -> bool {
        self.reached[self.tokens.len()]
    }
}

/// Where the tokens can end that begin at one of `starts`; both in order. All ways to match go forward at once.
fn ends(tokens: &[Token], text: &[u8], starts: &[usize]) -> Vec<usize> {
    let mut places = starts.to_vec();
    for token in tokens {
        match token {
            Token::Star => places = places.first().map_or_else(Vec::new, |&first| (first..=text.len()).collect()),
            Token::Group { sign: b'!', choices } => {
                for start in std::mem::take(&mut places) {
                    let refused = ends_of_any(choices, text, &[start]);
                    add(&mut places, (start..=text.len()).filter(|end| refused.binary_search(end).is_err()));
                }
            }
            Token::Group { sign, choices } => {
                let mut new = ends_of_any(choices, text, &places);
                if !matches!(sign, b'?' | b'*') {
                    places.clear();
                }
                while !new.is_empty() {
                    let known = places.len();
                    new.retain(|place| places.binary_search(place).is_err());
                    add(&mut places, new.iter().copied());
                    if places.len() == known || !matches!(sign, b'*' | b'+') {
                        break;
                    }
                    new = ends_of_any(choices, text, &new);
                }
            }
            single => {
                places.retain(|&at| text.get(at).is_some_and(|&byte| single.takes(byte)));
                places.iter_mut().for_each(|place| *place += 1);
            }
        }
    }
    places
}

fn ends_of_any(choices: &[Pattern], text: &[u8], starts: &[usize]) -> Vec<usize> {
    let mut found = Vec::new();
    for choice in choices {
        add(&mut found, ends(&choice.tokens, text, starts).into_iter());
    }
    found
}

/// Adds to places in order what is not yet there. Most come in order too.
fn add(places: &mut Vec<usize>, new: impl Iterator<Item = usize>) {
    for place in new {
        match places.last() {
            Some(&last) if last >= place => {
                if let Err(at) = places.binary_search(&place) {
                    places.insert(at, place);
                }
            }
            _ => places.push(place),
        }
    }
}

/// The group whose sign is at `start`, and where it ends.
fn group(bytes: &[u8], quoted: &[bool], start: usize) -> Option<(Token, usize)> {
    let first = start + 2;
    let mut open = 0usize;
    let mut choices = Vec::new();
    let mut choice = first;
    for index in first..bytes.len() {
        match bytes[index] {
            _ if quoted[index] => {}
            b'(' => open += 1,
            b'|' | b')' if open == 0 => {
                choices.push(Pattern::extended(&bytes[choice..index], &quoted[choice..index]));
                choice = index + 1;
                if bytes[index] == b')' {
                    return Some((Token::Group { sign: bytes[start], choices }, index + 1));
                }
            }
            b')' => open -= 1,
            _ => {}
        }
    }
    None
}

/// The class whose bracket was at `start - 1`, and where it ends.
fn class(bytes: &[u8], quoted: &[bool], start: usize) -> Option<(Token, usize)> {
    let mut index = start;
    let negated = matches!(bytes.get(index), Some(b'!' | b'^')) && !quoted[index];
    index += usize::from(negated);
    let first = index;
    let mut set = Box::new([false; 256]);
    loop {
        let byte = *bytes.get(index)?;
        if byte == b']' && !quoted[index] && index > first {
            return Some((Token::Class { negated, set }, index + 1));
        }
        if byte == b'['
            && !quoted[index]
            && bytes.get(index + 1) == Some(&b':')
            && let Some(length) = bytes[index + 2..].windows(2).position(|pair| pair == b":]")
        {
            let name = &bytes[index + 2..index + 2 + length];
            for (byte, member) in set.iter_mut().enumerate() {
                *member |= in_named_class(name, byte as u8);
            }
            index += length + 4;
            continue;
        }
        let range_end = bytes
            .get(index + 2)
            .filter(|&&end| bytes[index + 1] == b'-' && !quoted[index + 1] && (end != b']' || quoted[index + 2]));
        match range_end {
            Some(&end) => {
                for member in byte..=end {
                    set[usize::from(member)] = true;
                }
                index += 3;
            }
            None => {
                set[usize::from(byte)] = true;
                index += 1;
            }
        }
    }
}

/// Whether a byte is in `[:name:]`, in the C locale.
pub fn in_named_class(name: &[u8], byte: u8) -> bool {
    match name {
        b"alpha" => byte.is_ascii_alphabetic(),
        b"digit" => byte.is_ascii_digit(),
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"upper" => byte.is_ascii_uppercase(),
        b"lower" => byte.is_ascii_lowercase(),
        b"space" => byte.is_ascii_whitespace() || byte == 11,
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"punct" => byte.is_ascii_punctuation(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"graph" => byte.is_ascii_graphic(),
        b"cntrl" => byte.is_ascii_control(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_whole_texts() {
        for (pattern, text, expected) in [
            ("*.c", "a.c", true),
            ("*.c", "a.ch", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[[:digit:]]*", "7up", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("a*b*c", "aXbYbZc", true),
            ("[a", "[a", true),
            ("", "", true),
        ] {
            assert_eq!(Pattern::new(pattern.as_bytes()).matches(text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn matches_groups_of_extended_patterns() {
        for (pattern, text, expected) in [
            ("@(a|b)c", "bc", true),
            ("@(a|b)c", "c", false),
            ("?(a)c", "c", true),
            ("*(ab)c", "ababc", true),
            ("+(a|b)", "", false),
            ("+([0-9]).txt", "12.txt", true),
            ("!(*.c)", "a.c", false),
            ("!(*.c)", "a.h", true),
            ("@(a|@(b|c))", "c", true),
            ("@(a", "@(a", true),
            ("?(a)?(ab)b", "abb", true),
            ("*(a|ab)*(b)c", "aababbc", true),
            ("!(a)!(b)", "ab", true),
            ("!(*)", "", false),
            ("*(*(a)|b)", "abba", true),
        ] {
            let plain = vec![false; pattern.len()];
            let extended = Pattern::extended(pattern.as_bytes(), &plain);
            assert_eq!(extended.matches(text.as_bytes()), expected, "{pattern} {text}");
        }
        let slow = "+(+(+(a|aa)))b";
        assert!(!Pattern::extended(slow.as_bytes(), &vec![false; slow.len()]).matches(&[b'a'; 20_000]));
    }

    #[test]
    fn finds_the_shortest_and_the_longest() {
        for (pattern, prefixes, suffixes) in [
            ("*", [Some(0), Some(4)], [Some(4), Some(0)]),
            ("?", [Some(1), Some(1)], [Some(3), Some(3)]),
            ("a*", [Some(1), Some(4)], [Some(2), Some(0)]),
            ("*b", [Some(2), Some(4)], [Some(3), Some(0)]),
            ("x", [None, None], [None, None]),
            ("", [Some(0), Some(0)], [Some(4), Some(4)]),
        ] {
            let pattern = Pattern::new(pattern.as_bytes());
            assert_eq!([pattern.prefix(b"abab", false), pattern.prefix(b"abab", true)], prefixes, "{pattern:?}");
            assert_eq!([pattern.suffix(b"abab", false), pattern.suffix(b"abab", true)], suffixes, "{pattern:?}");
        }
    }
}
