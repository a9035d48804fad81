//! Tables of patterns and the paths they exclude.

use super::*;

fn ignore(patterns: &[&str]) -> IgnoreFile {
    IgnoreFile::from_patterns(patterns.iter().copied()).unwrap()
}

#[test]
fn patterns_decide_as_documented() {
    for (patterns, path, expected) in [
        (&["*.md"][..], "README.md", true),
        (&["*.md"], "docs/README.md", false),
        (&["**/*.md"], "docs/README.md", true),
        (&["docs"], "docs/a/b", true),
        (&["docs/**"], "docs", false),
        (&["docs/**"], "docs/a", true),
        (&["*", "!keep"], "keep", false),
        (&["*", "!keep"], "keep/inner", false),
        (&["*", "!keep", "keep/secret"], "keep/secret", true),
        (&["a/b", "!a"], "a/b", true),
        (&["temp?"], "tempa", true),
        (&["temp?"], "temp/a", false),
        (&["[a-c]x"], "bx", true),
        (&["a\\*b"], "a*b", true),
        (&["a\\*b"], "axb", false),
        (&["foo/../bar/"], "bar", true),
        (&["a(b)c"], "a(b)c", true),
        (&["Dockerfile"], "dockerfile", false),
        (&[], "x", false),
    ] {
        assert_eq!(ignore(patterns).excludes(path.as_bytes()), expected, "{patterns:?} {path}");
    }
}

#[test]
fn the_file_has_comments_blanks_and_a_byte_order_mark() {
    let file = IgnoreFile::parse(
        "\u{feff}# all\r\n\r\n  /node_modules/  \n! /node_modules/keep\n #not a comment\n./a//b\n".as_bytes(),
    )
    .unwrap();
    for (path, expected) in [
        ("node_modules", true),
        ("node_modules/x", true),
        ("node_modules/keep", false),
        ("#not a comment", true),
        ("# all", false),
        ("a/b", true),
    ] {
        assert_eq!(file.excludes(path.as_bytes()), expected, "{path}");
    }
}

#[test]
fn bad_patterns_are_errors_with_their_line() {
    let bad = |line, pattern: &str| Err(IgnoreError::BadPattern { line, pattern: pattern.to_owned() });
    for (text, expected) in [
        ("a\n[", bad(2, "[")),
        ("[]a]", bad(1, "[]a]")),
        ("\\", bad(1, "\\")),
        ("[Local-Only]", bad(1, "[Local-Only]")),
        ("a\n!", Err(IgnoreError::EmptyException { line: 2 })),
        ("/", Ok(())),
    ] {
        assert_eq!(IgnoreFile::parse(text.as_bytes()).map(|_| ()), expected, "{text}");
    }
}

#[test]
fn excluded_directories_are_walked_only_for_exceptions() {
    for (patterns, dir, expected) in [
        (&["*"][..], "a", false),
        (&["*", "!a/b/c"], "a", true),
        (&["*", "!a/b/c"], "a/b", true),
        (&["*", "!a/b/c"], "a/b/c", false),
        (&["*", "!a/b/c"], "b", false),
        (&["*", "!**/*.go"], "any/where", true),
        (&["*", "!src/*.go"], "src", true),
        (&["*", "!src/*.go"], "lib", false),
        (&["*", "!s*"], "src", true),
    ] {
        assert_eq!(ignore(patterns).may_reinclude(dir.as_bytes()), expected, "{patterns:?} {dir}");
    }
}

#[test]
fn translation_is_patternmatcher_s() {
    for (pattern, kind, expression) in [
        ("**", Kind::Suffix, "^"),
        ("**/**", Kind::Regex, "^(.*/)?.*$"),
        ("dir/**", Kind::Prefix, "^dir/"),
        ("**/dir", Kind::Suffix, "^(.*/)?dir"),
        ("**/x*y", Kind::Regex, "^(.*/)?x[^/]*y$"),
        ("a.b", Kind::Exact, "^a\\.b"),
        ("a[b-d]?", Kind::Regex, "^a[b-d][^/]$"),
    ] {
        assert_eq!(translate(pattern), (kind, expression.to_owned()), "{pattern}");
    }
}

proptest::proptest! {
    /// A directory that a walk passes by has nothing that ought to be taken.
    #[test]
    fn pruning_loses_nothing(
        patterns in proptest::collection::vec("!?[ab*/]{1,6}", 1..6),
        path in "[ab]{1,2}(/[ab]{1,2}){1,3}",
    ) {
        let Ok(ignore) = IgnoreFile::from_patterns(patterns.iter().map(String::as_str)) else { return Ok(()) };
        if ignore.excludes(path.as_bytes()) {
            return Ok(());
        }
        for (at, _) in path.match_indices('/') {
            let dir = &path.as_bytes()[..at];
            proptest::prop_assert!(!ignore.excludes(dir) || ignore.may_reinclude(dir), "{patterns:?} {path}");
        }
    }

    #[test]
    fn any_bytes_are_read(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60), path: Vec<u8>) {
        if let Ok(ignore) = IgnoreFile::parse(&text) {
            ignore.excludes(&path);
            ignore.may_reinclude(&path);
        }
    }
}
