//! Any bytes are read without a panic, and every span lies in them.

#![no_main]

use kiln_dockerfile::Span;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let lies_in = |span: Span| assert!(span.start <= span.end && span.end <= text.len(), "{span:?}");
    match kiln_dockerfile::parse(text, "Dockerfile") {
        Ok(dockerfile) => {
            for stage in &dockerfile.stages {
                lies_in(stage.span);
                stage.instructions.iter().for_each(|instruction| lies_in(instruction.span));
            }
        }
        Err(problems) => problems.iter().for_each(|problem| lies_in(problem.span)),
    }
    if let Ok(text) = std::str::from_utf8(text) {
        let _ = kiln_dockerfile::parse_instruction(text);
    }
});
