//! Capitals: of instructions, and of AS beside FROM.

use super::Lint;
use super::rules::{CONSISTENT_INSTRUCTION_CASING, FROM_AS_CASING};
use crate::{Dockerfile, Span};

impl Lint<'_> {
    pub(super) fn casing(&mut self, dockerfile: &Dockerfile) {
        let all = || {
            dockerfile.stages.iter().flat_map(|stage| {
                let own = stage.instructions.iter().map(|each| (each.text.as_str(), each.span, &each.comments));
                std::iter::once((stage.text.as_str(), stage.span, &stage.comments)).chain(own)
            })
        };
        let lower = all().filter(|(text, ..)| is_lower(keyword(text))).count();
        let upper = all().filter(|(text, ..)| is_upper(keyword(text))).count();
        let (expected, word): (fn(&str) -> bool, _) =
            if lower > upper { (is_lower, "lowercase") } else { (is_upper, "uppercase") };
        for (text, span, comments) in all().filter(|(text, ..)| !expected(keyword(text))) {
            self.local = self.options.with_comments(comments);
            let detail = format!("Command '{}' should match the case of the command majority ({word})", keyword(text));
            self.warn(&CONSISTENT_INSTRUCTION_CASING, span, detail);
        }
        for stage in dockerfile.stages.iter().filter(|stage| stage.from.name.is_some()) {
            self.local = self.options.with_comments(&stage.comments);
            self.keyword_as(&stage.text, stage.span);
        }
        self.local = None;
    }

    fn keyword_as(&mut self, text: &str, span: Span) {
        let from = keyword(text);
        let Some(word) = text.split_whitespace().nth_back(1) else { return };
        let differs = is_lower(from) && !is_lower(word) || is_upper(from) && !is_upper(word);
        if differs {
            self.warn(&FROM_AS_CASING, span, format!("'{word}' and '{from}' keywords' casing do not match"));
        }
    }
}

fn keyword(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

fn is_lower(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn is_upper(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_uppercase())
}
