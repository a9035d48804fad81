//! Control groups, where this user may make them: limits, freezing, and that none is left.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::Duration;

use kiln_exec::namespaces::Started;
use kiln_exec::{Network, Status};
use kiln_sys::cgroup::{Cgroup, Error, Limits};
use kiln_sys::userns::Ids;

use crate::Test;
use crate::containers::{Kept, finish, follow};
use crate::entered::{enter_with, sleeper};
use crate::host::{Host, process, shell_process};
use crate::life::assert_nothing_left;

pub(crate) const TESTS: &[Test] = &[
    ("memory_is_limited", memory_is_limited),
    ("processes_are_limited", processes_are_limited),
    ("processor_time_is_limited", processor_time_is_limited),
    ("a_container_is_frozen", a_container_is_frozen),
    ("a_group_can_be_killed_and_found_again", a_group_can_be_killed_and_found_again),
    ("a_group_of_the_unified_hierarchy", a_group_of_the_unified_hierarchy),
    ("limits_that_cannot_be", limits_that_cannot_be),
];

/// `None` where this user has no control groups, which must then say so.
fn group(host: &Host, name: &str, limits: &Limits) -> Option<Cgroup> {
    match Cgroup::create(&format!("test-{name}-{}", std::process::id()), limits, |_| {}) {
        Ok(group) => Some(group),
        Err(Error::Unavailable { reason, remedy, .. }) if host.ids != Ids::Root => {
            assert!(remedy.contains("as root"), "{reason}; {remedy}");
            println!("skipped: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn start(kept: &Kept<'_>, group: &Cgroup, script: &str) -> Started {
    kept.start_with(&shell_process(script), |container| container.cgroup = Some(group)).expect("starts")
}

#[track_caller]
fn assert_removed(group: &Cgroup) {
    group.remove().expect("removed");
    for path in group.paths() {
        assert!(!path.exists(), "{} is left", path.display());
    }
    group.remove().expect("it is no error that it is gone");
}

fn memory_is_limited(host: &Host) {
    let limits = Limits { memory: Some(32 << 20), memory_and_swap: Some(32 << 20), ..Limits::default() };
    let Some(group) = group(host, "memory", &limits) else { return };
    let kept = Kept::new(host);
    let ran = finish(start(&kept, &group, "head -c 200000000 /dev/zero | tail -c 199999999 | wc -c"));
    assert_ne!(ran.out.trim(), "199999999", "the one that keeps it all is killed");
    assert!(group.usage().out_of_memory.is_some_and(|times| times > 0), "{:?}", group.usage());
    let ran = finish(start(&kept, &group, "head -c 200000000 /dev/zero > /dev/null"));
    assert_eq!(ran.status, Status::Exited(0), "and one that does not goes on");
    assert_removed(&group);
    assert_nothing_left(host);
}

fn processes_are_limited(host: &Host) {
    let Some(group) = group(host, "pids", &Limits { processes: Some(10), ..Limits::default() }) else { return };
    let kept = Kept::new(host);
    let ran = finish(start(&kept, &group, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done; echo unreached"));
    assert_ne!(ran.status, Status::Exited(0));
    let mut container = start(&kept, &group, "exec sleep 100");
    container.go().expect("goes");
    assert_eq!(group.usage().processes, Some(2), "the command and process 1");
    // Who enters counts as well.
    let entered = enter_with(host, container.id, &process(&["sleep", "100"]), |how| how.cgroup = Some(&group));
    let mut entered = entered.expect("enters");
    entered.go().expect("goes");
    assert_eq!(group.usage().processes, Some(4));
    drop((entered, container));
    assert_removed(&group);
}

fn processor_time_is_limited(host: &Host) {
    let limits = Limits {
        nano_cpus: Some(200_000_000),
        cpu_shares: Some(512),
        cpuset: Some("0".to_owned()),
        ..Limits::default()
    };
    let Some(group) = group(host, "cpu", &limits) else { return };
    let kept = Kept::new(host);
    let ran = finish(start(
        &kept,
        &group,
        "timeout 1 sh -c 'while :; do :; done'; cat /proc/self/stat | cut -d' ' -f16,17; grep Cpus_allowed_list /proc/self/status",
    ));
    let text = ran.out;
    let used: u64 =
        text.lines().next().expect("a line").split(' ').map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    assert!(used < 60, "{used} of about 20 hundredths");
    assert!(text.ends_with("\t0\n"), "{text}");
    assert_removed(&group);
}

fn a_container_is_frozen(host: &Host) {
    let Some(group) = group(host, "freeze", &Limits::default()) else { return };
    let kept = Kept::new(host);
    let mut started = start(&kept, &group, "while :; do echo x >> /ticks; sleep 0.01; done");
    started.go().expect("goes");
    let ticks = || {
        let root = kiln_exec::namespaces::root_of(started.id).expect("root");
        let ticks = rustix::fs::statat(&root, "ticks", rustix::fs::AtFlags::empty());
        ticks.map_or(0, |stat| stat.st_size)
    };
    thread::sleep(Duration::from_millis(200));
    group.freeze(true).expect("frozen");
    let before = ticks();
    thread::sleep(Duration::from_millis(200));
    assert_eq!(ticks(), before);
    group.freeze(false).expect("thawed");
    thread::sleep(Duration::from_millis(200));
    assert!(ticks() > before && before > 0);
    // The frozen die, too.
    group.freeze(true).expect("frozen");
    started.signal(9).expect("killed");
    group.kill().expect("killed");
    assert_eq!(follow(started).status, Status::Signalled(9));
    assert_removed(&group);
}

fn a_group_can_be_killed_and_found_again(host: &Host) {
    let Some(group) = group(host, "kill", &Limits { processes: Some(100), ..Limits::default() }) else { return };
    let kept = Kept::new(host);
    let mut started = start(&kept, &group, "sleep 1000 & sleep 1000");
    started.go().expect("goes");
    let again = Cgroup::at(group.paths().to_vec());
    assert!(again.processes().expect("listed").contains(&started.id.pid));
    again.kill().expect("killed");
    assert_eq!(follow(started).status, Status::Signalled(9));
    // As systemd in a privileged container leaves them.
    for path in group.paths() {
        fs::create_dir_all(path.join("nested/deeper")).expect("made");
    }
    assert_removed(&again);
    // A container without a group is not disturbed.
    drop(sleeper(&kept, Network::Private));
}

/// On hosts where the controllers are elsewhere, it can still freeze, kill and be a namespace.
fn a_group_of_the_unified_hierarchy(host: &Host) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let unified = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let path = Path::new(unified.unwrap_or("/nowhere")).join(format!("kiln-test-unified-{}", std::process::id()));
    if fs::create_dir(&path).is_err() {
        return println!("skipped: no group can be made at {}", path.display());
    }
    let group = Cgroup::at(vec![path]);
    let kept = Kept::new(host);
    let mut started = start(&kept, &group, "cat /proc/self/cgroup >&2; echo ready; sleep 1000 & sleep 1000");
    started.go().expect("goes");
    File::from(started.stdout.take().expect("a pipe")).read_exact(&mut [0; 6]).expect("read");
    let entered =
        enter_with(host, started.id, &process(&["cat", "/proc/self/cgroup"]), |how| how.cgroup = Some(&group));
    let groups = finish(entered.expect("enters")).ok();
    assert!(groups.lines().any(|line| line == "0::/"), "it is the top of its own: {groups}");
    for _ in 0..3 {
        group.freeze(true).expect("frozen");
        group.freeze(false).expect("thawed");
    }
    group.freeze(true).expect("frozen");
    assert!(group.processes().expect("listed").len() >= 3);
    group.kill().expect("killed");
    let ran = follow(started);
    assert_eq!(ran.status, Status::Signalled(9));
    assert!(ran.err.lines().any(|line| line == "0::/"), "{}", ran.err);
    assert_removed(&group);
}

fn limits_that_cannot_be(host: &Host) {
    for limits in [
        Limits { cpuset: Some("0-9999".to_owned()), ..Limits::default() },
        Limits { cpuset: Some("none".to_owned()), ..Limits::default() },
    ] {
        let name = format!("test-wrong-{}", std::process::id());
        let error = Cgroup::create(&name, &limits, |_| {}).expect_err("refused");
        if host.ids == Ids::Root {
            assert!(matches!(error, Error::System { action: "choose the processors of", .. }), "{error:?}");
        }
        let left = fs::read_to_string("/proc/self/mountinfo").expect("mounts").lines().any(|line| {
            let at = line.split(' ').nth(4).unwrap_or_default();
            line.contains(" - cgroup") && std::path::Path::new(at).join(format!("kiln-{name}")).exists()
        });
        assert!(!left);
    }
}
