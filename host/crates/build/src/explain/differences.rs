//! What differs between a key and the components of a record, in words.

use std::collections::{BTreeMap, BTreeSet};

use super::{Below, Difference, words};
use crate::key::Key;
use crate::record::Record;
use crate::state::State;

/// All but the files of a COPY or ADD. `producer` is the step that the record stood on the result of.
pub(super) fn of(key: &Key, record: &Record, state: &State, producer: Option<String>) -> Vec<Difference> {
    let mut names: Vec<&str> = key.components().iter().map(|(name, _)| *name).collect();
    names.extend(record.components.iter().map(|(name, _)| name.as_str()).filter(|name| key.get(name).is_none()));
    names.retain(|name| key.get(name) != record.get(name) && *name != "files");
    // The step's own text first, what it stands on last: the cause of that lies elsewhere.
    names.sort_by_key(|name| match *name {
        "command" | "instruction" => 0,
        "parent" => 2,
        _ => 1,
    });
    let difference = |name: &str| match name {
        "parent" => Difference::Below(below(state, producer.clone())),
        _ => Difference::Component {
            name: name.to_owned(),
            text: component(name, record.get(name).unwrap_or("none"), key.get(name).unwrap_or("none")),
        },
    };
    names.into_iter().map(difference).collect()
}

fn below(state: &State, producer: Option<String>) -> Below {
    match (state.disturbed, producer) {
        (Some(number), _) => Below::Step { number },
        (None, Some(after)) => Below::Moved { after },
        (None, None) => Below::Base,
    }
}

fn component(name: &str, was: &str, is: &str) -> String {
    let what = match name {
        "command" => {
            let (was_text, is_text) = (words::command(was), words::command(is));
            // Where the texts are the same, it is the shell that differs.
            return match was_text == is_text {
                true => changed("the command line", was, is),
                false => changed("the command", &was_text, &is_text),
            };
        }
        "environment" => return format!("the environment differs: {}", environment(was, is)),
        "tools" => return "kiln's own shell and tools are others".to_owned(),
        "configuration" => return format!("the configuration it adds to has another {}", fields(was, is)),
        "version" => return "it was made by another version of kiln".to_owned(),
        "directory" => "the working directory",
        "clock" => "the wall clock",
        "executor" | "instruction" | "network" | "platform" | "user" => &format!("the {name}"),
        other => other,
    };
    changed(what, was, is)
}

fn changed(what: &str, was: &str, is: &str) -> String {
    let (was, is) = words::cut_both(was, is);
    format!("{what} was `{was}`, is `{is}`")
}

/// The fields of two configurations that differ, as image configurations name them.
fn fields(was: &str, is: &str) -> String {
    let map = |text: &str| serde_json::from_str::<BTreeMap<String, String>>(text).unwrap_or_default();
    let (was, is) = (map(was), map(is));
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).filter(|name| was.get(*name) != is.get(*name)).collect();
    names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// `+NAME=value`, `-NAME`, `NAME: a → b`, or that only the order differs.
fn environment(was: &str, is: &str) -> String {
    let lines = |list: &str| serde_json::from_str::<Vec<String>>(list).unwrap_or_default();
    let (was, is) = (lines(was), lines(is));
    let map = |lines: &[String]| -> BTreeMap<String, String> {
        let split = lines.iter().map(|line| line.split_once('=').unwrap_or((line, "")));
        split.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let (before, now) = (map(&was), map(&is));
    let removed = before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("-{name}"));
    let others = now.iter().filter_map(|(name, value)| match before.get(name) {
        None => Some(format!("+{name}={}", words::cut(value))),
        Some(old) if old != value => Some(changed(name, old, value)),
        Some(_) => None,
    });
    let all: Vec<String> = removed.chain(others).collect();
    if all.is_empty() { "the same variables in another order".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_differ_in_words() {
        for (name, was, is, words) in [
            ("command", r#"["/bin/sh","-c","a"]"#, r#"["/bin/sh","-c","b"]"#, "the command was `a`, is `b`"),
            (
                "command",
                r#"["/bin/sh","-c","a"]"#,
                r#"["/bin/sh","-e","-c","a"]"#,
                r#"the command line was `["/bin/sh","-c","a"]`, is `["/bin/sh","-e","-c","a"]`"#,
            ),
            ("user", "0:0 []", "7:7 []", "the user was `0:0 []`, is `7:7 []`"),
            (
                "executor",
                "linux/amd64+ns.v1",
                "wasip1+kiln.v1",
                "the executor was `linux/amd64+ns.v1`, is `wasip1+kiln.v1`",
            ),
            ("platform", "linux/amd64", "linux/arm64", "the platform was `linux/amd64`, is `linux/arm64`"),
            ("clock", "none", "7", "the wall clock was `none`, is `7`"),
            ("mount /x", "none", "cache", "mount /x was `none`, is `cache`"),
            (
                "configuration",
                r#"{"Cmd":"1","Env":"1","User":"1"}"#,
                r#"{"Env":"2","Labels":"1","User":"1"}"#,
                "the configuration it adds to has another Cmd, Env, Labels",
            ),
        ] {
            assert_eq!(component(name, was, is), words);
        }
    }

    #[test]
    fn variables_are_compared_one_by_one() {
        for (was, is, words) in [
            (r#"["A=1"]"#, r#"["A=1","B=2"]"#, "+B=2"),
            (r#"["A=1","B=2"]"#, r#"["A=1"]"#, "-B"),
            (r#"["A=1"]"#, r#"["A=2"]"#, "A was `1`, is `2`"),
            (r#"["A=1","B=2"]"#, r#"["B=2","A=1"]"#, "the same variables in another order"),
        ] {
            assert_eq!(environment(was, is), words);
        }
    }
}
