//! `["program", "argument"]`: a JSON array of strings, or what only looks like one.

use std::ops::Range;

#[derive(Debug)]
pub(crate) enum Form {
    Exec(Vec<String>),
    /// JSON, but the element of that number (from 1) is not a string: an error in every builder.
    NotStrings(usize),
    /// Anything else: the shell's business, or words.
    Text,
}

pub(crate) fn parse(text: &str) -> Form {
    if !text.starts_with('[') {
        return Form::Text;
    }
    let Ok(elements) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return Form::Text };
    let mut strings = Vec::with_capacity(elements.len());
    for element in elements {
        match element {
            serde_json::Value::String(string) => strings.push(string),
            _ => return Form::NotStrings(strings.len() + 1),
        }
    }
    Form::Exec(strings)
}

/// Where text that is no JSON array fails to be one, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: Range<usize>,
    pub(crate) reason: String,
    /// A character stands in place of an ASCII one.
    pub(crate) wide: bool,
}

/// The flaw of a `text` that was probably meant as a JSON array. `[` is also a command and begins a wildcard, so it needs
/// more than a bracket: in a command something that cannot be the command `[`, in a list of `paths` a quote.
pub(crate) fn flaw(text: &str, paths: bool) -> Option<Flaw> {
    let inside = text.strip_prefix(['[', '［', '【'])?;
    let begins_wide = !text.starts_with('[');
    let first = inside.trim_start().chars().next()?;
    let quote = is_quote(first);
    let spaced = inside.starts_with(char::is_whitespace);
    let meant = match (paths, spaced) {
        (true, _) => quote,
        (false, false) => quote || begins_wide || text.trim_end().ends_with([']', '］', '】']),
        // `[ "$a" = b ]` is a test; `[ "a", b ]` is not.
        (false, true) => quote && string_is_followed_by_comma(inside.trim_start()),
    };
    if !meant {
        return None;
    }
    Some(wrong_character(text).unwrap_or_else(|| json_error(text)))
}

fn is_quote(character: char) -> bool {
    matches!(character, '"' | '\'') || is_wide_quote(character)
}

fn is_wide_quote(character: char) -> bool {
    matches!(character, '“' | '”' | '„' | '‟' | '‘' | '’' | '＂' | '＇' | '「' | '」' | '『' | '』' | '«' | '»')
}

fn string_is_followed_by_comma(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next();
    let after = characters.as_str().split_once(is_quote).map(|(_, after)| after.trim_start());
    after.is_some_and(|after| after.starts_with([',', '，', '、']))
}

/// The first character outside double quotes that a keyboard or a word processor put in place of the right one.
fn wrong_character(text: &str) -> Option<Flaw> {
    let (mut in_string, mut escaped) = (false, false);
    for (offset, character) in text.char_indices() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        let reason = match character {
            '"' => {
                in_string = true;
                continue;
            }
            '\'' => "single quotes are not JSON: write \"".to_owned(),
            '，' | '、' => format!("{character} is a full-width comma: write ,"),
            '［' | '【' | '］' | '】' => format!("{character} is a full-width bracket: write [ and ]"),
            _ if is_wide_quote(character) => format!("{character} is a typographic quote: write \""),
            _ => continue,
        };
        let wide = !character.is_ascii();
        return Some(Flaw { at: offset..offset + character.len_utf8(), reason, wide });
    }
    None
}

fn json_error(text: &str) -> Flaw {
    let error = serde_json::from_str::<Vec<serde_json::Value>>(text).err();
    let column = error.as_ref().map_or(1, serde_json::Error::column).max(1);
    let mut at = (column - 1).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let width = text[at..].chars().next().map_or(0, char::len_utf8);
    let reason = match text[at..].chars().next() {
        Some('#') => "a comment needs a line of its own".to_owned(),
        _ => match error {
            Some(error) if error.is_eof() => "the array is not closed".to_owned(),
            _ => "write [\"…\", \"…\"]: every element in double quotes, commas between".to_owned(),
        },
    };
    Flaw { at: at..at + width, reason, wide: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_arrays_of_strings() {
        for (text, expected) in [
            ("[]", &[][..]),
            (r#"[ "a",	"b" ]"#, &["a", "b"]),
            (
                r#"["abc 123", "♥", "\" \\ \/ \b \f \n \r \t \u0000"]"#,
                &["abc 123", "♥", "\" \\ / \u{8} \u{c} \n \r \t \0"],
            ),
        ] {
            assert!(matches!(parse(text), Form::Exec(strings) if strings == expected), "{text}");
        }
        for element in ["42", "1.5", "{}", "[\"c\"]", "true", "null"] {
            assert!(matches!(parse(&format!("[\"a\",{element},\"b\"]")), Form::NotStrings(2)), "{element}");
        }
        for text in ["['a']", "[\"a\"", "[\"a\"] #", "a", "[“a”]", "[ -f x ]"] {
            assert!(matches!(parse(text), Form::Text), "{text}");
        }
    }

    #[test]
    fn flaws_point_at_the_character() {
        for (text, paths, expected) in [
            ("[\"a\"，\"b\"]", false, Some("，")),
            ("[“a”]", false, Some("“")),
            ("[ “a”，“b” ]", false, Some("“")),
            ("['a', 'b']", false, Some("'")),
            ("[\"a\", 'b']", true, Some("'")),
            ("【\"a\"】", false, Some("【")),
            ("[\"a\"] # say", false, Some("#")),
            ("[\"a\", b]", false, Some("b")),
            ("[echo, hi]", false, Some("e")),
            ("[ -f x ] && y", false, None),
            ("[ \"$a\" = b ] && y", false, None),
            ("[a-z]*.txt /x/", true, None),
            ("[\"a\" \"b\"]", true, Some("\"")),
        ] {
            assert_eq!(flaw(text, paths).map(|flaw| &text[flaw.at]), expected, "{text}");
        }
    }
}
