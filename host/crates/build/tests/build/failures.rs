//! Steps that failed and are kept to be looked into.

use kiln_build::{Agents, FailedStep, Left, Opening, Secret, Secrets};
use kiln_exec::{MountKind, Wanted};

use crate::support::Bench;

const DOCKERFILE: &str = "FROM scratch\nARG A=1\nENV B=2\nWORKDIR /w\nUSER 7\nRUN write one 1\n\
                          RUN --mount=target=/ctx --mount=type=secret,id=key --mount=type=cache,target=/c fail 7 two\n";

fn kept(bench: &Bench) -> Vec<FailedStep> {
    bench.store().failures().expect("readable").into_iter().map(|failed| failed.record).collect()
}

fn opening<'a>(bench: &'a Bench, secrets: &'a Secrets, agents: &'a Agents) -> Opening<'a> {
    Opening {
        store: bench.store(),
        before: false,
        command: &[],
        env: Vec::new(),
        user: None,
        cwd: None,
        wanted: Wanted::Auto,
        secrets,
        agents,
    }
}

#[test]
fn a_failed_step_is_kept_with_what_it_saw_and_left() {
    let bench = Bench::new();
    bench.file("file", "from the context");
    let secrets = Secrets::from([("key".to_owned(), Secret::new(b"hunter2".to_vec()))]);
    let mut request = bench.request(DOCKERFILE);
    request.secrets = secrets.clone();
    bench.run(&request);
    assert!(kept(&bench).is_empty(), "nobody wanted it");

    request.keep_failure = Some("/here".to_owned());
    let kiln_build::Error::Step(failure) = bench.run(&request).result.expect_err("fails") else { panic!("a step") };
    assert!(failure.kept);
    bench.store().collect().expect("collected");
    let [step] = &kept(&bench)[..] else { panic!("one step") };
    assert_eq!((step.step().as_str(), step.code, step.directory.as_str()), ("step 7/7", Some(7), "/here"));
    assert!(matches!(step.left, Left::Layer(_)));
    assert!(!serde_json::to_string(step).expect("JSON").contains("hunter2"));

    let agents = Agents::new();
    assert_eq!(step.not_given(&Secrets::new(), &agents).len(), 1);
    assert!(step.not_given(&secrets, &agents).is_empty());
    for (before, files) in [(false, &["w", "w/one", "w/two"][..]), (true, &["w", "w/one"])] {
        let opened = step.open(&Opening { before, ..opening(&bench, &secrets, &agents) }).expect("opened");
        let found = opened.view.walk(b"").map(|found| String::from_utf8(found.expect("readable").path).expect("UTF-8"));
        assert_eq!(found.filter(|path| !path.is_empty()).collect::<Vec<_>>(), files);
        let process = &opened.process;
        assert_eq!((process.cwd.as_str(), process.user.uid, &process.argv[..]), ("/w", 7, &["/bin/sh".to_owned()][..]));
        for variable in [("A", "1"), ("B", "2")] {
            assert!(process.env.contains(&(variable.0.to_owned(), variable.1.to_owned())));
        }
        let kinds: Vec<&str> = opened
            .mounts
            .iter()
            .map(|mount| match &mount.kind {
                MountKind::Files { keep, .. } if *keep => "cache",
                MountKind::Files { view, .. } => {
                    assert!(view.lookup(b"files/file").expect("readable").is_some());
                    "files"
                }
                MountKind::Bytes { bytes, .. } if **bytes == *b"hunter2" => "secret",
                _ => "other",
            })
            .collect();
        assert_eq!(kinds, ["files", "secret", "cache"]);
    }
    let command = ["cat".to_owned()];
    let opened = step.open(&Opening {
        command: &command,
        env: vec![("B".to_owned(), "3".to_owned())],
        user: Some("8"),
        cwd: Some("/"),
        ..opening(&bench, &Secrets::new(), &agents)
    });
    let opened = opened.expect("opened");
    assert_eq!((opened.mounts.len(), opened.process.user.uid, opened.process.cwd.as_str()), (2, 8, "/"));
    assert!(opened.process.env.contains(&("B".to_owned(), "3".to_owned())));
}

#[test]
fn one_is_kept_for_each_target_until_it_succeeds() {
    let bench = Bench::new();
    let run = |text: &str, target: Option<&str>| {
        let mut request = bench.request(text);
        request.keep_failure = Some("/here".to_owned());
        request.target = target.map(str::to_owned);
        bench.run(&request)
    };
    run("FROM scratch AS a\nRUN fail 1 x\n", None);
    run("FROM scratch AS a\nRUN fail 2 y\n", Some("a"));
    run("FROM scratch AS a\nRUN fail 3 z\n", None);
    let codes = |bench: &Bench| {
        let mut codes: Vec<Option<i32>> = kept(bench).iter().map(|step| step.code).collect();
        codes.sort_unstable();
        codes
    };
    assert_eq!(codes(&bench), [Some(2), Some(3)]);
    // What fails without a RUN that did says nothing of it.
    run("FROM scratch AS a\nCOPY no-such-file /\n", None);
    assert_eq!(codes(&bench), [Some(2), Some(3)]);
    run("FROM scratch AS a\nRUN write x 1\n", None);
    assert_eq!(codes(&bench), [Some(2)]);
    // A command that is not there has changed nothing.
    run("FROM scratch AS a\nRUN [\"/no-such-program\"]\n", Some("b"));
    let found = kept(&bench).into_iter().find(|step| step.target.as_deref() == Some("b"));
    assert!(found.is_none(), "there is no such stage");
}

#[test]
fn files_with_a_secret_in_them_are_not_kept() {
    let bench = Bench::new();
    let mut request = bench.request("FROM scratch\nRUN write a 1\nRUN --mount=type=secret,id=key fail 1 left\n");
    request.keep_failure = Some("/here".to_owned());
    request.secrets = Secrets::from([("key".to_owned(), Secret::new(b"what a command left".to_vec()))]);
    bench.run(&request);
    let [step] = &kept(&bench)[..] else { panic!("one step") };
    assert!(matches!(&step.left, Left::Unknown(why) if why.contains("secret")), "{:?}", step.left);
    let agents = Agents::new();
    let opened = step.open(&opening(&bench, &request.secrets, &agents)).expect("opened");
    assert!(opened.only_before.is_some() && opened.view.lookup(b"left").expect("readable").is_none());
}
