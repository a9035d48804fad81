//! The same tests as different users.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};

pub(crate) const INNER: &str = "inner";
/// Has no entry anywhere, so only its own id can be mapped.
const NOBODY_IN_PARTICULAR: u32 = 61_234;

pub(crate) fn as_each(filter: &str) {
    let this = std::env::current_exe().expect("this program");
    let mut failed = false;
    let mut start = |user: Option<u32>, program: &std::path::Path| {
        let mut command = Command::new(program);
        command.args([INNER, filter]).current_dir("/");
        if let Some(id) = user {
            command.uid(id).gid(id);
        }
        failed |= !command.status().expect("start this program again").success();
    };
    start(None, &this);
    if fs::metadata("/proc/self").expect("proc").uid() == 0 {
        // The build directory may be closed to other users.
        let copy = tempfile::tempdir().expect("temporary directory");
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).expect("mode");
        let program = copy.path().join("namespaces");
        fs::copy(&this, &program).expect("copy this program");
        start(Some(NOBODY_IN_PARTICULAR), &program);
        match user_with_ranges() {
            Some(user) => start(Some(user), &program),
            None => {
                println!("skipped: ranges of ids (no user has an entry in both /etc/subuid and /etc/subgid)");
                failed |= std::env::var_os("KILN_TEST_REQUIRE").is_some();
            }
        }
    }
    exit(i32::from(failed));
}

fn user_with_ranges() -> Option<u32> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let granted = |file: &str, name: &str, id: &str| {
        fs::read_to_string(file)
            .unwrap_or_default()
            .lines()
            .any(|line| line.split(':').next().is_some_and(|owner| owner == name || owner == id))
    };
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, ..] = fields[..] else { return None };
        let wanted = id != "0" && granted("/etc/subuid", name, id) && granted("/etc/subgid", name, id);
        wanted.then(|| id.parse().ok())?
    })
}
