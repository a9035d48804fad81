//! Reads a container's log, and follows it as it grows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};

use jiff::Timestamp;

use super::Entry;
use crate::error::{Error, Result};
use crate::{Container, follow};

/// One entry is at most 16 KiB of text, each byte of which JSON may write as six.
const MAX_ENTRY: u64 = 256 << 10;
const BLOCK: u64 = 64 << 10;

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// The last so many of them.
    pub tail: Option<u64>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Goes on until the container ends.
    pub follow: bool,
}

/// Hands `each` the entries that are wanted, oldest first. A container that never ran has none.
pub fn read(container: &Container, options: &LogOptions, each: &mut dyn FnMut(&Entry) -> io::Result<()>) -> Result<()> {
    let path = container.log();
    let failed = |source| Error::Io { action: "read", path: path.clone(), source };
    // Before the first look, so that nothing is missed between the two.
    let watch = if options.follow { follow::Watch::start(container)? } else { follow::Watch::none() };
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if let Some(tail) = options.tail {
        let start = start_of_last(&mut file, tail).map_err(failed)?;
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
    }
    let mut reader = BufReader::with_capacity(BLOCK as usize, file);
    let mut line = Vec::new();
    loop {
        // What was written before the end of the container is there when its end is seen.
        let ended = watch.has_ended(container)?;
        loop {
            let length = reader.by_ref().take(MAX_ENTRY).read_until(b'\n', &mut line).map_err(failed)?;
            if length == 0 {
                break;
            }
            if line.last() != Some(&b'\n') && (line.len() as u64) < MAX_ENTRY {
                // An entry is being written; the rest comes.
                continue;
            }
            // A damaged one, as after a crash of the machine, is passed over.
            if let Ok(entry) = serde_json::from_slice::<Entry>(&line) {
                if options.until.is_some_and(|until| entry.time > until) {
                    return Ok(());
                }
                if options.since.is_none_or(|since| entry.time >= since) {
                    each(&entry).map_err(|source| Error::Output { source })?;
                }
            }
            line.clear();
        }
        if ended {
            return Ok(());
        }
        watch.wait(options.until)?;
        if options.until.is_some_and(|until| Timestamp::now() > until) {
            return Ok(());
        }
    }
}

/// Where the last `count` lines begin.
fn start_of_last(file: &mut File, count: u64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    if count == 0 {
        return Ok(end);
    }
    let (mut position, mut seen) = (end, 0);
    let mut block = Vec::new();
    while position > 0 {
        let length = position.min(BLOCK);
        position -= length;
        file.seek(SeekFrom::Start(position))?;
        block.clear();
        file.by_ref().take(length).read_to_end(&mut block)?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = position + at as u64 + 1;
            // The end of the last line begins none.
            if after == end {
                continue;
            }
            seen += 1;
            if seen == count {
                return Ok(after);
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_last_lines_are_found_from_the_end() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let lines: Vec<String> = (0..20_000).map(|number| format!("line {number}\n")).collect();
        file.write_all(lines.concat().as_bytes()).expect("ours");
        for count in [0, 1, 2, 19_999, 20_000, 30_000] {
            let start = start_of_last(&mut file, count).expect("readable");
            let rest: usize = lines.iter().rev().take(count as usize).map(String::len).sum();
            assert_eq!(start, (lines.concat().len() - rest) as u64, "{count}");
        }
    }
}
