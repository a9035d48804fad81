//! Any bytes are read without a panic, every span lies in them, and the rules and the outline cope with what was read.

#![no_main]

use kiln_dockerfile::{BaseImage, Facts, Given, IgnoreFile, Span};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let lies_in = |span: Span| assert!(span.start <= span.end && span.end <= text.len(), "{span:?}");
    let (dockerfile, errors) = kiln_dockerfile::parse_all(text, "Dockerfile");
    errors.iter().for_each(|error| lies_in(error.span));
    for stage in &dockerfile.stages {
        lies_in(stage.span);
        stage.instructions.iter().for_each(|instruction| lies_in(instruction.span));
    }
    let platform = kiln_types::Platform::new("linux", "amd64");
    let given = Given {
        build_args: vec![("a".to_owned(), "b".to_owned())],
        target_platform: platform.clone(),
        build_platform: platform,
        target: None,
    };
    let ignore = IgnoreFile::parse(b"a\n*.b\n").expect("patterns");
    let bases = |name: &str, _: Option<&kiln_types::Platform>| (name.len() < 3).then(BaseImage::default);
    let facts = Facts { given: &given, bases: &bases, ignore: Some(&ignore), all_stages: true };
    if let Ok(findings) = kiln_dockerfile::lint(&dockerfile, &facts) {
        findings.warnings.iter().for_each(|warning| lies_in(warning.span));
    }
    let _ = kiln_dockerfile::check_syntax(&dockerfile, &given);
    let last = dockerfile.stages.len().saturating_sub(1);
    kiln_dockerfile::outline(&dockerfile, &given, &bases, last).args.iter().for_each(|arg| lies_in(arg.span));
    if let Ok(text) = std::str::from_utf8(text) {
        let _ = kiln_dockerfile::parse_instruction(text);
    }
});
