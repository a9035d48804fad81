//! Whatever is given to the parser: no panic, spans that lie in the text, time that grows with the text only.

#![expect(clippy::unwrap_used, reason = "a test")]

use kiln_dockerfile::{Diagnostic, Dockerfile, Kind, Program, Source, Span, Word, parse, parse_instruction};
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn lies_in(span: Span, text: &[u8]) {
    assert!(span.start <= span.end && span.end <= text.len(), "{span:?} in {} bytes", text.len());
    // A byte that continues a character of UTF-8 cannot begin anything; where the text is not UTF-8, anything can.
    let splits = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    assert!(
        !splits(span.start) && !splits(span.end) || std::str::from_utf8(text).is_err(),
        "{span:?} splits a character"
    );
}

fn words(kind: &Kind) -> Vec<&Word> {
    match kind {
        Kind::Env(pairs) | Kind::Label(pairs) => pairs.iter().flat_map(|pair| [&pair.key, &pair.value]).collect(),
        Kind::Arg(arguments) => arguments.iter().flat_map(|arg| [&arg.name].into_iter().chain(&arg.default)).collect(),
        Kind::Expose(words) | Kind::Volume(words) => words.iter().collect(),
        Kind::User(word) | Kind::Workdir(word) | Kind::StopSignal(word) | Kind::Maintainer(word) => vec![word],
        Kind::Copy(copy) => {
            let paths = copy.transfer.sources.iter().filter_map(|source| match source {
                Source::Path(word) => Some(word),
                Source::Inline(_) => None,
            });
            paths.chain([&copy.transfer.destination]).chain(&copy.from).chain(&copy.transfer.chown).collect()
        }
        _ => Vec::new(),
    }
}

fn check(text: &[u8]) -> Result<Dockerfile, Vec<Diagnostic>> {
    let result = parse(text, "Dockerfile");
    for problem in result.as_ref().err().into_iter().flatten() {
        lies_in(problem.span, text);
        assert!(!problem.message.ends_with('.') && !problem.message.contains('\n'), "{problem:?}");
    }
    for warning in result.iter().flat_map(|dockerfile| &dockerfile.warnings) {
        lies_in(warning.span, text);
        assert!(!warning.detail.ends_with('.') && !warning.detail.contains('\n'), "{warning:?}");
    }
    for stage in result.iter().flat_map(|dockerfile| &dockerfile.stages) {
        lies_in(stage.span, text);
        lies_in(stage.from.image.span, text);
        for instruction in &stage.instructions {
            lies_in(instruction.span, text);
            for word in words(&instruction.kind) {
                lies_in(word.span, text);
                assert!(instruction.span.start <= word.span.start && word.span.end <= instruction.span.end);
            }
        }
    }
    result
}

/// Pieces of Dockerfiles, so that random texts get past the first word.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "FROM a\n",
        "FROM a AS b\n",
        "RUN ",
        "COPY ",
        "ADD ",
        "ENV ",
        "ARG ",
        "LABEL ",
        "CMD ",
        "SHELL ",
        "EXPOSE ",
        "VOLUME ",
        "USER ",
        "HEALTHCHECK ",
        "ONBUILD ",
        "--from=x ",
        "--mount=type=cache,target=/x ",
        "--interval=5s ",
        "--chmod=755 ",
        "[\"a\",\"b\"]",
        "[“a”，",
        "['a']",
        "<<EOF",
        "<<-'E F'",
        "\nEOF\n",
        "\n",
        "\r\n",
        "\\\n",
        "`\n",
        "# escape=`\n",
        "# syntax=x\n",
        "# kiln:executor=wasi\n",
        "#",
        " ",
        "\t",
        "=",
        "$a",
        "${a:-b}",
        "'",
        "\"",
        "\\",
        "\u{feff}",
        "\u{3000}",
        "é",
        "a b ",
        "NONE",
        "CMD x",
    ]);
    prop_oneof![8 => fixed.prop_map(str::to_owned), 1 => "\\PC{0,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(text: Vec<u8>) {
        let _ = check(&text);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..30)) {
        let text = pieces.concat();
        let _ = check(text.as_bytes());
        let _ = check(format!("FROM a\n{text}").as_bytes());
        let _ = parse_instruction(&text);
    }

    /// A word without continuations is the text at its span.
    #[test]
    fn words_are_where_their_spans_say(
        names in prop::collection::vec("[a-zé]{1,5}", 1..5),
        blank in "[ \t]{1,3}",
    ) {
        let text = format!("FROM a\n  ENV{blank}{}", names.iter().map(|n| format!("{n}=\"x {n}\"")).collect::<Vec<_>>().join(&blank));
        let dockerfile = check(text.as_bytes()).unwrap();
        let found = words(&dockerfile.stages[0].instructions[0].kind);
        prop_assert_eq!(found.len(), 2 * names.len());
        for word in found {
            prop_assert_eq!(&text[word.span.range()], &word.text);
        }
    }
}

/// Generous: what is tested is that nothing grows with the square of the input.
fn is_quick(text: &str) -> Result<Dockerfile, Vec<Diagnostic>> {
    let begin = Instant::now();
    let result = check(text.as_bytes());
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?} for {} bytes", begin.elapsed(), text.len());
    result
}

#[test]
fn large_files_take_linear_time() {
    const LARGE: usize = 10_000_000;
    let long = is_quick(&format!("FROM a\nRUN echo {}", "x".repeat(LARGE))).unwrap();
    assert!(
        matches!(&long.stages[0].instructions[0].kind, Kind::Run(run) if matches!(&run.program, Program::Shell(text) if text.len() == LARGE + 5))
    );
    let many = is_quick(&format!("FROM a\n{}", "RUN [\"true\"]\nENV a=$b\n".repeat(50_000))).unwrap();
    assert_eq!(many.stages[0].instructions.len(), 100_000);
    let continued = is_quick(&format!("FROM a\nRUN a{}", " \\\n# c\n\n b".repeat(LARGE / 10))).unwrap();
    assert_eq!(continued.warnings.len(), 1);
    for unit in
        ["ENV a=b ", "<<a ", "a=\"", "${a:-", "--a=b ", "[\"a\",", "\\", "'", "x\n", "# kiln:executor=x\n", "${a/"]
    {
        let repeated = unit.repeat(LARGE / 10 / unit.len());
        for keyword in ["RUN", "ENV", "COPY", "ARG", "FROM", "ONBUILD COPY", ""] {
            let _ = is_quick(&format!("FROM a\n{keyword} {repeated}"));
        }
    }
}
