//! `--security-opt` as a container keeps it.

use std::fs::File;
use std::io::Read as _;

use kiln_container::security;
use kiln_dockerfile::Span;

use crate::report::failure::Failure;
use crate::report::problem::Place;

/// With a profile's content in place of its file's name.
pub(super) fn read(option: &str) -> anyhow::Result<String> {
    let Some(path) = security::profile_file(option) else { return Ok(option.to_owned()) };
    let failed = || Failure::new(format!("cannot read the profile of system calls {}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed().because(error))?;
    let read =
        file.take(security::MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| failed().because(error))?;
    if read as u64 > security::MOST_BYTES {
        return Err(failed().hint("it is longer than 1 MiB: name a profile in Docker's JSON form").into());
    }
    security::with_profile(&text).map_err(|error| {
        let line = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
        let at = (line + error.column().saturating_sub(1)).min(text.len());
        let failure = Failure::new("the profile of system calls cannot be used");
        let failure = if error.line() > 0 {
            failure.at(Place::new(&path.display().to_string(), text.as_bytes(), Span::new(at, at + 1)))
        } else {
            failure.hint(format!("correct {}", path.display()))
        };
        failure.because(error).into()
    })
}
