//! When a step is done again, and when not.

use crate::support::Bench;

const STEPS: &str = "FROM scratch\nCOPY a /a\nRUN write /b 1\nENV X=1\nRUN env X /c\nCMD [\"/c\"]\n";

#[test]
fn the_second_build_is_all_hits_and_the_same_image() {
    let bench = Bench::new();
    bench.file("a", "a");
    let first = bench.build(STEPS);
    assert_eq!(first.how(), ["done"; 5]);
    assert_eq!(bench.executed(), ["write /b 1", "env X /c"]);
    let second = bench.build(STEPS);
    assert_eq!(second.how(), ["hit"; 5]);
    assert_eq!(first.id(), second.id());
    assert!(bench.executed().is_empty());
}

#[test]
fn what_changes_is_done_again_with_what_depends_on_it() {
    let bench = Bench::new();
    bench.file("a", "a");
    bench.build(STEPS).id();
    for (what, dockerfile, how) in [
        ("a command", STEPS.replace("/b 1", "/b 2"), ["hit", "done", "done", "done", "done"]),
        ("a variable", STEPS.replace("X=1", "X=2"), ["hit", "hit", "done", "done", "done"]),
        ("the last instruction", STEPS.replace("[\"/c\"]", "[\"/d\"]"), ["hit", "hit", "hit", "hit", "done"]),
        ("a comment", STEPS.replace("ENV", "# words\nENV"), ["hit"; 5]),
        ("a stage's name", STEPS.replace("scratch", "scratch AS it"), ["hit"; 5]),
    ] {
        assert_eq!(bench.build(&dockerfile).how(), how, "{what}");
    }
}

#[test]
fn files_count_by_content_and_mode_not_by_time() {
    let bench = Bench::new();
    bench.file("a", "a");
    bench.build(STEPS).id();
    let file = bench.context.join("a");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    std::fs::File::options().append(true).open(&file).and_then(|file| file.set_modified(long_ago)).expect("ours");
    assert_eq!(bench.build(STEPS).how(), ["hit"; 5], "touched");
    bench.file("unrelated", "u");
    assert_eq!(bench.build(STEPS).how(), ["hit"; 5], "another file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("ours");
        assert_eq!(bench.build(STEPS).how(), ["done"; 5], "another mode");
    }
    bench.file("a", "b");
    assert_eq!(bench.build(STEPS).how(), ["done"; 5], "another content");
}

#[test]
fn a_step_with_the_same_output_does_not_disturb_what_follows() {
    let bench = Bench::new();
    let steps = "FROM scratch\nARG V=1\nRUN write /out same\nRUN write /after x\n";
    bench.build(steps).id();
    let mut request = bench.request(steps);
    request.build_args = vec![("V".to_owned(), "2".to_owned())];
    // The first RUN can see V, so it is done again; the second one can see it too.
    assert_eq!(bench.run(&request).how(), ["hit", "done", "done"]);
    let steps = "FROM scratch\nRUN write /out same\nRUN write /after x\n";
    bench.build(steps).id();
    // Another command with the same result: what follows is keyed by the result.
    assert_eq!(bench.build(&steps.replace("/out", "./out")).how(), ["done", "hit"]);
    let cut = steps.replace("RUN write /out", "RUN  write /out");
    assert_eq!(bench.build(&cut).how(), ["hit", "hit"], "spaces after the keyword are not part of the command");
}

#[test]
fn no_cache_does_everything_again_and_its_results_are_kept() {
    let bench = Bench::new();
    bench.file("a", "a");
    bench.build(STEPS).id();
    bench.executed();
    let mut request = bench.request(STEPS);
    request.no_cache = true;
    assert_eq!(bench.run(&request).how(), ["done"; 5]);
    assert_eq!(bench.executed().len(), 2);
    assert_eq!(bench.build(STEPS).how(), ["hit"; 5]);
}

/// New tools in a new kiln may do something else: what they did before is no answer then.
#[test]
fn kilns_own_tools_are_part_of_the_key_where_they_are_seen() {
    let bench = Bench::new();
    bench.build("FROM scratch\nRUN write /a 1\n").id();
    let tools = format!("[\"tools\",\"{}\"]", kiln_exec::wasi::guest_tools_digest());
    let records = || {
        let folders = std::fs::read_dir(bench.store().root().join("steps")).expect("the store has it");
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.expect("an entry").path()).expect("a folder"));
        files.map(|file| std::fs::read_to_string(file.expect("an entry").path()).expect("JSON")).collect::<Vec<_>>()
    };
    assert_eq!(records().iter().filter(|record| record.contains(&tools)).count(), 1, "{:?}", records());
}

#[test]
fn finished_steps_stay_cached_when_a_later_one_fails() {
    let bench = Bench::new();
    let failing = "FROM scratch\nRUN write /a 1\nRUN fail 7\n";
    assert_eq!(bench.build(failing).how(), ["done", "failed"]);
    assert_eq!(bench.build(failing).how(), ["hit", "failed"]);
    assert_eq!(bench.build("FROM scratch\nRUN write /a 1\nRUN write /b 2\n").how(), ["hit", "done"]);
}

#[test]
fn an_argument_keeps_its_value_in_a_stage_built_upon() {
    let bench = Bench::new();
    let steps = "FROM scratch AS a\nARG Q=x\nLABEL a=b\nFROM a\nARG Q\nRUN env Q /q\n";
    assert_eq!(bench.files(bench.build(steps).id()), ["644 0:0 q: x"]);
}

#[test]
fn arguments_count_only_where_they_are_declared() {
    let bench = Bench::new();
    let steps = "FROM scratch\nRUN write /a 1\nARG V=0\nRUN env V /v\n";
    let with = |value: &str| {
        let mut request = bench.request(steps);
        request.build_args = vec![("V".to_owned(), value.to_owned())];
        bench.run(&request)
    };
    bench.build(steps).id();
    assert_eq!(with("0").how(), ["hit", "hit", "hit"]);
    assert_eq!(with("1").how(), ["hit", "hit", "done"]);
    assert!(bench.files(with("1").id()).contains(&"644 0:0 v: 1".to_owned()));
}

#[test]
fn only_what_the_target_needs_is_done() {
    let bench = Bench::new();
    let steps = "FROM scratch AS unused\nRUN write /u 1\nFROM scratch AS used\nRUN write /x 1\n\
                 FROM scratch\nCOPY --from=used /x /y\n";
    let all = bench.build(steps);
    assert_eq!(all.steps.len(), 4, "{:?}", all.steps);
    assert_eq!(bench.executed(), ["write /x 1"]);
    assert_eq!(bench.files(all.id()), ["644 0:0 y: 1"]);
    let mut request = bench.request(steps);
    request.target = Some("unused".to_owned());
    assert_eq!(bench.run(&request).steps, ["done FROM scratch AS unused", "done RUN write /u 1"]);
}

#[test]
fn two_builds_at_once_do_a_step_once() {
    let bench = Bench::new();
    let steps = "FROM scratch AS a\nRUN write /x 1\nFROM scratch AS b\nRUN write /x 1\n\
                 FROM scratch\nCOPY --from=a /x /a\nCOPY --from=b /x /b\n";
    bench.build(steps).id();
    assert_eq!(bench.executed(), ["write /x 1"]);
}
