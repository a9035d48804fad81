//! Cuts the text of an instruction into words, as byte ranges: quotes and escapes stay for the expansion to deal with.

use std::ops::Range;

/// What separates words where quotes mean nothing.
fn is_separator(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0b' | '\x0c' | '\r')
}

/// The first word of `text[range]` and the rest, which is trimmed on its left.
pub(crate) fn first(text: &str, range: Range<usize>) -> (Range<usize>, Range<usize>) {
    let slice = &text[range.clone()];
    let end = range.start + slice.find(is_separator).unwrap_or(slice.len());
    let rest = text[end..range.end].trim_start_matches(is_separator);
    (range.start..end, range.end - rest.len()..range.end)
}

/// All words of `text[range]`; quotes mean nothing.
pub(crate) fn plain(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut rest = range;
    while !rest.is_empty() {
        let word;
        (word, rest) = first(text, rest);
        if !word.is_empty() {
            words.push(word);
        }
    }
    words
}

/// All words of `text[range]`, where white space inside quotes or after the escape character belongs to the word.
pub(crate) fn quoted(text: &str, range: Range<usize>, escape: char) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let slice = &text[at..range.end];
        let start = at + slice.len() - slice.trim_start().len();
        if start == range.end {
            break;
        }
        let word = quoted_word(text, start..range.end, escape);
        at = word.end;
        // A lone escape character at the very end is nothing.
        let trailing = text[word.clone()].ends_with(escape) && word.end == range.end && is_lone(text, &word, escape);
        let end = if trailing { word.end - escape.len_utf8() } else { word.end };
        if end > word.start {
            words.push(word.start..end);
        }
    }
    words
}

/// Is the escape character at the end of the word not itself escaped, nor inside single quotes?
fn is_lone(text: &str, word: &Range<usize>, escape: char) -> bool {
    let (mut quote, mut lone) = (None, false);
    let mut characters = text[word.clone()].chars();
    while let Some(character) = characters.next() {
        lone = false;
        match quote {
            Some(open) if character == open => quote = None,
            Some('\'') => {}
            _ if character == escape => lone = characters.next().is_none(),
            None if character == '\'' || character == '"' => quote = Some(character),
            _ => {}
        }
    }
    lone
}

/// The word that begins `text[range]`, which does not begin with white space.
pub(crate) fn quoted_word(text: &str, range: Range<usize>, escape: char) -> Range<usize> {
    let mut quote = None;
    let mut characters = text[range.clone()].char_indices();
    while let Some((offset, character)) = characters.next() {
        match quote {
            Some(open) if character == open => quote = None,
            Some('\'') => {}
            _ if character == escape => {
                characters.next();
            }
            Some(_) => {}
            None if character.is_whitespace() => return range.start..range.start + offset,
            None if character == '\'' || character == '"' => quote = Some(character),
            None => {}
        }
    }
    range
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, ranges: Vec<Range<usize>>) -> Vec<&str> {
        ranges.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn quotes_and_escapes_hold_words_together() {
        for (text, expected) in [
            ("foo bar 'abc xyz'", &["foo", "bar", "'abc xyz'"][..]),
            (r"foo\ bar", &[r"foo\ bar"]),
            (r#"a="b \" c" d"#, &[r#"a="b \" c""#, "d"]),
            (r"a='b\' c", &[r"a='b\'", "c"]),
            (r"a b\", &["a", "b"]),
            (r"a \", &["a"]),
            (r"a b\\", &["a", r"b\\"]),
            ("föo \u{3000}'x", &["föo", "'x"]),
            ("", &[]),
        ] {
            assert_eq!(texts(text, quoted(text, 0..text.len(), '\\')), expected, "{text}");
        }
    }

    #[test]
    fn plain_words_know_no_quotes() {
        let text = "'a  b' c\t";
        assert_eq!(texts(text, plain(text, 0..text.len())), ["'a", "b'", "c"]);
    }
}
