//! `touch`.

use std::fs::OpenOptions;

use crate::calendar::{now, parse_date, parse_stamp};
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "acmhr:d:t:f",
    long: &[("no-create", 'c'), ("reference", 'r'), ("date", 'd'), ("no-dereference", 'h'), ("time", 'Τ')],
    operands_last: false,
};

pub fn touch(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    if given.operands.is_empty() {
        return Err(Failure::misuse("missing file operand"));
    }
    let invalid = |text: &[u8]| Failure::new(format!("invalid date format '{}'", show(text)));
    let (mut atime, mut mtime) = (now(), now());
    if let Some(reference) = given.value('r') {
        let stat = kiln_guest::stat(&context.path(reference), true).map_err(|error| {
            Failure::new(format!("failed to get attributes of '{}': {}", show(reference), reason(&error)))
        })?;
        (atime, mtime) = (stat.atime, stat.mtime);
    }
    if let Some(text) = given.value('d') {
        atime = parse_date(text).ok_or_else(|| invalid(text))?;
        mtime = atime;
    }
    if let Some(text) = given.value('t') {
        atime = parse_stamp(text).ok_or_else(|| invalid(text))?;
        mtime = atime;
    }
    let only = match given.value('Τ') {
        Some(b"atime" | b"access" | b"use") => Some('a'),
        Some(_) => Some('m'),
        None => given.last_of("am").filter(|_| !(given.has('a') && given.has('m'))),
    };
    let atime = (only != Some('m')).then_some(atime);
    let mtime = (only != Some('a')).then_some(mtime);
    let mut status = 0;
    for operand in &given.operands {
        let path = context.path(operand);
        let follow = !given.has('h');
        let exists = kiln_guest::stat(&path, follow).is_ok();
        if !exists && (given.has('c') || given.has('h')) {
            continue;
        }
        let made = if exists { Ok(()) } else { OpenOptions::new().append(true).create(true).open(&path).map(drop) };
        if let Err(error) = made.and_then(|()| kiln_guest::set_times(&path, follow, atime, mtime)) {
            context.complain(format!("cannot touch '{}': {}", show(operand), reason(&error)));
            status = 1;
        }
    }
    Ok(status)
}
