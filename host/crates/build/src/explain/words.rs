//! Components of keys, in words.

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

/// Whether one text may be the other one after an edit: at least half of the longer one is at both ends of both, and the
/// first word is the same.
pub(super) fn is_similar(a: &str, b: &str) -> bool {
    let first = |text: &str| text.split_whitespace().next().map(str::to_owned);
    let (short, long) = if a.len() < b.len() { (a.as_bytes(), b.as_bytes()) } else { (b.as_bytes(), a.as_bytes()) };
    let front = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let back = short[front..].iter().rev().zip(long.iter().rev()).take_while(|(a, b)| a == b).count();
    first(a) == first(b) && (front + back) * 2 >= long.len()
}

/// The beginning of a text that may be of any length.
pub(super) fn cut(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
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
}
