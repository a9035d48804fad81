//! Tables of patterns and what they match.

use super::*;

fn find(pattern: &str, extended: bool, text: &str) -> Option<(usize, usize)> {
    let flags = Flags { extended, ..Flags::default() };
    let regex = Regex::new(pattern.as_bytes(), flags).expect(pattern);
    regex.find_at(text.as_bytes(), 0).expect("simple").map(|captures| captures.whole())
}

fn whole(found: Result<Option<Captures>, TooComplex>) -> Option<(usize, usize)> {
    found.expect("not too complex").map(|captures| captures.whole())
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
fn finds_as_perl_does() {
    for (pattern, text, expected) in [
        (r"\d+", "ab12c", Some((2, 4))),
        (r"a|ab", "ab", Some((0, 1))),
        (r"<.+?>", "<a><b>", Some((0, 3))),
        (r"a{1,3}?", "aaa", Some((0, 1))),
        (r"x=\K\w+", "x=y1", Some((2, 4))),
        (r"\w+(?=;)", "ab cd;", Some((3, 5))),
        (r"a(?!b)", "abac", Some((2, 3))),
        (r"(?<=\$)\d+", "3 $45", Some((3, 5))),
        (r"(?<!\$)\b\d+", "$3 45", Some((3, 5))),
        (r"(?:ab)+c", "ababc", Some((0, 5))),
        (r"(?<name>a)\1", "xaa", Some((1, 3))),
        (r"(?i)ABC", "xabc", Some((1, 4))),
        (r"[\d.\-]+", "v1.2-3", Some((1, 6))),
        (r"\x41\x2e", "A.", Some((0, 2))),
        (r"(?:a?)*?b", "aab", Some((0, 3))),
    ] {
        let flags = Flags { perl: true, ..Flags::default() };
        let regex = Regex::new(pattern.as_bytes(), flags).expect(pattern);
        let found = regex.find_at(text.as_bytes(), 0).expect("simple").map(|captures| captures.whole());
        assert_eq!(found, expected, "{pattern} in {text}");
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
fn gives_up_on_exponential_ones_that_no_automaton_finds() {
    let flags = Flags { extended: true, ..Flags::default() };
    let regex = Regex::new(b"(a|aa)*(a|aa)*b", flags).expect("valid");
    assert_eq!(regex.find_at(&[b'a'; 200], 0), Ok(None));
    let regex = Regex::new(b"(a|aa)*(a|aa)*\\1b", flags).expect("valid");
    assert_eq!(regex.find_at(&[&[b'a'; 200], &b"cb"[..]].concat(), 0), Err(TooComplex));
}

#[test]
fn long_texts_are_no_difficulty() {
    let flags = Flags { extended: true, ..Flags::default() };
    let text = b"ab,".repeat(100_000);
    let regex = Regex::new(b"([a-z]*,)*", flags).expect("valid");
    assert_eq!(whole(regex.find_whole(&text, 0)), Some((0, text.len())));
    assert_eq!(Regex::new(b"(a|b)+,x", flags).expect("valid").find_at(&text, 0), Ok(None));
}

/// Patterns and texts drawn from few signs, so that most of them meet.
#[test]
fn the_automaton_agrees_with_the_matcher() {
    let mut seed = 1u64;
    let mut draw = |count: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % count
    };
    const PIECES: [&str; 16] =
        ["a", "b", "c", ".", "[ab]", "[^a]", "(a|b)", "(ab|a)", "(b*)", "a*", "b+", "c?", "(ab){1,2}", "^", "$", "|"];
    for _ in 0..20_000 {
        let pattern: String = (0..1 + draw(4)).map(|_| PIECES[draw(PIECES.len())]).collect();
        let text: Vec<u8> = (0..draw(8)).map(|_| b"abc"[draw(3)]).collect();
        let Ok(regex) = Regex::new(pattern.as_bytes(), Flags { extended: true, ..Flags::default() }) else { continue };
        let slow = Regex { automaton: None, alternatives: true, ..regex.clone() };
        let from = draw(text.len() + 1);
        let expected = whole(slow.find_at(&text, from));
        assert_eq!(whole(regex.find_whole(&text, from)), expected, "{pattern} in {text:?} from {from}");
        assert_eq!(whole(regex.find_at(&text, from)), expected, "{pattern} in {text:?} from {from}");
    }
}

#[test]
fn captures_groups() {
    let flags = Flags { extended: true, ..Flags::default() };
    let regex = Regex::new(b"([a-z]+)=([0-9]*)(x)?", flags).expect("valid");
    let captures = regex.find_at(b"-key=42;", 0).expect("simple").expect("found");
    assert_eq!([captures.get(1), captures.get(2), captures.get(3)], [Some((1, 4)), Some((5, 7)), None]);
    assert_eq!(regex.groups(), 3);
}
