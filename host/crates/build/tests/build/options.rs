//! What a build is told beside the Dockerfile.

use std::fs;
use std::process::Command;

use kiln_build::{ContextMode, NamedContext, Secret};

use crate::support::{Bench, MEETING};

#[test]
fn the_finished_image_is_amended() {
    let bench = Bench::new();
    let text = "FROM scratch\nENV A=1 B=2\nVOLUME /data\nENTRYPOINT [\"e\"]\nCMD [\"c\"]\nLABEL a=1\n";
    let plain = bench.build(text);
    let mut request = bench.request(text);
    request.amendments.unset =
        ["env=A", "entrypoint", "volume=/data", "user"].map(|what| what.parse().expect("known")).to_vec();
    request.amendments.labels = vec![("a".to_owned(), "2".to_owned())];
    let amended = bench.run(&request);
    assert!(amended.steps.iter().all(|step| step.starts_with("hit ") || step.contains("FROM")), "{:?}", amended.steps);
    assert_eq!(
        amended.result.as_ref().expect("built").idle,
        ["--unset user has no effect: the image has no such thing"]
    );
    let (plain, amended) = (bench.config(plain.id()), bench.config(amended.id()));
    assert!(amended.config.env.as_deref().is_some_and(|env| env.iter().all(|line| !line.starts_with("A="))));
    assert_eq!((amended.config.entrypoint, amended.config.cmd), (None, plain.config.cmd));
    assert_eq!(amended.config.labels["a"], "2");
    assert!(amended.config.volumes.is_empty() && !plain.config.volumes.is_empty());
}

#[test]
fn a_stage_can_be_done_anew() {
    let bench = Bench::new();
    let text = "FROM scratch AS one\nRUN write /a 1\nFROM scratch AS two\nRUN write /b 2\nCOPY --from=one /a /a\n";
    bench.build(text);
    let mut request = bench.request(text);
    request.no_cache_filter = vec!["ONE".to_owned(), "three".to_owned()];
    let again = bench.run(&request);
    assert!(again.steps.contains(&"done RUN write /a 1".to_owned()), "{:?}", again.steps);
    assert!(again.steps.contains(&"hit RUN write /b 2".to_owned()), "{:?}", again.steps);
    let idle = &again.result.as_ref().expect("built").idle;
    assert_eq!(idle[..], ["--no-cache-filter three has no effect: no stage has that name"]);
}

#[test]
fn arguments_for_the_build_itself() {
    let bench = Bench::new();
    bench.file("sh", "of Linux");
    let given = [("BUILDKIT_SANDBOX_HOSTNAME", "ship"), ("BUILDKIT_INLINE_CACHE", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let run = |text: &str, build_args: &[(String, String)]| {
        let mut request = bench.request(text);
        request.build_args = build_args.to_vec();
        bench.run(&request)
    };
    for (text, again) in [
        ("FROM scratch\nCOPY --chmod=755 sh /bin/sh\nRUN nothing\n", "done RUN nothing"),
        ("FROM scratch\nRUN nothing\n", "hit RUN nothing"),
    ] {
        assert!(run(text, &[]).result.is_ok());
        let steps = run(text, &given).steps;
        assert!(steps.contains(&again.to_owned()), "only Linux programs see the machine's name: {steps:?}");
    }
    let named = run("FROM scratch\nRUN nothing\n", &given);
    let built = named.result.as_ref().expect("built");
    assert!(built.unconsumed.is_empty());
    assert!(built.idle[0].starts_with("--build-arg BUILDKIT_INLINE_CACHE has no effect"), "{:?}", built.idle);
    let wrong = [("BUILDKIT_SANDBOX_HOSTNAME".to_owned(), "two words".to_owned())];
    assert!(run("FROM scratch\n", &wrong).error().contains("no name of a host"));
}

#[test]
fn the_time_of_the_image() {
    let bench = Bench::new();
    bench.file("a", "a");
    let created = |text: &str, given: Option<&str>, epoch: Option<&str>, reproducible| {
        let mut request = bench.request(text);
        request.build_args.extend(given.map(|given| ("SOURCE_DATE_EPOCH".to_owned(), given.to_owned())));
        (request.epoch, request.reproducible) = (epoch.map(str::to_owned), reproducible);
        let built = bench.run(&request);
        built.result.as_ref().map(|built| bench.config(built.image).created.expect("set")).map_err(|_| built.error())
    };
    let own = "ARG SOURCE_DATE_EPOCH=5\nFROM scratch\nCOPY a /a\n";
    let none = "FROM scratch\nCOPY a /a\n";
    for (text, given, epoch, reproducible, seconds) in [
        (own, None, None, false, Some("05")),
        (own, None, None, true, Some("05")),
        (own, None, Some("6"), false, Some("06")),
        (own, Some("7"), Some("6"), false, Some("07")),
        (none, Some("7"), None, false, Some("07")),
        (none, None, None, true, Some("00")),
        (none, Some("context"), None, false, None),
        (own, None, Some("context"), false, None),
        (own, Some(""), None, false, None),
    ] {
        let created = created(text, given, epoch, reproducible).expect("built");
        match seconds {
            Some(seconds) => assert_eq!(created, format!("1970-01-01T00:00:{seconds}Z")),
            None => assert!(!created.starts_with("1970"), "{created}"),
        }
    }
    for (given, reason) in [
        ("yesterday", "neither a number nor a context"),
        ("-1", "not between 1970 and 9999"),
        ("253402300800", "not between 1970 and 9999"),
    ] {
        let refused = created(none, None, Some(given), false).expect_err("no time");
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn secrets_are_neither_said_nor_kept() {
    let bench = Bench::new();
    let run = |instruction: &str, allowed| {
        let mut request = bench.request(&format!("FROM scratch\n{instruction}\n"));
        request.secrets.insert("t".to_owned(), Secret::new(b"correct horse\n".to_vec()));
        request.allow_secret_in_layer = allowed;
        bench.run(&request)
    };
    assert_eq!(run("RUN say it is correct horse now", false).output, "it is *** now\n");
    let leak = "RUN --mount=type=secret,id=t,env=TOKEN env TOKEN /kept";
    let refused = run(leak, false);
    assert!(refused.error().contains("leaves the secret `t` in /kept"), "{}", refused.error());
    let named = run("RUN --mount=type=secret,id=t env HOME /correct horse", false);
    assert!(named.error().contains("leaves the secret `t` in /***"), "{}", named.error());
    assert!(run(leak, true).result.is_ok());
    assert!(run(leak, false).result.is_err(), "what was let through once is not reused");
    // Without the mount it is any text.
    assert!(run("RUN write /kept correct horse", false).result.is_ok());
}

#[test]
fn modes_as_git_has_them() {
    let bench = Bench::new();
    for (path, mode) in [("dir/program", 0o700), ("dir/text", 0o666), ("dir/tracked", 0o600)] {
        bench.file(path, path);
        #[cfg(unix)]
        fs::set_permissions(bench.context.join(path), std::os::unix::fs::PermissionsExt::from_mode(mode))
            .expect("ours");
    }
    let git = |args: &[&str]| {
        let git = Command::new("git").arg("-C").arg(&bench.context).args(args).output();
        git.is_ok_and(|output| output.status.success())
    };
    let tracks =
        git(&["init", "-q"]) && git(&["add", "dir/tracked"]) && git(&["update-index", "--chmod=+x", "dir/tracked"]);
    if !tracks {
        eprintln!("skipped: git is not installed");
        return;
    }
    let mut request = bench.request("FROM scratch\nCOPY dir /\nCOPY --from=other dir /other/\n");
    request.context_mode = ContextMode::Git;
    let source = request.context.clone().expect("a directory");
    request.named_contexts.push(("other".to_owned(), NamedContext::Files { source, ignore: None }));
    let files = bench.files(bench.run(&request).id());
    let modes: Vec<&str> = files.iter().map(|line| line.split(": ").next().expect("a part")).collect();
    for expected in
        ["755 0:0 program", "644 0:0 text", "755 0:0 tracked", "755 0:0 other/program", "755 0:0 other/tracked"]
    {
        assert!(modes.contains(&expected), "{expected} is not in {modes:?}");
    }
}

#[test]
fn from_scratch_alone_is_an_image() {
    let bench = Bench::new();
    let empty = bench.config(bench.build("FROM scratch\n").id());
    assert!(empty.rootfs.diff_ids.is_empty() && empty.history.is_empty());
}

#[test]
fn several_archives_go_to_one_place() {
    let bench = Bench::new();
    let tar = |name: &str| {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(1);
        tar.append_data(&mut header, name, &b"x"[..]).expect("into memory");
        tar.into_inner().expect("into memory")
    };
    for name in ["a", "b"] {
        fs::write(bench.context.join(format!("{name}.tar")), tar(name)).expect("ours");
    }
    bench.file("c.tar", "no archive");
    let files = |text: &str| bench.files(bench.build(text).id());
    assert_eq!(files("FROM scratch\nADD a.tar b.tar /d/\n").len(), 3);
    assert_eq!(files("FROM scratch\nADD [ab].tar /d\n"), ["755 0:0 d/", "644 0:0 d/a: x", "644 0:0 d/b: x"]);
    // What is no archive goes into the directory that the others have become.
    let mixed = files("FROM scratch\nADD *.tar /d\n");
    assert_eq!(mixed.last().map(String::as_str), Some("644 0:0 d/c.tar: no archive"), "{mixed:?}");
}

/// Steps that wait for each other, one for each stage, come to their end on any machine.
#[test]
fn native_steps_do_not_wait_for_a_processor() {
    let bench = Bench::new();
    bench.file("sh", "native");
    let stages: String = (0..MEETING).map(|number| format!("FROM base AS s{number}\nRUN meet {number}\n")).collect();
    let copies: String = (0..MEETING).map(|number| format!("COPY --from=s{number} /bin/sh /{number}\n")).collect();
    let built = bench.build(&format!("FROM scratch AS base\nCOPY sh /bin/sh\n{stages}FROM scratch\n{copies}"));
    assert_eq!(bench.count(built.id()), MEETING);
}
