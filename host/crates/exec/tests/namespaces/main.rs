//! The namespace executor on the real kernel: as root, as an ordinary user with one id, and with ranges of ids.
//!
//! Has a main of its own, because a user namespace must be entered before there are threads. Started by root, it starts
//! itself again as the other two users. What this host does not permit is skipped, with the reason printed.
//!
//! `cargo test --release -p kiln-exec --test namespaces -- measure` prints what a step costs instead.
#![allow(clippy::print_stdout, reason = "this is what a test's main does")]

#[cfg(target_os = "linux")]
mod confinement;
#[cfg(target_os = "linux")]
mod containers;
#[cfg(target_os = "linux")]
mod entered;
#[cfg(target_os = "linux")]
mod filesystem;
#[cfg(target_os = "linux")]
mod groups;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod life;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod profiles;
#[cfg(target_os = "linux")]
mod users;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("hold") => life::hold(),
        Some("inherit") => life::inherit(&arguments[1]),
        Some("terminal") => life::terminal(),
        Some("detached") => entered::detached(),
        Some("measure") => host::with_host(measure::run),
        Some(users::INNER) => {
            let filter = arguments.get(1).map_or("", String::as_str);
            host::with_host(|host| {
                let failed = run(host, &STEPS.concat(), filter);
                // As a supervisor they are started in the user namespace, and do not enter it themselves.
                let containers = std::process::Command::new(std::env::current_exe().expect("this program"))
                    .args(["containers", filter])
                    .status();
                assert!(containers.expect("start this program again").success() && !failed, "some tests failed");
            });
        }
        Some("containers") => host::with_host(|host| {
            let filter = arguments.get(1).map_or("", String::as_str);
            assert!(!run(host, &CONTAINERS.concat(), filter), "some tests failed");
        }),
        filter => users::as_each(filter.filter(|filter| !filter.starts_with('-')).unwrap_or("")),
    }
}

#[cfg(target_os = "linux")]
type Test = (&'static str, fn(&host::Host));

#[cfg(target_os = "linux")]
const STEPS: [&[Test]; 4] = [life::TESTS, confinement::TESTS, filesystem::TESTS, mounts::TESTS];
#[cfg(target_os = "linux")]
const CONTAINERS: [&[Test]; 4] = [containers::TESTS, entered::TESTS, groups::TESTS, profiles::TESTS];

/// Answers whether one failed.
#[cfg(target_os = "linux")]
fn run(host: &host::Host, tests: &[Test], filter: &str) -> bool {
    let mut failed = false;
    for (name, test) in tests.iter().filter(|(name, _)| name.contains(filter)) {
        let start = std::time::Instant::now();
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(host))).is_ok();
        failed |= !passed;
        let result = if passed { "ok" } else { "FAILED" };
        println!("test {name} ({:?}) ... {result} ({} ms)", host.ids, start.elapsed().as_millis());
    }
    failed
}
