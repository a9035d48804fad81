//! Compiled modules are kept, and only what kiln itself wrote for a module is ever run.

use std::fs;
use std::path::{Path, PathBuf};

use kiln_exec::Cancel;
use kiln_exec::wasi::{Limits, Wasi};
use kiln_image::View;

use crate::support::A::I;
use crate::support::{Script, layer, process, run_in};

/// A program that prints `text`.
fn program(text: &str) -> View {
    View::new(vec![layer(&[("bin/test", Some(&Script::default().write(I(1), text).wasm()))])])
}

/// Runs it with an executor of its own: what it prints.
fn run(modules: &Path, view: &View) -> String {
    let scratch = tempfile::tempdir().expect("temporary directory");
    let wasi = Wasi::new(modules.to_owned(), Limits::BUILD);
    run_in(&wasi, scratch.path(), view, &process(&["test"]), &Cancel::new()).expect("runs").out
}

fn files(modules: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(modules).expect("the directory is there");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

#[test]
fn what_is_damaged_is_compiled_anew() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let modules = directory.path().join("modules");
    let view = program("one ");
    let run_once = || {
        assert_eq!(run(&modules, &view), "one 0 ");
        let files = files(&modules);
        assert_eq!(files.len(), 1, "one file for one module");
        files[0].clone()
    };
    let file = run_once();
    let good = fs::read(&file).expect("readable");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut unmarked = good.clone();
    *unmarked.last_mut().expect("not empty") ^= 1;
    let longer = [&good[..], b"more"].concat();
    for bad in [&good[..good.len() - 1], &good[..10], &[], &flipped, &unmarked, &longer] {
        fs::write(&file, bad).expect("writable");
        run_once();
        assert!(fs::read(&file).expect("readable") == good, "the file is whole again");
    }
    fs::remove_file(&file).expect("ours");
    fs::create_dir(&file).expect("ours");
    assert_eq!(run(&modules, &view), "one 0 ");
}

#[test]
fn another_modules_code_is_not_run() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let modules = directory.path().join("modules");
    let (one, two) = (program("one "), program("two "));
    assert_eq!(run(&modules, &one), "one 0 ");
    let first = files(&modules).remove(0);
    assert_eq!(run(&modules, &two), "two 0 ");
    let second = files(&modules).into_iter().find(|file| *file != first).expect("a second file");
    fs::copy(&second, &first).expect("ours");
    assert_eq!(run(&modules, &one), "one 0 ");
}

#[cfg(unix)]
#[test]
fn nothing_is_taken_from_a_directory_that_others_can_write_to() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("temporary directory");
    let modules = directory.path().join("modules");
    let mode = || fs::metadata(&modules).expect("the directory is there").permissions().mode() & 0o777;
    let view = program("one ");
    run(&modules, &view);
    assert_eq!(mode(), 0o700);
    let file = files(&modules).remove(0);
    let inode = |file: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(file).expect("it is there"));
    let before = inode(&file);
    run(&modules, &view);
    assert_eq!(inode(&file), before, "nothing was compiled");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("ours");
    assert_eq!(run(&modules, &view), "one 0 ");
    assert_ne!(inode(&file), before, "compiled anew");
    let before = inode(&file);

    fs::write(modules.join("planted"), "by somebody").expect("ours");
    fs::set_permissions(&modules, fs::Permissions::from_mode(0o777)).expect("ours");
    assert_eq!(run(&modules, &view), "one 0 ");
    assert_eq!((mode(), files(&modules)), (0o700, vec![file.clone()]), "a new directory");
    assert_ne!(inode(&file), before, "compiled anew");
    assert_eq!(files(directory.path()), [modules]);
}

/// A store on a read-only filesystem, or somebody else's: slower, not wrong.
#[cfg(unix)]
#[test]
fn programs_run_where_nothing_can_be_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("temporary directory");
    // Root may write anywhere, but not make a directory in a file.
    let file = directory.path().join("file");
    fs::write(&file, "").expect("ours");
    assert_eq!(run(&file.join("modules"), &program("one ")), "one 0 ");
    let modules = directory.path().join("modules");
    run(&modules, &program("one "));
    fs::set_permissions(&modules, fs::Permissions::from_mode(0o500)).expect("ours");
    assert_eq!(run(&modules, &program("one ")), "one 0 ");
    assert_eq!(run(&modules, &program("two ")), "two 0 ");
}

#[test]
fn two_may_compile_the_same_at_once() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let modules = directory.path().join("modules");
    let view = program("one ");
    for _ in 0..10 {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| run(&modules, &view))).collect();
            for thread in threads {
                assert_eq!(thread.join().expect("no panic"), "one 0 ");
            }
        });
        assert_eq!(files(&modules).len(), 1);
        fs::remove_dir_all(&modules).expect("ours");
    }
}
