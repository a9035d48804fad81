//! One line of expected output, with placeholders for what differs from run to run.
//!
//! | `<id>` | 12 hexadecimal digits |
//! | `<digest>` | `sha256:` and 64 of them |
//! | `<hex>` | 64 of them |
//! | `<age>` | `… ago` |
//! | `<size>` | a number with a unit |
//! | `<gap>` | spaces, as many as a column needs |
//! | `<any>` | anything |
//!
//! `<id:x>` must be the same everywhere in a story.

use std::collections::BTreeMap;

pub(crate) struct Pattern<'a> {
    pieces: Vec<Piece<'a>>,
}

enum Piece<'a> {
    Text(&'a str),
    Placeholder { kind: Kind, name: Option<&'a str> },
}

#[derive(Clone, Copy)]
enum Kind {
    Id,
    Digest,
    Hex,
    Age,
    Size,
    Gap,
    Any,
}

impl<'a> Pattern<'a> {
    pub(crate) fn new(mut line: &'a str) -> Self {
        let mut pieces = Vec::new();
        while let Some((start, end, kind, name)) = next_placeholder(line) {
            pieces.push(Piece::Text(&line[..start]));
            pieces.push(Piece::Placeholder { kind, name });
            line = &line[end..];
        }
        pieces.push(Piece::Text(line));
        Self { pieces }
    }

    /// Adds to `known` what named placeholders stand for.
    pub(crate) fn matches(&self, line: &str, known: &mut BTreeMap<String, String>) -> bool {
        matches(&self.pieces, line, known)
    }
}

fn next_placeholder(line: &str) -> Option<(usize, usize, Kind, Option<&str>)> {
    line.match_indices('<').find_map(|(start, _)| {
        let end = start + line[start..].find('>')? + 1;
        let inside = &line[start + 1..end - 1];
        let (kind, name) = inside.split_once(':').map_or((inside, None), |(kind, name)| (kind, Some(name)));
        let kind = match kind {
            "id" => Kind::Id,
            "digest" => Kind::Digest,
            "hex" => Kind::Hex,
            "age" => Kind::Age,
            "size" => Kind::Size,
            "gap" => Kind::Gap,
            "any" => Kind::Any,
            _ => return None,
        };
        Some((start, end, kind, name))
    })
}

fn matches(pieces: &[Piece<'_>], line: &str, known: &mut BTreeMap<String, String>) -> bool {
    match pieces {
        [] => line.is_empty(),
        [Piece::Text(text), rest @ ..] => line.strip_prefix(text).is_some_and(|line| matches(rest, line, known)),
        [Piece::Placeholder { kind, name }, rest @ ..] => {
            let ends = line.char_indices().map(|(at, _)| at).skip(1).chain([line.len()]);
            ends.into_iter().any(|end| {
                let value = &line[..end];
                let key = name.map(str::to_owned);
                let same = key.as_ref().and_then(|key| known.get(key)).is_none_or(|known| known == value);
                if !kind.fits(value) || !same {
                    return false;
                }
                let mut tried = known.clone();
                tried.extend(key.map(|key| (key, value.to_owned())));
                let fits = matches(rest, &line[end..], &mut tried);
                if fits {
                    *known = tried;
                }
                fits
            })
        }
    }
}

impl Kind {
    fn fits(self, text: &str) -> bool {
        let hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        match self {
            Self::Id => hex(text, 12),
            Self::Digest => text.strip_prefix("sha256:").is_some_and(|digits| hex(digits, 64)),
            Self::Hex => hex(text, 64),
            Self::Age => text.ends_with(" ago"),
            Self::Size => {
                let digits = text.trim_end_matches(['B', 'k', 'M', 'G']);
                digits.len() < text.len() && text.ends_with('B') && digits.parse::<f64>().is_ok()
            }
            Self::Gap => text.bytes().all(|b| b == b' '),
            Self::Any => true,
        }
    }
}

#[test]
fn placeholders_stand_for_what_they_say() {
    let digest = format!("sha256:{}", "a1".repeat(32));
    for (pattern, line, fits) in [
        (" ---> <id>", " ---> 0123456789ab", true),
        (" ---> <id>", " ---> 0123456789a", false),
        (" ---> <id>", " ---> 0123456789abc", false),
        ("Deleted: <digest>", format!("Deleted: {digest}").as_str(), true),
        ("a<gap><age><gap><size>", "a   2 seconds ago   1.84kB", true),
        ("<none> <missing>", "<none> <missing>", true),
        ("<id:x> <id:x>", "0123456789ab 0123456789ab", true),
        ("<id:x> <id:x>", "0123456789ab 0123456789ac", false),
    ] {
        assert_eq!(Pattern::new(pattern).matches(line, &mut BTreeMap::new()), fits, "{pattern} | {line}");
    }
}
