//! Instructions that are written in a way one should avoid.

use super::Lint;
use super::rules::{
    JSON_ARGS_RECOMMENDED, LEGACY_KEY_VALUE_FORMAT, MAINTAINER_DEPRECATED, MULTIPLE_INSTRUCTIONS_DISALLOWED,
    WORKDIR_RELATIVE_PATH,
};
use crate::walk::At;
use crate::{Command, Instruction, Keyword, Kind, Span};
use std::collections::HashMap;

/// Where an instruction that counts only once was seen in this stage.
pub(super) type Used = HashMap<Keyword, Span>;

impl Lint<'_> {
    pub(super) fn maintainer(&mut self, instruction: &Instruction) {
        if let Kind::Maintainer(_) = &instruction.kind {
            let detail = "Maintainer instruction is deprecated in favor of using label";
            self.warn(&MAINTAINER_DEPRECATED, instruction.span, detail);
        }
    }

    pub(super) fn instruction(&mut self, at: &At<'_>, used: &mut Used) {
        let instruction = at.instruction;
        let span = instruction.span;
        let name = instruction.text.split_whitespace().next().unwrap_or_default();
        match &instruction.kind {
            Kind::Cmd(command) | Kind::Entrypoint(command) => {
                self.once(instruction.keyword(), name, span, used);
                if matches!(command, Command::Shell(_)) && !at.state.shell {
                    let detail = format!(
                        "JSON arguments recommended for {name} to prevent unintended behavior related to OS signals"
                    );
                    self.warn(&JSON_ARGS_RECOMMENDED, span, detail);
                }
            }
            Kind::Healthcheck(_) => self.once(Keyword::Healthcheck, name, span, used),
            Kind::Env(pairs) | Kind::Label(pairs) if pairs.iter().any(|pair| pair.legacy) => {
                let detail =
                    format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
                self.warn(&LEGACY_KEY_VALUE_FORMAT, span, detail);
            }
            Kind::Workdir(word) if !at.state.workdir_set => {
                let path = at.state.expand(word, at.globals).unwrap_or_default();
                if !path.starts_with('/') {
                    let detail =
                        format!("Relative workdir {path:?} can have unexpected results if the base image changes");
                    self.warn(&WORKDIR_RELATIVE_PATH, span, detail);
                }
            }
            _ => {}
        }
    }

    /// The earlier one is to blame: it has no effect.
    fn once(&mut self, keyword: Keyword, name: &str, span: Span, used: &mut Used) {
        if let Some(earlier) = used.insert(keyword, span) {
            let detail = format!(
                "Multiple {name} instructions should not be used in the same stage because only the last one will be \
                 used"
            );
            self.warn(&MULTIPLE_INSTRUCTIONS_DISALLOWED, earlier, detail);
        }
    }
}
