//! Reads a container's log, and follows it as it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};

use jiff::Timestamp;

use super::files::{self, Identity};
use super::{Entry, LogDriver};
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
    if container.spec.log.driver == LogDriver::None {
        return Err(Error::NoLog { name: container.name().to_owned() });
    }
    let path = container.log();
    let failed = |source| Error::Io { action: "read", path: path.clone(), source };
    // Before the first look, so that nothing is missed between the two.
    let watch = if options.follow { follow::Watch::start(container)? } else { follow::Watch::none() };
    let mut files = VecDeque::from(files::newer_than(&path, None).map_err(failed)?);
    if let Some(tail) = options.tail {
        skip_to_last(&mut files, tail).map_err(failed)?;
    }
    let Some(mut file) = files.pop_front() else { return Ok(()) };
    loop {
        let identity = Identity::of(&file).map_err(failed)?;
        let mut reader = BufReader::with_capacity(BLOCK as usize, file);
        let mut line = Vec::new();
        file = loop {
            // What was written before the end of the container is there when its end is seen.
            let ended = watch.has_ended(container)?;
            if !read_all(&mut reader, &mut line, options, each, &failed)? {
                return Ok(());
            }
            if let Some(next) = files.pop_front() {
                break next;
            }
            // A file that has a newer one is written no more, but may have been since it was read.
            files.extend(files::newer_than(&path, Some(identity)).map_err(failed)?);
            if !files.is_empty() {
                watch.renew(container)?;
                continue;
            }
            if ended {
                return Ok(());
            }
            watch.wait(options.until)?;
            if options.until.is_some_and(|until| Timestamp::now() > until) {
                return Ok(());
            }
        };
    }
}

/// Up to the end of the file as it is now. `false` if no more is wanted.
fn read_all(
    reader: &mut BufReader<File>,
    line: &mut Vec<u8>,
    options: &LogOptions,
    each: &mut dyn FnMut(&Entry) -> io::Result<()>,
    failed: &dyn Fn(io::Error) -> Error,
) -> Result<bool> {
    loop {
        let length = reader.by_ref().take(MAX_ENTRY).read_until(b'\n', line).map_err(failed)?;
        if length == 0 {
            return Ok(true);
        }
        if line.last() != Some(&b'\n') && (line.len() as u64) < MAX_ENTRY {
            // An entry is being written; the rest comes.
            continue;
        }
        // A damaged one, as after a crash of the machine, is passed over.
        if let Ok(entry) = serde_json::from_slice::<Entry>(line) {
            if options.until.is_some_and(|until| entry.time > until) {
                return Ok(false);
            }
            if options.since.is_none_or(|since| entry.time >= since) {
                each(&entry).map_err(|source| Error::Output { source })?;
            }
        }
        line.clear();
    }
}

/// Leaves the files that the last `count` lines are in, at the first of those.
fn skip_to_last(files: &mut VecDeque<File>, count: u64) -> io::Result<()> {
    let mut left = count;
    let mut needed = 0;
    for file in files.iter_mut().rev() {
        let (start, lines) = start_of_last(file, left)?;
        file.seek(SeekFrom::Start(start))?;
        needed += 1;
        left -= lines;
        if left == 0 {
            break;
        }
    }
    files.drain(..files.len() - needed);
    Ok(())
}

/// Where the last `count` lines begin, and how many they are: at most so many.
fn start_of_last(file: &mut File, count: u64) -> io::Result<(u64, u64)> {
    let end = file.seek(SeekFrom::End(0))?;
    if count == 0 {
        return Ok((end, 0));
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
                return Ok((after, count));
            }
        }
    }
    Ok((0, if end == 0 { 0 } else { seen + 1 }))
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
            let (start, found) = start_of_last(&mut file, count).expect("readable");
            assert_eq!(found, count.min(lines.len() as u64));
            let rest: usize = lines.iter().rev().take(count as usize).map(String::len).sum();
            assert_eq!(start, (lines.concat().len() - rest) as u64, "{count}");
        }
    }

    #[test]
    fn the_last_lines_are_in_several_files() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log");
        for (number, name) in ["log.2", "log.1", "log"].into_iter().enumerate() {
            let lines: String = (0..3).map(|line| format!("{number}{line}\n")).collect();
            std::fs::write(directory.path().join(name), lines).expect("ours");
        }
        for (count, expected) in
            [(0, ""), (2, "21 22"), (3, "20 21 22"), (4, "12 20 21 22"), (99, "00 01 02 10 11 12 20 21 22")]
        {
            let mut files = VecDeque::from(files::newer_than(&path, None).expect("readable"));
            skip_to_last(&mut files, count).expect("readable");
            let mut text = String::new();
            for file in &mut files {
                file.read_to_string(&mut text).expect("readable");
            }
            assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{count}");
        }
        let known = Identity::of(&File::open(directory.path().join("log.1")).expect("there")).expect("readable");
        assert_eq!(files::newer_than(&path, Some(known)).expect("readable").len(), 1);
    }
}
