//! Runs `tests/parser/<case>/Dockerfile` and compares with `expected.txt` beside it.
//!
//! A case whose name begins with `lint-` shows what the rules find, as a check of all stages does: `.dockerignore` beside
//! it is that of the context, `args` has `NAME=VALUE` for `--build-arg`, `bases` has `IMAGE NAME=VALUE …` for images at
//! hand, `triggers` has `IMAGE INSTRUCTION` for what their ONBUILD keeps.
//!
//! `KILN_BLESS=1` writes what is found instead: read the difference before committing it.

#![expect(clippy::unwrap_used, reason = "a test")]

mod dump;
mod lints;

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/parser")
}

#[test]
fn parser_cases() {
    let bless = std::env::var_os("KILN_BLESS").is_some();
    let mut cases: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.is_dir());
    cases.sort();
    assert!(!cases.is_empty());
    let mut failed = Vec::new();
    for case in cases {
        let text = fs::read(case.join("Dockerfile")).unwrap();
        let is_lint = case.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lint-"));
        let found = if is_lint { lints::result(&case, &text) } else { dump::result(&text) };
        let expected = case.join("expected.txt");
        if bless {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            failed.push(format!("{}: found\n{found}", case.display()));
        }
    }
    assert!(failed.is_empty(), "{}\nrun again with KILN_BLESS=1 to accept", failed.join("\n"));
}
