//! Comments that describe a stage or an argument: `# name what it is for`.

use super::Lint;
use super::rules::INVALID_DEFINITION_DESCRIPTION;
use crate::{Instruction, Kind, Span, Stage};

impl Lint<'_> {
    pub(super) fn stage_description(&mut self, stage: &Stage) {
        if let Some(name) = stage.name() {
            self.description("FROM", &[name], &stage.comments, stage.span);
        }
    }

    pub(super) fn arg_description(&mut self, instruction: &Instruction) {
        if let Kind::Arg(arguments) = &instruction.kind {
            let names: Vec<&str> = arguments.iter().map(|argument| argument.name.text.as_str()).collect();
            self.description("ARG", &names, &instruction.comments, instruction.span);
        }
    }

    fn description(&mut self, what: &str, names: &[&str], comments: &[String], span: Span) {
        let (Some(comment), [first, rest @ ..]) = (comments.last(), names) else { return };
        if names.contains(&comment.split(' ').next().unwrap_or_default()) {
            return;
        }
        let example = if rest.is_empty() { first } else { "<arg_key>" };
        let detail = format!("Comment for {what} should follow the format: `# {example} <description>`");
        self.warn(&INVALID_DEFINITION_DESCRIPTION, span, detail);
    }
}
