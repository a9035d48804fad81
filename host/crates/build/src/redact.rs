//! Secrets in what steps say: shown as `***`.
//!
//! Output comes in pieces, and a secret may lie across two of them, so what may be the beginning of one is held back until
//! the next piece, or the end. Only a secret's bytes as they are are found, not its base64 or the like.

use std::ops::Range;

use crate::Secrets;

/// Shorter ones are part of too much that is no secret.
const SHORTEST: usize = 4;
const MASK: &[u8] = b"***";

/// Secrets, ready to be looked for.
pub(crate) struct Redactor {
    patterns: Vec<Pattern>,
}

/// A text with the failure function of Knuth, Morris and Pratt: where to go on when a byte does not fit.
struct Pattern {
    text: Vec<u8>,
    fallback: Vec<usize>,
}

/// One stream of output.
#[derive(Default)]
pub(crate) struct Redacted {
    /// How many bytes of each pattern the output ends with.
    matched: Vec<usize>,
    /// What is not shown yet.
    held: Vec<u8>,
    /// Which of that belongs to secrets: apart from each other, in order.
    hidden: Vec<Range<usize>>,
    /// What was shown last is a mask.
    masked: bool,
}

impl Redactor {
    /// `None` where there is nothing to look for.
    pub(crate) fn new(secrets: &Secrets) -> Option<Self> {
        let texts = secrets.values().map(|secret| secret.line_trimmed().to_vec());
        let patterns: Vec<_> = texts.filter(|text| text.len() >= SHORTEST).map(Pattern::new).collect();
        (!patterns.is_empty()).then_some(Self { patterns })
    }

    /// What can be shown after `bytes` came.
    pub(crate) fn pass(&self, stream: &mut Redacted, bytes: &[u8]) -> Vec<u8> {
        stream.matched.resize(self.patterns.len(), 0);
        for &byte in bytes {
            stream.held.push(byte);
            let end = stream.held.len();
            for (pattern, matched) in self.patterns.iter().zip(&mut stream.matched) {
                *matched = pattern.step(*matched, byte);
                if *matched == pattern.text.len() {
                    hide(&mut stream.hidden, end - pattern.text.len()..end);
                    *matched = pattern.fallback[*matched - 1];
                }
            }
        }
        let begun = stream.matched.iter().copied().max().unwrap_or(0);
        stream.show(stream.held.len() - begun)
    }

    /// A whole text as it can be shown.
    pub(crate) fn redact(&self, text: &[u8]) -> Vec<u8> {
        let mut stream = Redacted::default();
        let mut shown = self.pass(&mut stream, text);
        shown.append(&mut self.finish(&mut stream));
        shown
    }

    /// The rest, when nothing more will come.
    pub(crate) fn finish(&self, stream: &mut Redacted) -> Vec<u8> {
        stream.show(stream.held.len())
    }
}

impl Pattern {
    fn new(text: Vec<u8>) -> Self {
        let mut pattern = Self { fallback: vec![0; text.len()], text };
        for at in 1..pattern.text.len() {
            pattern.fallback[at] = pattern.step(pattern.fallback[at - 1], pattern.text[at]);
        }
        pattern
    }

    fn step(&self, mut matched: usize, byte: u8) -> usize {
        while matched > 0 && self.text[matched] != byte {
            matched = self.fallback[matched - 1];
        }
        matched + usize::from(self.text[matched] == byte)
    }
}

impl Redacted {
    /// Takes the first `length` bytes out of what is held.
    fn show(&mut self, length: usize) -> Vec<u8> {
        let mut shown = Vec::with_capacity(length);
        let mut at = 0;
        for range in &self.hidden {
            let (start, end) = (range.start.min(length), range.end.min(length));
            if start > at {
                shown.extend_from_slice(&self.held[at..start]);
                self.masked = false;
            }
            if end > start {
                if !self.masked {
                    shown.extend_from_slice(MASK);
                }
                self.masked = true;
                at = end;
            }
        }
        if length > at {
            shown.extend_from_slice(&self.held[at..length]);
            self.masked = false;
        }
        self.held.drain(..length);
        self.hidden.retain(|range| range.end > length);
        for range in &mut self.hidden {
            *range = range.start.saturating_sub(length)..range.end - length;
        }
        shown
    }
}

/// Adds a range that ends no earlier than those before it.
fn hide(hidden: &mut Vec<Range<usize>>, mut range: Range<usize>) {
    while let Some(last) = hidden.pop_if(|last| last.end >= range.start) {
        range.start = range.start.min(last.start);
    }
    hidden.push(range);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn redacted(secrets: &[&str], pieces: &[&[u8]]) -> String {
        let secrets = secrets.iter().map(|text| ((*text).to_owned(), Secret::new(text.as_bytes().to_vec()))).collect();
        let redactor = Redactor::new(&secrets).expect("there are some");
        let mut stream = Redacted::default();
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| redactor.pass(&mut stream, piece)).collect();
        out.extend(redactor.finish(&mut stream));
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn secrets_are_masked_however_they_are_cut() {
        for (secrets, text, expected) in [
            (&["hunter2\n"][..], "password hunter2.", "password ***."),
            (&["hunter2"], "hunter hunter2hunter2", "hunter ***"),
            (&["aabaab"], "aabaabaabaa", "***aa"),
            (&["abcd", "cdef"], "x abcdef y", "x *** y"),
            (&["abcdabce"], "abcdabcdabce", "abcd***"),
            (&["key", "secret"], "key secret", "key ***"),
            (&["line one\nline two\n"], "+ echo line one\nline two\nend", "+ echo ***\nend"),
        ] {
            assert_eq!(redacted(secrets, &[text.as_bytes()]), expected);
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(redacted(secrets, &pieces), expected, "byte by byte");
        }
    }

    #[test]
    fn only_what_may_be_a_secret_is_held_back() {
        let secrets = [("id".to_owned(), Secret::new(b"hunter2".to_vec()))].into();
        let redactor = Redactor::new(&secrets).expect("there is one");
        let mut stream = Redacted::default();
        assert_eq!(redactor.pass(&mut stream, b"please wait hun"), b"please wait ");
        assert_eq!(redactor.pass(&mut stream, b"gry"), b"hungry");
    }

    #[test]
    fn nothing_is_looked_for_without_secrets_of_some_length() {
        for value in ["", "abc", "abc\r\n"] {
            let secrets = [("id".to_owned(), Secret::new(value.into()))].into();
            assert!(Redactor::new(&secrets).is_none());
        }
    }
}
