//! The patterns of `${v#p}` and `${v/p/r}`: `*` and `?`, which do not match line ends; no bracket expressions.

use regex::{NoExpand, Regex, RegexBuilder};

#[derive(Debug)]
pub(super) struct Pattern(Vec<Token>);

#[derive(Clone, Copy, Debug)]
enum Token {
    Star,
    Any,
    Literal(char),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            tokens.push(match character {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => match characters.next() {
                    // The last two had to be escaped for the substitution's sake.
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::Literal(escaped),
                    _ => return None,
                },
                _ => Token::Literal(character),
            });
        }
        Some(Self(tokens))
    }

    /// None where the pattern is too large.
    fn regex(tokens: impl Iterator<Item = Token>, greedy: bool, anchored: bool) -> Option<Regex> {
        let mut expression = String::from(if anchored { "^" } else { "" });
        for token in tokens {
            match token {
                Token::Star if greedy => expression.push_str(".*"),
                Token::Star => expression.push_str(".*?"),
                Token::Any => expression.push('.'),
                Token::Literal(literal) => expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4]))),
            }
        }
        RegexBuilder::new(&expression).size_limit(1 << 18).build().ok()
    }

    pub(super) fn without_prefix(&self, value: &str, greedy: bool) -> Option<String> {
        let regex = Self::regex(self.0.iter().copied(), greedy, true)?;
        Some(value[regex.find(value).map_or(0, |found| found.end())..].to_owned())
    }

    /// A search finds the first match, not the shortest one at the end: so everything is turned round.
    pub(super) fn without_suffix(&self, value: &str, greedy: bool) -> Option<String> {
        let regex = Self::regex(self.0.iter().rev().copied(), greedy, true)?;
        let reversed: String = value.chars().rev().collect();
        let matched = regex.find(&reversed).map_or(0, |found| found.end());
        Some(value[..value.len() - matched].to_owned())
    }

    pub(super) fn replaced(&self, value: &str, replacement: &str, all: bool) -> Option<String> {
        let regex = Self::regex(self.0.iter().copied(), true, false)?;
        let limit = usize::from(!all);
        Some(regex.replacen(value, limit, NoExpand(replacement)).into_owned())
    }
}
