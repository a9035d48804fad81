//! What the image's configuration says afterwards.

use crate::support::Bench;

#[test]
fn instructions_end_in_the_configuration() {
    let bench = Bench::new();
    let built = bench.build(
        "FROM scratch\nMAINTAINER me\nENV A=1 B=\"two words\"\nENV A=$B\nLABEL x=y \"a b\"=c\nEXPOSE 80 53/udp 90-91\n\
         VOLUME /data /log\nUSER 7:8\nWORKDIR /a\nWORKDIR b\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/bash\", \"-c\"]\n\
         CMD echo $A\nHEALTHCHECK --interval=5s --retries=2 CMD check\nONBUILD RUN write /t 1\n",
    );
    let image = bench.config(built.id());
    let config = &image.config;
    assert_eq!(image.author, "me");
    assert_eq!(config.env.as_deref().expect("set")[1..], ["A=two words", "B=two words"]);
    assert_eq!(config.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["a b=c", "x=y"]);
    assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp", "90/tcp", "91/tcp"]);
    assert_eq!(config.volumes.keys().collect::<Vec<_>>(), ["/data", "/log"]);
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("7:8", "/a/b"));
    assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(config.cmd.as_deref().expect("set"), ["/bin/bash", "-c", "echo $A"]);
    let check = config.healthcheck.as_ref().expect("set");
    assert_eq!(
        (&check.test[..], check.interval, check.retries),
        (&["CMD-SHELL".to_owned(), "check".to_owned()][..], 5_000_000_000, 2)
    );
    assert_eq!(config.on_build.as_deref().expect("set"), ["RUN write /t 1"]);
}

#[test]
fn absolute_working_directories_stay_as_written() {
    let bench = Bench::new();
    for (instructions, expected) in [
        ("WORKDIR /tmp/", "/tmp/"),
        ("WORKDIR /a/../b/.", "/a/../b/."),
        ("WORKDIR /tmp/\nWORKDIR c/", "/tmp/c"),
        ("WORKDIR ../c", "/c"),
    ] {
        let image = bench.config(bench.build(&format!("FROM scratch\n{instructions}\n")).id());
        assert_eq!(image.config.working_dir, expected);
        let words = image.history.last().and_then(|entry| entry.created_by.as_deref());
        assert_eq!(words, Some(&*format!("/bin/sh -c #(nop)  WORKDIR {expected}")));
    }
}

#[test]
fn history_is_in_the_words_of_docker() {
    let bench = Bench::new();
    bench.file("hello", "");
    let built = bench.build("FROM scratch\nARG V=1\nADD hello /\nRUN write /a 1\nCMD [\"/hello\", \"x\"]\n");
    let history = bench.config(built.id()).history;
    let words: Vec<_> = history.iter().map(|entry| entry.created_by.clone().expect("set")).collect();
    assert_eq!(words[0], "/bin/sh -c #(nop)  ARG V=1");
    assert!(words[1].starts_with("/bin/sh -c #(nop) ADD file:") && words[1].ends_with(" in / "), "{}", words[1]);
    assert_eq!(words[2], "|1 V=1 /bin/sh -c write /a 1");
    assert_eq!(words[3], "/bin/sh -c #(nop)  CMD [\"/hello\" \"x\"]");
    assert_eq!(history.iter().map(|entry| entry.empty_layer).collect::<Vec<_>>(), [true, false, false, true]);
}

#[test]
fn a_new_entrypoint_resets_an_inherited_cmd() {
    let bench = Bench::new();
    let base = "FROM scratch AS base\nCMD [\"inherited\"]\n";
    let inherited = bench.build(&format!("{base}FROM base\nENTRYPOINT [\"e\"]\n"));
    assert_eq!(bench.config(inherited.id()).config.cmd, None);
    let own = bench.build(&format!("{base}FROM base\nCMD [\"own\"]\nENTRYPOINT [\"e\"]\n"));
    assert_eq!(bench.config(own.id()).config.cmd.expect("kept"), ["own"]);
}

#[test]
fn triggers_run_in_the_child_and_not_in_the_grandchild() {
    let bench = Bench::new();
    let mut request = bench.request("FROM scratch\nONBUILD RUN write /made 1\nONBUILD ENV T=1\n");
    request.tags = vec!["parent".parse().expect("a name")];
    bench.run(&request).result.expect("builds");
    assert!(bench.executed().is_empty());
    let mut request = bench.request("FROM parent\nCMD [\"x\"]\n");
    request.tags = vec!["child".parse().expect("a name")];
    let child = bench.run(&request);
    assert_eq!(child.steps.len(), 4, "{:?}", child.steps);
    assert_eq!(bench.executed(), ["write /made 1"]);
    assert_eq!(bench.config(child.id()).config.on_build, None);
    let grandchild = bench.build("FROM child\nCMD [\"y\"]\n");
    assert_eq!(grandchild.steps.len(), 2);
}

#[test]
fn an_epoch_makes_the_image_independent_of_the_day() {
    let digest = || {
        let bench = Bench::new();
        bench.file("a", "a");
        let mut request = bench.request("FROM scratch\nCOPY --chmod=644 a /a\nWORKDIR /w\nRUN write x 1\n");
        request.epoch = Some("1000000000".to_owned());
        let id = bench.run(&request).id();
        assert_eq!(bench.config(id).created.as_deref(), Some("2001-09-09T01:46:40Z"));
        id
    };
    assert_eq!(digest(), digest());
}

#[test]
fn tags_move() {
    let bench = Bench::new();
    let tagged = |dockerfile: &str| {
        let mut request = bench.request(dockerfile);
        request.tags = vec!["x:1".parse().expect("a name"), "x".parse().expect("a name")];
        bench.run(&request).id()
    };
    let first = tagged("FROM scratch\nLABEL a=1\n");
    let second = tagged("FROM scratch\nLABEL a=2\n");
    assert_ne!(first, second);
    for name in ["x:1", "x", "x:latest"] {
        assert_eq!(bench.store().resolve(name).expect("is there").id, second);
    }
    assert!(bench.store().image(&first).expect("a readable store").is_some(), "it lost only its names");
}

#[test]
fn a_base_image_with_nothing_added_gets_one_more_name() {
    let bench = Bench::new();
    let mut request = bench.request("FROM scratch\nLABEL a=b\n");
    request.tags = vec!["base".parse().expect("a name")];
    let base = bench.run(&request).id();
    let mut request = bench.request("FROM base\n");
    request.tags = vec!["other".parse().expect("a name")];
    assert_eq!(bench.run(&request).id(), base);
    assert_eq!(bench.store().resolve("other").expect("is there").id, base);
}
