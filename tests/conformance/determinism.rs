//! A WASI step gives the same layer wherever and by whomever it is run.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::kiln::{Kiln, skip};

/// Everything of the machine that a step could look at. A change of these digests is a change of what steps can see: then
/// the executor's name needs a new version. Only new tools may change the second one without that: they are in the step's
/// key, and random numbers come from it.
const CURIOUS: &str = "\
FROM scratch
COPY --chmod=644 file /in/file
WORKDIR /w
RUN date > date; ls -laR / > listing; env > env; id > id; uname -a > uname; echo $$ > pid; df > df 2>&1; umask > umask
RUN head -c 64 /dev/urandom | od -An -tx1 > random; mktemp > temporary; stat /in/file . > stat
RUN for i in 1 2 3 4 5 6 7 8; do (echo $i; sleep 0.0$i) & done | sort > children; wait; cat /proc/* > proc 2>&1 || true
RUN seq 1000 | grep 7 | sort -r | tee copy | sha256sum > sum
";

const LAYERS: [&str; 3] = [
    "sha256:5772624329118cd8c08486ca708d8865c482b74595318017c376d9a006062276",
    "sha256:473319aa81c44f3a18420e3192afe81524e87d29be0b9b0d7922ac670b9152c4",
    "sha256:09f286bf00f1ac8cff4a7f75c665351097ac69a3d9d0b6befe8c73623596322c",
];

fn context(times: u64) -> tempfile::TempDir {
    let context = tempfile::tempdir().expect("a temporary directory");
    fs::write(context.path().join("Dockerfile"), CURIOUS).expect("ours");
    let file = context.path().join("file");
    fs::write(&file, "content\n").expect("ours");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(times);
    fs::File::options().append(true).open(file).and_then(|file| file.set_modified(time)).expect("ours");
    context
}

fn layers(context: &Path) -> Vec<String> {
    let kiln = Kiln::new();
    let built = kiln.build(context, &["--executor", "wasi"]);
    kiln.layers(&built.image)
}

#[test]
fn another_directory_and_other_times_make_no_difference() {
    let (one, other) = (context(1_000_000_000), context(1_500_000_000));
    let (one, other) = (layers(one.path()), layers(other.path()));
    // The copied file keeps its time, as everywhere; no step can see it.
    assert_ne!(one[0], other[0]);
    assert_eq!(one[1..], other[1..]);
    assert_eq!(one[2..5], LAYERS, "the steps see something else than they used to");
}

/// Another user with another umask, where we may become one.
#[test]
fn another_user_makes_no_difference() {
    let context = context(1_000_000_000);
    if fs::metadata(context.path()).expect("ours").uid() != 0 {
        return skip("only root can become another user");
    }
    let own = layers(context.path());
    let store = tempfile::tempdir().expect("a temporary directory");
    let program = Path::new(env!("CARGO_BIN_EXE_kiln"));
    let copy = store.path().join("kiln");
    fs::copy(program, &copy).expect("the program can be copied");
    for path in [store.path(), context.path()] {
        std::os::unix::fs::chown(path, Some(12345), Some(12345)).expect("root may");
    }
    let output = Command::new("setpriv")
        .args(["--reuid", "12345", "--regid", "12345", "--clear-groups", "sh", "-c"])
        .arg("umask 077; HOME=/nowhere ./kiln --root ./store build -q --executor wasi \"$0\" && ./kiln --root ./store inspect $(./kiln --root ./store images -q)")
        .arg(context.path())
        .current_dir(store.path())
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return skip(&format!("setpriv: {error}")),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for layer in own {
        assert!(text.contains(&layer), "{layer} is not in {text}");
    }
}
