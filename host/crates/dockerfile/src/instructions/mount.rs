//! The value of `RUN --mount=`: options separated by commas, as one line of CSV.

use crate::diagnostic::quoted;
use crate::{Diagnostic, Mount, Word, closest};

const KEYS: [&str; 19] = [
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
const FLAGS: [&str; 5] = ["readonly", "ro", "readwrite", "rw", "required"];

pub(super) fn parse(word: &Word) -> Result<Mount, Diagnostic> {
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
        if !KEYS.contains(&key.as_str()) {
            let hint = match closest(&key, KEYS) {
                Some(guess) => format!("did you mean {guess}?"),
                None => format!("known are {}", KEYS.join(", ")),
            };
            return error(format!("unknown mount option {}", quoted(&key)), hint);
        }
        if value.is_none() && !FLAGS.contains(&key.as_str()) {
            return error(format!("the mount option {key} needs a value"), format!("write {key}=VALUE"));
        }
        options.push((key, value));
    }
    let mount = Mount { options, span: word.span };
    // What variables will bring is known only while planning.
    if !mount.options.iter().any(|(_, value)| value.as_ref().is_some_and(|value| value.contains('$'))) {
        mount.resolve(&mut |value| Ok(value.to_owned()))?;
    }
    Ok(mount)
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
