//! Names of stages, of rules and of the syntax.

use super::Lint;
use super::rules::{
    DUPLICATE_STAGE_NAME, KILN_NEWER_SYNTAX, KILN_UNKNOWN_RULE, RESERVED_STAGE_NAME, RULES, STAGE_NAME_CASING,
};
use crate::syntax::{Syntax, VERSION};
use crate::{Dockerfile, closest};
use std::collections::HashSet;

const RESERVED: [&str; 2] = ["context", "scratch"];

impl Lint<'_> {
    pub(super) fn names(&mut self, dockerfile: &Dockerfile) {
        let mut seen = HashSet::new();
        for stage in &dockerfile.stages {
            let Some(name) = stage.name() else { continue };
            self.local = self.options.with_comments(&stage.comments);
            let written = stage.text.split_whitespace().next_back().unwrap_or_default();
            if written != written.to_lowercase() {
                self.warn(&STAGE_NAME_CASING, stage.span, format!("Stage name '{written}' should be lowercase"));
            }
            if RESERVED.contains(&name) {
                let detail = format!("Stage name should not use the same name as reserved stage \"{name}\"");
                self.warn(&RESERVED_STAGE_NAME, stage.span, detail);
            }
            if !seen.insert(name) {
                let detail = format!("Duplicate stage name \"{name}\", stage names should be unique");
                self.warn(&DUPLICATE_STAGE_NAME, stage.span, detail);
            }
        }
        self.local = None;
    }

    /// A misspelt name is told; a name that is like none of ours may be a rule of a newer builder.
    pub(super) fn unknown_rules(&mut self, dockerfile: &Dockerfile) {
        let span = dockerfile.directives.check.as_ref().map(|word| word.span).unwrap_or_default();
        let options = self.options;
        for name in options.unknown() {
            if let Some(guess) = closest(name, RULES.iter().map(|rule| rule.name)) {
                self.warn(&KILN_UNKNOWN_RULE, span, format!("There is no rule {name} (did you mean {guess}?)"));
            }
        }
    }

    pub(super) fn newer_syntax(&mut self, dockerfile: &Dockerfile) {
        let Some(word) = &dockerfile.directives.syntax else { return };
        if self.facts.given.build_arg(crate::SYNTAX_ARG).is_none()
            && let Ok(Syntax { version: Some((major, minor)) }) = Syntax::parse(word)
            && (major, minor) > VERSION
        {
            let (own_major, own_minor) = VERSION;
            let detail = format!(
                "The file asks for Dockerfile syntax {major}.{minor}, and kiln has {own_major}.{own_minor}: what is new \
                 since then is not understood"
            );
            self.warn(&KILN_NEWER_SYNTAX, word.span, detail);
        }
    }
}
