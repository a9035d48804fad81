//! What is refused, and how it is told.

use kiln_build::Error;
use kiln_image::ImageConfig;

use crate::support::Bench;

#[test]
fn every_problem_is_told_at_once() {
    let bench = Bench::new();
    let outcome = bench.build("FROM scratch\nEXPOSE x\nCOPY --from=later a b\nRUN --device=gpu write\nFROM scratch AS later\nCOPY --from=0 / /\n");
    let Err(Error::Dockerfile(problems)) = outcome.result else { panic!("the build succeeded") };
    let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["bad-port", "unknown-stage", "not-supported"]);
    assert!(bench.executed().is_empty());
    // A name like a stage's may be that of an image that can be pulled.
    for (rest, code) in [("", "unknown-source"), ("EXPOSE x\n", "bad-port")] {
        let text = format!("FROM scratch AS first\nFROM scratch\nCOPY --from=frist a b\n{rest}");
        let Err(Error::Dockerfile(problems)) = bench.build(&text).result else { panic!("the build succeeded") };
        assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [code]);
    }
}

#[test]
fn a_failed_command_names_itself_its_code_and_its_output() {
    let bench = Bench::new();
    let outcome = bench.build("FROM scratch\nRUN write /a 1\nRUN fail 7\n");
    let Err(Error::Step(failure)) = outcome.result else { panic!("the build succeeded") };
    assert_eq!((failure.command.as_str(), failure.code), ("/bin/sh -c fail 7", 7));
    let before = failure.before.expect("a step was done");
    assert_eq!(bench.files(before), ["644 0:0 a: 1"]);
}

#[test]
fn output_is_passed_on() {
    let bench = Bench::new();
    assert_eq!(bench.build("FROM scratch\nRUN say hello you\n").output, "hello you\n");
}

#[test]
fn targets_and_images_that_are_not_there() {
    let bench = Bench::new();
    let mut request = bench.request("FROM scratch AS one\nLABEL a=b\nFROM scratch AS two\nLABEL a=b\n");
    request.target = Some("three".to_owned());
    assert_eq!(bench.run(&request).error(), "stage `three` is not in the Dockerfile; it has: one, two");
    assert!(bench.build("FROM nowhere\n").error().contains("base image `nowhere`"));
    // What stands on a stage that is wrong is told of that stage.
    let Err(Error::Dockerfile(problems)) = bench.build("FROM nowhere AS a\nFROM a\nLABEL a=b\n").result else {
        panic!("the build succeeded")
    };
    assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["image-not-found"]);
    assert!(bench.build("FROM $NOTHING\n").error().contains("`$NOTHING` expands to nothing"));
    assert!(bench.build("FROM scratch\nSTOPSIGNAL FOO\n").error().contains("`FOO` is not a signal"));
    // A stage that is not needed may be as wrong as it likes.
    bench.build("FROM nowhere\nFROM scratch\nLABEL a=b\n").id();
}

#[test]
fn a_failure_in_one_stage_ends_the_others() {
    let bench = Bench::new();
    let outcome = bench.build(
        "FROM scratch AS a\nRUN fail 3\nFROM scratch AS b\nCOPY --from=a /x /x\nFROM scratch\nCOPY --from=b /x /x\n",
    );
    let Err(Error::Step(failure)) = outcome.result else { panic!("the failing step is what is told") };
    assert_eq!(failure.code, 3);
    assert_eq!(
        outcome.steps,
        ["done FROM scratch AS a", "failed RUN fail 3", "done FROM scratch AS b", "done FROM scratch"]
    );
}

#[test]
fn the_platform_that_is_asked_for_is_the_one_that_is_built() {
    let bench = Bench::new();
    let mut request = bench.request("FROM scratch\nLABEL a=b\n");
    request.platform = Some("linux/arm64".parse().expect("a platform"));
    request.tags = vec!["base".parse().expect("a name")];
    assert_eq!(bench.config(bench.run(&request).id()).architecture, "arm64");
    let asked = bench.build("FROM base\nLABEL c=d\n");
    assert!(asked.error().contains("is for linux/arm64, not for linux/amd64"), "{}", asked.error());
    let mut request = bench.request("FROM base\nLABEL c=d\n");
    request.platform = None;
    assert_eq!(bench.config(bench.run(&request).id()).architecture, "arm64");
}

#[test]
fn an_image_of_an_older_name_for_wasi_serves_and_is_renamed() {
    let bench = Bench::new();
    let mut config = ImageConfig::default();
    (config.os, config.architecture) = ("wasi".to_owned(), "wasm32".to_owned());
    config.rootfs.kind = "layers".to_owned();
    let base = bench.store().add_image(&config, None, false).expect("kept");
    bench.store().tag(&base, &"old:1".parse().expect("a name")).expect("tagged");
    for platform in ["wasip1/wasm", "wasi/wasm", "wasm"] {
        let built = bench.build(&format!("FROM --platform={platform} old:1\nLABEL a=b\n"));
        let config = bench.config(built.id());
        assert_eq!((config.os.as_str(), config.architecture.as_str()), ("wasip1", "wasm"), "{platform}");
    }
    let refused = bench.build("FROM --platform=wasip2/wasm old:1\n");
    assert!(refused.error().contains("is for wasip1/wasm, not for wasip2/wasm"), "{}", refused.error());
    // Nothing was added: it is the base itself.
    assert_eq!(bench.build("FROM --platform=wasip1/wasm old:1\n").id(), base);
}

#[test]
fn ids_are_not_written_with_a_few_digits() {
    let bench = Bench::new();
    let id = bench.build("FROM scratch\nLABEL a=b\n").id();
    bench.build(&format!("FROM {}\nLABEL c=d\n", id.short())).id();
    let prefix = &id.hex()[..4];
    assert!(bench.build(&format!("FROM {prefix}\nLABEL c=d\n")).error().contains("No such image"));
}

#[test]
fn what_a_trigger_does_wrong_is_told_at_its_from() {
    let bench = Bench::new();
    for trigger in ["COPY no-such /", "RUN --mount=source=no-such,target=/m true"] {
        let mut request = bench.request(&format!("FROM scratch\nONBUILD {trigger}\n"));
        request.tags = vec!["parent".parse().expect("a name")];
        bench.run(&request).id();
        let text = "# the line of a trigger is none of this file\nFROM parent\nLABEL a=b\n";
        let Err(Error::Instruction(problem)) = bench.build(text).result else { panic!("the build succeeded") };
        assert_eq!((problem.code, &text[problem.span.start..problem.span.end]), ("copy-not-found", "FROM parent"));
    }
}

#[test]
fn a_history_that_no_tool_would_read_is_refused_before_anything_is_done() {
    let bench = Bench::new();
    bench.file("a", "a");
    for line in ["LABEL a=b\n", "COPY a /\n", "RUN write /a 1\n"] {
        // Two stages have a half each.
        let half = line.repeat(50_000);
        let text = format!("FROM scratch AS before\nRUN write /first 1\n{half}FROM before\n{half}");
        let result = bench.build(&text).result;
        let Err(Error::Dockerfile(problems)) = result else { panic!("{line}: the build succeeded") };
        let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, ["history-too-long"], "{line}");
    }
    assert!(bench.executed().is_empty());
}

#[test]
fn a_flag_with_nothing_behind_it_is_none_and_one_that_expands_to_nothing_is_wrong() {
    let bench = Bench::new();
    bench.file("a", "a");
    let id = bench.build("FROM --platform= scratch\nCOPY --from= --chmod=644 a /\n").id();
    assert_eq!(bench.files(id), ["644 0:0 a: a"]);
    for text in ["FROM --platform=$NOTHING scratch\nLABEL a=b\n", "FROM scratch\nCOPY --from=$NOTHING a /\n"] {
        let error = bench.build(text).error();
        assert!(error.contains("`$NOTHING` expands to nothing"), "{error}");
    }
}
