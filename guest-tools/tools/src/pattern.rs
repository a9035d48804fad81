//! Shell patterns: `*`, `?`, `[…]`.

/// A pattern, ready to be matched.
#[derive(Debug, Clone, Default)]
pub struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Byte(u8),
    Any,
    Star,
    Class { negated: bool, set: Box<[bool; 256]> },
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
        let special = |index: usize, sign: u8| bytes.get(index) == Some(&sign) && !quoted[index];
        let mut tokens = Vec::with_capacity(bytes.len());
        let mut index = 0;
        while index < bytes.len() {
            if special(index, b'*') {
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

    pub fn matches(&self, text: &[u8]) -> bool {
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
                Some(single) => text.get(position).is_some_and(|&byte| match single {
                    Token::Byte(expected) => byte == *expected,
                    Token::Class { negated, set } => set[usize::from(byte)] != *negated,
                    Token::Any | Token::Star => true,
                }),
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
        let mut lengths = 0..=text.len();
        if longest {
            lengths.rev().find(|&length| self.matches(&text[..length]))
        } else {
            lengths.find(|&length| self.matches(&text[..length]))
        }
    }

    /// Where the end of `text` that matches begins.
    pub fn suffix(&self, text: &[u8], longest: bool) -> Option<usize> {
        let mut starts = 0..=text.len();
        if longest {
            starts.find(|&start| self.matches(&text[start..]))
        } else {
            starts.rev().find(|&start| self.matches(&text[start..]))
        }
    }
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
}
