//! RUN.

use super::Input;
use crate::diagnostic::quoted;
use crate::flags::{Flags, Takes};
use crate::{Diagnostic, Mount, Program, Run, Word, closest, heredoc};

pub(super) fn parse(input: &mut Input<'_>) -> Result<Run, Diagnostic> {
    let known =
        [("device", Takes::Values), ("mount", Takes::Values), ("network", Takes::Value), ("security", Takes::Value)];
    let mut flags = Flags::check(input, &known);
    input.require_arguments("command")?;
    let mut mounts = Vec::new();
    for word in flags.values("mount") {
        match mount(&word) {
            Ok(mount) => mounts.push(mount),
            Err(problem) => input.problems.push(problem),
        }
    }
    let network = flags.value("network");
    let security = flags.value("security");
    for (flag, value, known) in
        [("network", &network, &["default", "none", "host"][..]), ("security", &security, &["sandbox", "insecure"])]
    {
        if let Some(value) = value.as_ref().filter(|value| !value.contains('$')) {
            check_choice(input, &format!("--{flag}"), value, known);
        }
    }
    Ok(Run { program: program(input)?, mounts, network, security, devices: flags.values("device") })
}

fn check_choice(input: &mut Input<'_>, what: &str, value: &Word, known: &[&str]) {
    if known.iter().any(|choice| value.eq_ignore_ascii_case(choice)) {
        return;
    }
    let hint = match closest(value, known.iter().copied()) {
        Some(guess) => format!("did you mean {guess}?"),
        None => format!("known are {}", known.join(", ")),
    };
    let message = format!("{what} cannot be {}", quoted(value));
    input.problems.push(Diagnostic::error("invalid-flag-value", value.span, message).hint(hint));
}

fn program(input: &mut Input<'_>) -> Result<Program, Diagnostic> {
    let text = input.text();
    if let [first, ..] = &input.heredocs[..] {
        // A heredoc and nothing else: its content is the script. Otherwise the shell gets the heredocs as they are.
        if !matches!(heredoc::announced(text), Ok(Some(_))) {
            let bodies = input.heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.body, heredoc.name));
            return Ok(Program::Shell(text.to_owned() + &bodies.collect::<String>()));
        }
        let content = first.content();
        return Ok(if content.starts_with("#!") { Program::Script(content) } else { Program::Shell(content) });
    }
    match input.exec_form(input.arguments.clone())? {
        Some(arguments) if arguments.is_empty() => {
            Err(Diagnostic::error("missing-argument", input.arguments_span(), "RUN needs a program")
                .hint("e.g. RUN [\"program\", \"argument\"]"))
        }
        Some(arguments) => Ok(Program::Exec(arguments)),
        None => Ok(Program::Shell(text.to_owned())),
    }
}

const MOUNT_KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
];
const MOUNT_FLAGS: [&str; 5] = ["readonly", "ro", "readwrite", "rw", "required"];
const MOUNT_TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

fn mount(word: &Word) -> Result<Mount, Diagnostic> {
    let error = |message: String, hint: String| Err(Diagnostic::error("invalid-mount", word.span, message).hint(hint));
    let Some(fields) = comma_separated(word) else {
        return error("a double quote is out of place".to_owned(), "quote whole fields: \"target=/a,b\"".to_owned());
    };
    let mut options = Vec::with_capacity(fields.len());
    for field in fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
            None => (field.to_lowercase(), None),
        };
        if !MOUNT_KEYS.contains(&key.as_str()) {
            let hint = match closest(&key, MOUNT_KEYS) {
                Some(guess) => format!("did you mean {guess}?"),
                None => format!("known are {}", MOUNT_KEYS.join(", ")),
            };
            return error(format!("unknown mount option {}", quoted(&key)), hint);
        }
        match &value {
            None if !MOUNT_FLAGS.contains(&key.as_str()) => {
                return error(format!("the mount option {key} needs a value"), format!("write {key}=VALUE"));
            }
            Some(value) if key == "type" && !value.contains('$') => {
                if !MOUNT_TYPES.iter().any(|known| value.eq_ignore_ascii_case(known)) {
                    let hint = format!("known are {}", MOUNT_TYPES.join(", "));
                    return error(format!("unknown mount type {}", quoted(value)), hint);
                }
            }
            _ => {}
        }
        options.push((key, value));
    }
    Ok(Mount { options, span: word.span })
}

/// The fields of one line of CSV; None where a double quote stands where it cannot.
fn comma_separated(text: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let Some(mut inside) = rest.strip_prefix('"') else {
            let (field, after) = match rest.split_once(',') {
                Some((field, after)) => (field, Some(after)),
                None => (rest, None),
            };
            if field.contains('"') {
                return None;
            }
            fields.push(field.to_owned());
            match after {
                Some(after) => rest = after,
                None => return Some(fields),
            }
            continue;
        };
        let mut field = String::new();
        loop {
            let (part, after) = inside.split_once('"')?;
            field.push_str(part);
            match after.strip_prefix('"') {
                Some(doubled) => {
                    field.push('"');
                    inside = doubled;
                }
                None => {
                    inside = after;
                    break;
                }
            }
        }
        fields.push(field);
        if inside.is_empty() {
            return Some(fields);
        }
        rest = inside.strip_prefix(',')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_csv() {
        for (text, expected) in [
            ("a=1,b", Some(&["a=1", "b"][..])),
            ("\"a=1,2\",b", Some(&["a=1,2", "b"])),
            ("\"a=\"\"x\"\"\"", Some(&["a=\"x\""])),
            ("a,", Some(&["a", ""])),
            ("", Some(&[""])),
            ("a\"b", None),
            ("\"a\"b", None),
            ("\"a", None),
        ] {
            let fields = comma_separated(text);
            assert_eq!(
                fields.as_deref(),
                expected.map(|e| e.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).as_deref(),
                "{text}"
            );
        }
    }
}
