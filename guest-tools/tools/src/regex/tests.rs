//! Tables of patterns and what they match.

use super::*;

fn find(pattern: &str, extended: bool, text: &str) -> Option<(usize, usize)> {
    let flags = Flags { extended, ..Flags::default() };
    let regex = Regex::new(pattern.as_bytes(), flags).expect(pattern);
    regex.find_at(text.as_bytes(), 0).expect("simple").map(|captures| captures.whole())
}

#[test]
fn finds_leftmost_longest() {
    for (pattern, extended, text, expected) in [
        ("b*", false, "abbb", Some((0, 0))),
        ("bb*", false, "abbbc", Some((1, 4))),
        ("a|ab", true, "xab", Some((1, 3))),
        ("(a|ab)(c|bcd)", true, "abcd", Some((0, 4))),
        ("^a.c$", false, "abc", Some((0, 3))),
        ("a+b", false, "a+b", Some((0, 3))),
        (r"a\+b", false, "aab", Some((0, 3))),
        ("a{2,3}", true, "aaaa", Some((0, 3))),
        (r"a\{2\}", false, "aaaa", Some((0, 2))),
        (r"\(a\)\1", false, "baa", Some((1, 3))),
        ("[[:digit:]]+", true, "ab123", Some((2, 5))),
        ("[^]a]", false, "]ab", Some((2, 3))),
        (r"\bfoo\b", true, "a foo b", Some((2, 5))),
        ("(x*)*y", true, "xxxxy", Some((0, 5))),
        ("*a", false, "*a", Some((0, 2))),
        ("a{", true, "a{", Some((0, 2))),
        ("(ab)*c", true, "ababc", Some((0, 5))),
        ("()", true, "a", Some((0, 0))),
        (r"\.", true, "a.b", Some((1, 2))),
        ("x", true, "abc", None),
        ("a\\|b", false, "cb", Some((1, 2))),
        ("^*", false, "*", Some((0, 1))),
    ] {
        assert_eq!(find(pattern, extended, text), expected, "{pattern} in {text}");
    }
}

#[test]
fn refuses_what_is_wrong() {
    for pattern in ["(", "[", "[b-a]", "a{3,2}", "\\", "(a)\\2", "[[:foo:]]"] {
        let flags = Flags { extended: true, ..Flags::default() };
        assert!(Regex::new(pattern.as_bytes(), flags).is_err(), "{pattern}");
    }
}

#[test]
fn gives_up_on_exponential_ones() {
    let flags = Flags { extended: true, ..Flags::default() };
    let regex = Regex::new(b"(a|aa)*(a|aa)*b", flags).expect("valid");
    assert_eq!(regex.find_at(&[b'a'; 200], 0), Err(TooComplex));
}

#[test]
fn captures_groups() {
    let flags = Flags { extended: true, ..Flags::default() };
    let regex = Regex::new(b"([a-z]+)=([0-9]*)(x)?", flags).expect("valid");
    let captures = regex.find_at(b"-key=42;", 0).expect("simple").expect("found");
    assert_eq!([captures.get(1), captures.get(2), captures.get(3)], [Some((1, 4)), Some((5, 7)), None]);
    assert_eq!(regex.groups(), 3);
}
