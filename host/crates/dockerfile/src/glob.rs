//! Wildcards of COPY and ADD: Go's `filepath.Match`, with `/` as the separator on every host.
//!
//! `*` and `?` do not match a slash, `[a-z]` and `[^a-z]` are classes, a backslash escapes.

use thiserror::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Does `pattern` match the whole of `name`? A bad pattern is an error whether or not its good part would match.
pub fn matches(pattern: &[u8], name: &[u8]) -> Result<bool, BadPattern> {
    let (mut pattern, mut name) = (pattern, name);
    'chunks: while !pattern.is_empty() {
        let chunk = Chunk::first_of(pattern);
        pattern = chunk.rest;
        if chunk.star && chunk.text.is_empty() {
            return Ok(!name.contains(&b'/'));
        }
        if let Some(rest) = match_chunk(chunk.text, name)?
            // The last chunk must reach the end; a star may still find another place for it.
            && (rest.is_empty() || !pattern.is_empty())
        {
            name = rest;
            continue;
        }
        if chunk.star {
            for skipped in 0..name.len() {
                if name[skipped] == b'/' {
                    break;
                }
                if let Some(rest) = match_chunk(chunk.text, &name[skipped + 1..])?
                    && (rest.is_empty() || !pattern.is_empty())
                {
                    name = rest;
                    continue 'chunks;
                }
            }
        }
        while !pattern.is_empty() {
            let chunk = Chunk::first_of(pattern);
            match_chunk(chunk.text, b"")?;
            pattern = chunk.rest;
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Has `pattern` a character that does not simply stand for itself?
pub fn has_wildcard(pattern: &[u8]) -> bool {
    pattern.iter().any(|byte| b"*?[\\".contains(byte))
}

/// Stars, and the pattern between them and the next star.
struct Chunk<'a> {
    star: bool,
    text: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn first_of(pattern: &'a [u8]) -> Self {
        let stars = pattern.iter().take_while(|&&byte| byte == b'*').count();
        let body = &pattern[stars..];
        let (mut at, mut in_class) = (0, false);
        while at < body.len() {
            match body[at] {
                b'\\' if at + 1 < body.len() => at += 1,
                b'[' => in_class = true,
                b']' => in_class = false,
                b'*' if !in_class => break,
                _ => {}
            }
            at += 1;
        }
        Self { star: stars > 0, text: &body[..at], rest: &body[at..] }
    }
}

/// What is left of `name` after `chunk` matched its beginning.
///
/// The chunk is read to its end even when it no longer matches, so that its errors are found.
fn match_chunk<'n>(chunk: &[u8], name: &'n [u8]) -> Result<Option<&'n [u8]>, BadPattern> {
    let (mut chunk, mut name) = (chunk, Some(name));
    while let Some(&first) = chunk.first() {
        let next = name.filter(|name| !name.is_empty());
        match first {
            b'[' => {
                let (in_class, rest) = match_class(&chunk[1..], next.map(|name| character(name).0))?;
                chunk = rest;
                name = next.filter(|_| in_class).map(|name| &name[character(name).1..]);
            }
            b'?' => {
                chunk = &chunk[1..];
                name = next.filter(|name| name[0] != b'/').map(|name| &name[character(name).1..]);
            }
            _ => {
                if first == b'\\' {
                    chunk = &chunk[1..];
                }
                let literal = *chunk.first().ok_or(BadPattern)?;
                chunk = &chunk[1..];
                name = next.filter(|name| name[0] == literal).map(|name| &name[1..]);
            }
        }
    }
    Ok(name)
}

/// Is `candidate` in the class that begins after its `[`? Also gives what follows the class.
fn match_class(class: &[u8], candidate: Option<char>) -> Result<(bool, &[u8]), BadPattern> {
    let (negated, mut rest) = match class.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, class),
    };
    let (mut found, mut first) = (false, true);
    loop {
        if rest.first() == Some(&b']') && !first {
            return Ok((found != negated, &rest[1..]));
        }
        let low;
        (low, rest) = class_member(rest)?;
        let mut high = low;
        if rest.first() == Some(&b'-') {
            (high, rest) = class_member(&rest[1..])?;
        }
        found |= candidate.is_some_and(|candidate| (low..=high).contains(&candidate));
        first = false;
    }
}

fn class_member(class: &[u8]) -> Result<(char, &[u8]), BadPattern> {
    let class = match class.first() {
        None | Some(b'-' | b']') => return Err(BadPattern),
        Some(b'\\') => &class[1..],
        Some(_) => class,
    };
    if class.is_empty() {
        return Err(BadPattern);
    }
    let (member, width) = character(class);
    if member == char::REPLACEMENT_CHARACTER && width == 1 {
        return Err(BadPattern);
    }
    let rest = &class[width..];
    // A class must still be closed.
    if rest.is_empty() { Err(BadPattern) } else { Ok((member, rest)) }
}

/// The first character of non-empty `bytes` and its width; a byte that is not UTF-8 counts as one character.
fn character(bytes: &[u8]) -> (char, usize) {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().map_or((char::REPLACEMENT_CHARACTER, 1), |first| (first, first.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_go_does() {
        for (pattern, name, expected) in [
            ("", "", Ok(true)),
            ("", "a", Ok(false)),
            ("hom*", "home.txt", Ok(true)),
            ("hom?.txt", "home.txt", Ok(true)),
            ("*", "a/b", Ok(false)),
            ("a/*/c", "a/b/c", Ok(true)),
            ("a*a*b", "aaaab", Ok(true)),
            ("*ab", "aab", Ok(true)),
            ("?", "☺", Ok(true)),
            ("?", "/", Ok(false)),
            ("[^a]", "/", Ok(true)),
            ("a[[]b", "a[b", Ok(true)),
            ("[a-ζ]*", "α", Ok(true)),
            ("\\*", "*", Ok(true)),
            ("[*]x", "*x", Ok(true)),
            ("[]a]", "]", Err(BadPattern)),
            ("a[", "a", Err(BadPattern)),
            ("a/b[", "x", Err(BadPattern)),
            ("[x-]", "x", Err(BadPattern)),
            ("\\", "a", Err(BadPattern)),
            ("*x[", "zzz", Err(BadPattern)),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
        assert_eq!(matches(b"?b", b"\xffb"), Ok(true));
        assert_eq!(matches(b"[\xff]", b"\xff"), Err(BadPattern));
    }
}
