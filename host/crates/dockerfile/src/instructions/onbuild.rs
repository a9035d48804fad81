//! ONBUILD.

use super::{Input, Parsed, split};
use crate::{Diagnostic, Instruction, Keyword, OnBuild};

pub(super) fn parse(input: &mut Input<'_>) -> Result<OnBuild, Diagnostic> {
    input.no_flags();
    input.require_arguments("RUN command")?;
    let line = input.line;
    let mut inner = split(line, input.arguments.clone(), input.escape, &mut *input.problems)?;
    if matches!(inner.keyword, Keyword::OnBuild | Keyword::From | Keyword::Maintainer) {
        let message = format!("{} cannot be kept for later by ONBUILD", inner.keyword);
        return Err(Diagnostic::error("invalid-onbuild", line.span(inner.keyword_at), message)
            .hint("ONBUILD keeps any instruction but FROM, MAINTAINER and ONBUILD"));
    }
    inner.heredocs = std::mem::take(&mut input.heredocs);
    let text = line.text[input.arguments.clone()].to_owned();
    let bodies = inner.heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.body, heredoc.name));
    let trigger = text.clone() + &bodies.collect::<String>();
    let span = inner.span();
    match super::parse(&mut inner)? {
        Parsed::Other(kind) => {
            let instruction = Instruction { text, span, line: line.number, executor: None, comments: Vec::new(), kind };
            Ok(OnBuild { trigger, instruction: Box::new(instruction) })
        }
        Parsed::From(from) => Err(Diagnostic::error("invalid-onbuild", from.image.span, "ONBUILD cannot keep FROM")),
    }
}
