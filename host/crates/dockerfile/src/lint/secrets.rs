//! Names of ARG and ENV that sound like secrets: their values stay in the image or its history.

use super::Lint;
use super::rules::SECRETS_USED_IN_ARG_OR_ENV;
use crate::{Instruction, Kind};

const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// What only speaks about a secret.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

impl Lint<'_> {
    pub(super) fn secrets(&mut self, instruction: &Instruction) {
        let (what, names): (_, Vec<&str>) = match &instruction.kind {
            Kind::Arg(arguments) => ("ARG", arguments.iter().map(|argument| &*argument.name.text).collect()),
            Kind::Env(pairs) => ("ENV", pairs.iter().map(|pair| &*pair.key.text).collect()),
            _ => return,
        };
        for name in names.into_iter().filter(|name| is_secret(name)) {
            let detail = format!("Do not use ARG or ENV instructions for sensitive data ({what} \"{name}\")");
            self.warn(&SECRETS_USED_IN_ARG_OR_ENV, instruction.span, detail);
        }
    }
}

/// One of the parts between underscores says so.
fn is_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_their_parts() {
        for name in ["password", "SUPER_Secret", "git_key", "auth", "API_TOKEN_2", "_key"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["PUBLIC_KEY", "secret_File", "AUTH_MODULE_VERSION", "KEYBOARD", "monkey", "passwords"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
