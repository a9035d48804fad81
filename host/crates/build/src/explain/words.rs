//! Components of keys, in words.

use std::collections::HashSet;

use crate::record::Record;

/// What a person calls the step: the command of a RUN without its shell, else the instruction.
pub(super) fn subject<'a>(component: impl Fn(&str) -> Option<&'a str>) -> String {
    match component("command") {
        Some(command) => self::command(command),
        None => component("instruction").or_else(|| component("directory")).unwrap_or_default().to_owned(),
    }
}

/// The instruction of a record, as far as its key tells.
pub(super) fn instruction(record: &Record) -> String {
    let subject = cut(&subject(|name| record.get(name)));
    match record.get("kind") {
        Some("run") => format!("RUN {subject}"),
        Some("workdir") => format!("WORKDIR /{}", subject.trim_start_matches('/')),
        _ => subject,
    }
}

/// A list of arguments: that of a shell is its last one.
pub(super) fn command(list: &str) -> String {
    let argv: Vec<String> = serde_json::from_str(list).unwrap_or_default();
    match &argv[..] {
        [shell, options @ .., text] if shell.ends_with("/sh") && options.last().is_some_and(|last| last == "-c") => {
            text.clone()
        }
        _ => argv.join(" "),
    }
}

/// Whether one text may be the other one after an edit: the first word is the same, and so are at least half of the longer
/// one, at both ends of both, or half of its other words, in any order.
pub(super) fn is_similar(a: &str, b: &str) -> bool {
    let (mut a_words, mut b_words) = (a.split_whitespace(), b.split_whitespace());
    a_words.next() == b_words.next() && (have_same_ends(a, b) || have_same_words(a_words.collect(), b_words.collect()))
}

fn have_same_ends(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() < b.len() { (a.as_bytes(), b.as_bytes()) } else { (b.as_bytes(), a.as_bytes()) };
    let front = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let back = short[front..].iter().rev().zip(long.iter().rev()).take_while(|(a, b)| a == b).count();
    (front + back) * 2 >= long.len()
}

fn have_same_words(a: Vec<&str>, b: Vec<&str>) -> bool {
    let most = a.len().max(b.len());
    let known: HashSet<&str> = a.into_iter().collect();
    let common = b.into_iter().collect::<HashSet<_>>().intersection(&known).count();
    common > 0 && common * 2 >= most
}

/// The beginning of a text that may be of any length, on one line.
pub(super) fn cut(text: &str) -> String {
    part(text, 0)
}

/// Of two texts as much as shows where they differ.
pub(super) fn cut_both(was: &str, is: &str) -> (String, String) {
    const BEFORE: usize = 40;
    let same = was.chars().zip(is.chars()).take_while(|(was, is)| was == is).count();
    let from = if same < LONGEST { 0 } else { same - BEFORE };
    (part(was, from), part(is, from))
}

const LONGEST: usize = 120;

fn part(text: &str, from: usize) -> String {
    let mut shown = if from > 0 { "…".to_owned() } else { String::new() };
    for (at, character) in text.chars().skip(from).enumerate() {
        match character {
            _ if at == LONGEST => {
                shown.push('…');
                break;
            }
            control if control.is_control() => shown.extend(control.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_told_from_another_command() {
        for (a, b, similar) in [
            ("make install", "make install", true),
            ("make install", "make install -j4", true),
            ("apt-get install -y curl", "apt-get install -y wget", true),
            ("echo 1 > /first", "echo 2 > /first", true),
            ("ENV A=1 B=2", "ENV B=2 A=1", true),
            ("ENV FIRST=1", "ENV SECOND=2", false),
            ("make", "cargo build", false),
            ("LABEL a=b", "ENV a=b", false),
            ("echo a", "echo something else entirely", false),
            ("", "", true),
        ] {
            assert_eq!(is_similar(a, b), similar, "{a} and {b}");
            assert_eq!(is_similar(b, a), similar, "{b} and {a}");
        }
    }

    #[test]
    fn a_command_is_shown_without_its_shell() {
        for (list, shown) in [
            (r#"["/bin/sh","-c","echo a"]"#, "echo a"),
            (r#"["/.kiln/bin/sh","-e","-c","echo a"]"#, "echo a"),
            (r#"["/bin/sh","script"]"#, "/bin/sh script"),
            (r#"["cp","a","b"]"#, "cp a b"),
            ("garbage", ""),
        ] {
            assert_eq!(command(list), shown);
        }
    }

    #[test]
    fn long_texts_are_cut_where_they_differ() {
        let same = "x".repeat(LONGEST);
        assert_eq!(cut_both("a\nb", "a\tb"), ("a\\nb".to_owned(), "a\\tb".to_owned()));
        let before = "x".repeat(40);
        assert_eq!(
            cut_both(&format!("{same}1"), &format!("{same}2{same}")),
            (format!("…{before}1"), format!("…{before}2{}…", "x".repeat(LONGEST - 41)))
        );
        assert_eq!(cut_both("short", &same), ("short".to_owned(), same.clone()));
        assert_eq!(cut(&format!("{same}x")), format!("{same}…"));
    }
}
