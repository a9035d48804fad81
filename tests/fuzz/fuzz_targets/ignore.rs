//! The first line is a path, the rest an ignore file: a walk from the root and a single question agree.

#![no_main]

use kiln_dockerfile::{IgnoreFile, Matched, glob};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut halves = input.splitn(2, |&byte| byte == b'\n');
    let (path, patterns) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let _ = glob::matches(patterns, path);
    let Ok(ignore) = IgnoreFile::parse(patterns) else { return };
    let _ = ignore.may_reinclude(path);
    let (mut excluded, mut matched) = (false, Matched::default());
    let ends = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at).chain([path.len()]);
    for end in ends {
        (excluded, matched) = ignore.check(&path[..end], &matched);
    }
    assert_eq!(excluded, ignore.excludes(path));
});
