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

/// Groups are matched by trying; no sensible pattern needs this many tries.
const MAX_TRIES: u32 = 1_000_000;

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
            return matches_groups(&self.tokens, text, &mut 0);
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
            let mut lengths = 0..=text.len();
            let matches = |length: &usize| self.matches(&text[..*length]);
            return if longest { lengths.rev().find(matches) } else { lengths.find(matches) };
        }
        let tokens: Vec<&Token> = self.tokens.iter().collect();
        reach(&tokens, text.iter().copied(), longest)
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

/// How many bytes the tokens, none of them a group, can take. All ways to match go forward at once, so that the time
/// is that of reading the text.
fn reach(tokens: &[&Token], text: impl Iterator<Item = u8>, longest: bool) -> Option<usize> {
    let past_stars = |places: &mut [bool]| {
        for (place, token) in tokens.iter().enumerate() {
            if places[place] && **token == Token::Star {
                places[place + 1] = true;
            }
        }
    };
    let mut places = vec![false; tokens.len() + 1];
    places[0] = true;
    past_stars(&mut places);
    let mut found = places[tokens.len()].then_some(0);
    for (index, byte) in text.enumerate() {
        if found.is_some() && !longest {
            break;
        }
        // From the end, so that each place is read before it is written.
        for place in (0..=tokens.len()).rev() {
            let stays = tokens.get(place).is_some_and(|token| places[place] && **token == Token::Star);
            let comes =
                place > 0 && places[place - 1] && *tokens[place - 1] != Token::Star && tokens[place - 1].takes(byte);
            places[place] = stays || comes;
        }
        past_stars(&mut places);
        if places[tokens.len()] {
            found = Some(index + 1);
        } else if !places.contains(&true) {
            break;
        }
    }
    found
}

fn matches_groups(tokens: &[Token], text: &[u8], tries: &mut u32) -> bool {
    *tries += 1;
    if *tries > MAX_TRIES {
        return false;
    }
    let Some((token, rest)) = tokens.split_first() else { return text.is_empty() };
    let mut lengths = 0..=text.len();
    match token {
        Token::Star => lengths.any(|length| matches_groups(rest, &text[length..], tries)),
        Token::Group { sign, choices } => {
            let chosen = |length: usize, tries: &mut u32| {
                choices.iter().any(|choice| matches_groups(&choice.tokens, &text[..length], tries))
            };
            if matches!(sign, b'?' | b'*') && matches_groups(rest, text, tries) {
                return true;
            }
            lengths.any(|length| match sign {
                b'!' => !chosen(length, tries) && matches_groups(rest, &text[length..], tries),
                b'*' | b'+' if length > 0 && chosen(length, tries) => {
                    let again = [&[Token::Group { sign: b'*', choices: choices.clone() }], rest].concat();
                    matches_groups(&again, &text[length..], tries)
                }
                _ => chosen(length, tries) && matches_groups(rest, &text[length..], tries),
            })
        }
        single => text.first().is_some_and(|&byte| single.takes(byte)) && matches_groups(rest, &text[1..], tries),
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
        ] {
            let plain = vec![false; pattern.len()];
            let extended = Pattern::extended(pattern.as_bytes(), &plain);
            assert_eq!(extended.matches(text.as_bytes()), expected, "{pattern} {text}");
        }
        let slow = "+(+(+(a|aa)))b";
        assert!(!Pattern::extended(slow.as_bytes(), &vec![false; slow.len()]).matches(&[b'a'; 200]));
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
