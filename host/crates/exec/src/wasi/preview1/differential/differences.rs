//! Where kiln differs from wasi-common on Linux, each with its reason. Where both refuse, states stay the same.

use super::operations::{Answer, O_DIRECTORY, Operation};

/// What two answers to the same question mean.
pub(super) enum Verdict {
    Alike,
    /// They differ as they are meant to, and both are in the same state.
    Intended,
    /// They differ as they are meant to, and what follows cannot be compared.
    Over,
    Wrong,
}

/// As `typenames.witx` numbers them.
const BADF: u32 = 8;
const EXIST: u32 = 20;
const FBIG: u32 = 22;
const INVAL: u32 = 28;
const ISDIR: u32 = 31;
const LOOP: u32 = 32;
const NOENT: u32 = 44;
const NOTDIR: u32 = 54;
const NOTEMPTY: u32 = 55;
const PERM: u32 = 63;

pub(super) fn verdict(operation: &Operation, ours: &Answer, theirs: &Answer) -> Verdict {
    use Operation::*;
    if ours == theirs {
        return Verdict::Alike;
    }
    match (operation, ours.errno, theirs.errno) {
        // wasi-common confines a path to the directory it starts from, kiln to the root.
        (_, 0, PERM) => Verdict::Over,
        (_, _, PERM) => Verdict::Intended,
        // It looks at descriptors first, and has one error for all that are of the wrong kind.
        (_, 1.., BADF) => Verdict::Intended,
        // Directories can be synchronised and have flags, as on Linux.
        (Sync(_) | SetFlags(..), 0, BADF) => Verdict::Intended,
        // Its descriptors can write if their file was created, whatever was asked for.
        (Resize(..), BADF, 0) => Verdict::Over,
        (Resize(..), BADF, INVAL) => Verdict::Intended,
        // Its seeks end where the host's filesystem ends, and know negative places before they know files.
        (Seek(_, i64::MAX, _), 0, INVAL) => Verdict::Over,
        (Seek(..), BADF, INVAL) => Verdict::Intended,
        // Linux looks for a directory first, then for a link not to be followed; wasi-common asks it for neither.
        (Open { how, follow: false, .. }, NOTDIR, LOOP) if *how == O_DIRECTORY => Verdict::Intended,
        (_, our_errno, their_errno) if operation.has_open_end() => open_end(operation, our_errno, their_errno),
        _ => elsewhere(operation, ours.errno, theirs.errno),
    }
}

/// What a name that ends in a slash or in a dot means is left to Linux, where each of our answers was seen: wasi-common
/// looks through links where Linux does not, and the other way round.
fn open_end(operation: &Operation, ours: u32, theirs: u32) -> Verdict {
    use Operation::*;
    match (operation, ours, theirs) {
        (PathStat(_, false) | PathSetTimes(_, false, _), NOENT | LOOP | NOTDIR | 0, 0) => Verdict::Over,
        (Rename(..), NOTDIR, 0) => Verdict::Over,
        (RemoveDirectory(_), 0, INVAL) => Verdict::Over,
        (RemoveDirectory(_), NOTDIR | NOTEMPTY, INVAL | LOOP | NOENT) => Verdict::Intended,
        (Rename(..) | Unlink(_), NOTDIR, ISDIR | LOOP | NOENT | NOTEMPTY) => Verdict::Intended,
        (Link(..) | Symlink(..) | MakeDirectory(_), EXIST, LOOP | NOENT | NOTDIR) => Verdict::Intended,
        _ => elsewhere(operation, ours, theirs),
    }
}

fn elsewhere(operation: &Operation, ours: u32, theirs: u32) -> Verdict {
    use Operation::*;
    match (operation, ours, theirs) {
        // A link to be created through ends in a slash: there will be no file.
        (Open { .. }, LOOP | NOTDIR, ISDIR) => Verdict::Intended,
        // Where two things are wrong, one is found first.
        (Link(..) | Rename(..), NOENT, NOTDIR | LOOP) => Verdict::Intended,
        (WriteAt(..) | Resize(..), FBIG | INVAL, FBIG | INVAL) => Verdict::Intended,
        _ => Verdict::Wrong,
    }
}
