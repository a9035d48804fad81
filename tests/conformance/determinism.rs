//! A WASI step gives the same layer wherever and by whomever it is run, and however kiln was compiled.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::kiln::{Kiln, skip};
use crate::torture;

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
    "sha256:a9752a2d649c05f8198614d3678e63baa16e5f5f66531498882f536332dd1165",
    "sha256:ed3125d40a3c96ca184cb4b9e7ff04f537bb6572657ebb3848a8df9f732bf50a",
    "sha256:09f286bf00f1ac8cff4a7f75c665351097ac69a3d9d0b6befe8c73623596322c",
];

/// The same as instructions of WebAssembly and calls of the host: see `torture.rs`.
const TORTURE: &str = "\
FROM scratch
COPY --chmod=755 torture /bin/torture
COPY --chmod=755 in /in
RUN [\"/bin/torture\"]
";

const TORTURED: &str = "sha256:029632e698c531aa560b472c9d0a01c17a6e09f2f00cff9db1a8759da3326d7d";

fn context(dockerfile: &str, files: &[(&str, &[u8])], times: u64) -> tempfile::TempDir {
    let context = tempfile::tempdir().expect("a temporary directory");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(times);
    for (path, content) in [("Dockerfile", dockerfile.as_bytes())].iter().chain(files) {
        let file = context.path().join(path);
        fs::create_dir_all(file.parent().expect("below the context")).expect("ours");
        fs::write(&file, content).expect("ours");
        fs::File::options().append(true).open(file).and_then(|file| file.set_modified(time)).expect("ours");
    }
    context
}

fn curious(times: u64) -> tempfile::TempDir {
    context(CURIOUS, &[("file", b"content\n")], times)
}

fn tortured(times: u64) -> tempfile::TempDir {
    let program = wat::parse_str(torture::program()).expect("a module");
    let files: [(&str, &[u8]); 5] =
        [("torture", &program), ("in/b", b"bb"), ("in/a", b"a"), ("in/Z", b""), ("in/~", b"")];
    context(TORTURE, &files, times)
}

fn layers(context: &Path, platform: &str) -> Vec<String> {
    let kiln = Kiln::new();
    let built = kiln.build(context, &["--executor", "wasi", "--platform", platform]);
    kiln.layers(&built.image)
}

#[test]
fn another_directory_other_times_and_another_platform_make_no_difference() {
    let (one, other) = (curious(1_000_000_000), curious(1_500_000_000));
    let (one, other) = (layers(one.path(), "linux/amd64"), layers(other.path(), "linux/arm64"));
    // The copied file keeps its time, as everywhere; no step can see it.
    assert_ne!(one[0], other[0]);
    assert_eq!(one[1..], other[1..]);
    assert_eq!(one[2..5], LAYERS, "the steps see something else than they used to");
}

#[test]
fn torture_makes_no_difference() {
    for (times, platform) in [(1_000_000_000, "linux/amd64"), (1_500_000_000, "wasip1/wasm")] {
        let context = tortured(times);
        let layers = layers(context.path(), platform);
        assert_eq!(layers[2..], [TORTURED], "programs see something else than they used to");
    }
}

/// Another user with another umask, where we may become one.
#[test]
fn another_user_makes_no_difference() {
    for context in [curious(1_000_000_000), tortured(1_000_000_000)] {
        if fs::metadata(context.path()).expect("ours").uid() != 0 {
            return skip("only root can become another user");
        }
        let Some(text) = built_by_another_user(context.path()) else { return };
        for layer in layers(context.path(), "linux/amd64") {
            assert!(text.contains(&layer), "{layer} is not in {text}");
        }
    }
}

/// What `kiln inspect` says there.
fn built_by_another_user(context: &Path) -> Option<String> {
    let store = tempfile::tempdir().expect("a temporary directory");
    let program = Path::new(env!("CARGO_BIN_EXE_kiln"));
    let copy = store.path().join("kiln");
    fs::copy(program, &copy).expect("the program can be copied");
    for path in [store.path(), context] {
        std::os::unix::fs::chown(path, Some(12345), Some(12345)).expect("root may");
    }
    let output = Command::new("setpriv")
        .args(["--reuid", "12345", "--regid", "12345", "--clear-groups", "sh", "-c"])
        .arg("umask 077; HOME=/nowhere ./kiln --root ./store build -q --executor wasi --platform linux/amd64 \"$0\" && ./kiln --root ./store inspect $(./kiln --root ./store images -q)")
        .arg(context)
        .current_dir(store.path())
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            skip(&format!("setpriv: {error}"));
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    Some(text.into_owned())
}
