//! Tables of words and what they expand to.

use super::*;

fn look(name: &str) -> Option<String> {
    [("name", "value"), ("empty", ""), ("two", "a b"), ("path", "/usr/lib/x.tar.gz"), ("名", "字")]
        .into_iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

#[test]
fn expands_each_form() {
    for (text, expected) in [
        ("a$name.", "avalue."),
        ("${name}x", "valuex"),
        ("$unset", ""),
        ("$名", "字"),
        ("$1name", "name"),
        ("$", "$"),
        ("$.", "$."),
        ("\\$name", "$name"),
        ("'$name'", "$name"),
        ("\"$name 'x'\"", "value 'x'"),
        ("\"\\$name \\\\ \\n\"", "$name \\ \\n"),
        ("a\\", "a"),
        ("${unset:-w}", "w"),
        ("${empty:-w}", "w"),
        ("${empty-w}", ""),
        ("${name:+w}", "w"),
        ("${empty:+w}", ""),
        ("${empty+w}", "w"),
        ("${name:?gone}", "value"),
        ("${empty?gone}", ""),
        ("${unset:-${empty:-${name}}}", "value"),
        ("${unset:-'}'}", "}"),
        ("${path#*/}", "usr/lib/x.tar.gz"),
        ("${path##*/}", "x.tar.gz"),
        ("${path%.*}", "/usr/lib/x.tar"),
        ("${path%%.*}", "/usr/lib/x"),
        ("${path/\\/usr/}", "/lib/x.tar.gz"),
        ("${path//\\//:}", ":usr:lib:x.tar.gz"),
        ("<<  x", "<<  x"),
    ] {
        assert_eq!(expand(text, &look, b'\\').as_deref(), Ok(expected), "{text}");
    }
    assert_eq!(expand("`$name\\", &look, b'`').as_deref(), Ok("$name\\"));
}

#[test]
fn splits_after_expansion_and_not_in_quotes() {
    for (text, expected) in [
        ("x$two", &["xa", "b"][..]),
        ("x\"$two\"", &["xa b"]),
        (" 80  ${unset:-90} ", &["80", "90"]),
        ("8${unset:-0}", &["80"]),
        ("a\\ b", &["a b"]),
        ("''", &[]),
    ] {
        assert_eq!(expand_words(text, &look, b'\\').unwrap(), expected, "{text}");
    }
}

#[test]
fn heredocs_keep_their_quotes() {
    assert_eq!(expand_heredoc("it's \"$name\" \\$name\n", &look).unwrap(), "it's \"value\" $name\n");
}

#[test]
fn faults_say_what_and_where() {
    for (text, offset, fault) in [
        ("ab'c", 2, ExpandFault::UnterminatedQuote('\'')),
        ("ab\"c", 2, ExpandFault::UnterminatedQuote('"')),
        ("x${name", 1, ExpandFault::MissingBrace),
        ("x${name:-${b}", 1, ExpandFault::MissingBrace),
        ("${name/a}", 0, ExpandFault::MissingSlash),
        ("${}", 0, ExpandFault::BadSubstitution),
        ("${name:=w}", 6, ExpandFault::UnsupportedModifier(":=".to_owned())),
        ("${name#\\x}", 0, ExpandFault::BadPattern("\\x".to_owned())),
    ] {
        assert_eq!(expand(text, &look, b'\\'), Err(ExpandError { offset, fault }), "{text}");
    }
    let required = expand("${empty:?say $name}", &look, b'\\').unwrap_err();
    assert_eq!(required.to_string(), "empty: say value");
}

#[test]
fn growth_and_depth_are_bounded() {
    let big = |_: &str| Some("x".repeat(1 << 16));
    assert_eq!(expand(&"$a".repeat(100), &big, b'\\').unwrap_err().fault, ExpandFault::TooLong);
    let deep = format!("{}{}", "${a:-".repeat(100_000), "}".repeat(100_000));
    assert_eq!(expand(&deep, &look, b'\\').unwrap_err().fault, ExpandFault::TooDeep);
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "[a-z${}:?+#%/\\\\*'\"< \n\u{e9}-]{0,40}") {
        let _ = expand(&text, &look, b'\\');
        let _ = expand_words(&text, &look, b'`');
        let _ = expand_heredoc(&text, &look);
    }
}
