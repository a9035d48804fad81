//! Writes a container's log.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::{LogConfig, LogDriver, files};
use crate::protocol::Stream;

/// Longer lines become several entries.
const MAX_LINE: usize = 16 << 10;

/// The log of a container that runs.
pub(crate) struct Log {
    /// `None` where nothing is kept.
    file: Option<File>,
    path: PathBuf,
    /// So many bytes are in the file.
    written: u64,
    max_size: Option<u64>,
    max_files: u32,
    /// Of each stream, what has no end of line yet.
    partial: [Vec<u8>; 2],
    buffer: Vec<u8>,
}

#[derive(Serialize)]
struct Line<'a> {
    log: &'a str,
    stream: &'a str,
    #[serde(with = "super::rfc3339")]
    time: Timestamp,
}

impl Log {
    /// What is there stays: a log tells of all starts.
    pub(crate) fn open(path: &Path, config: &LogConfig) -> io::Result<Self> {
        let open = || File::options().create(true).append(true).open(path);
        let file = if config.driver == LogDriver::None { None } else { Some(open()?) };
        let written = file.as_ref().map_or(Ok(0), |file| file.metadata().map(|metadata| metadata.len()))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            written,
            max_size: config.max_size,
            max_files: config.max_files,
            partial: [Vec::new(), Vec::new()],
            buffer: Vec::new(),
        })
    }

    /// A log that cannot be written, as on a full disk, has gaps; the container goes on.
    pub(crate) fn write(&mut self, stream: Stream, mut bytes: &[u8]) {
        if self.file.is_none() {
            return;
        }
        let time = Timestamp::now();
        let mut partial = std::mem::take(&mut self.partial[stream as usize]);
        while !bytes.is_empty() {
            let room = MAX_LINE - partial.len();
            let end = bytes.iter().take(room).position(|&byte| byte == b'\n').map(|at| at + 1);
            let (piece, rest) = bytes.split_at(end.unwrap_or(room.min(bytes.len())));
            bytes = rest;
            if partial.is_empty() && end.is_some() {
                self.append(stream, piece, time);
                continue;
            }
            partial.extend_from_slice(piece);
            if end.is_some() || partial.len() == MAX_LINE {
                self.append(stream, &partial, time);
                partial.clear();
            }
        }
        self.partial[stream as usize] = partial;
        self.flush();
    }

    /// At each end of the container.
    pub(crate) fn finish(&mut self) {
        let time = Timestamp::now();
        for stream in [Stream::Out, Stream::Err] {
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                self.append(stream, &partial, time);
            }
        }
        self.flush();
    }

    fn append(&mut self, stream: Stream, bytes: &[u8], time: Timestamp) {
        let stream = if stream == Stream::Out { "stdout" } else { "stderr" };
        let line = Line { log: &String::from_utf8_lossy(bytes), stream, time };
        let before = self.buffer.len();
        let written = serde_json::to_writer(&mut self.buffer, &line);
        debug_assert!(written.is_ok(), "strings are always JSON, and memory takes all");
        self.buffer.push(b'\n');
        let size = |unwritten: usize| self.written + unwritten as u64;
        if self.max_size.is_some_and(|most| size(self.buffer.len()) > most) && size(before) > 0 {
            let line = self.buffer.split_off(before);
            self.flush();
            if let Ok(file) = files::rotate(&self.path, self.max_files) {
                self.file = Some(file);
            }
            // If that failed, it is tried again when as much was written once more.
            self.written = 0;
            self.buffer = line;
        }
    }

    fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            let _ = file.write_all(&self.buffer);
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(MAX_LINE * 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Entry;

    fn entries(path: &Path) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(path).expect("written");
        let parse = |line| serde_json::from_str::<Entry>(line).expect("an entry");
        text.lines().map(parse).map(|entry| (entry.log, entry.stream)).collect()
    }

    #[test]
    fn lines_are_entries_and_parts_wait_for_their_end() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log");
        let mut log = Log::open(&path, &LogConfig::default()).expect("opened");
        log.write(Stream::Out, b"one\ntwo");
        log.write(Stream::Err, b"err");
        log.write(Stream::Out, b" more\n\xff\n");
        log.finish();
        let expected = [("one\n", "stdout"), ("two more\n", "stdout"), ("\u{fffd}\n", "stdout"), ("err", "stderr")];
        assert_eq!(entries(&path), expected.map(|(log, stream)| (log.to_owned(), stream.to_owned())));
    }

    #[test]
    fn long_lines_are_cut() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log");
        let mut log = Log::open(&path, &LogConfig::default()).expect("opened");
        log.write(Stream::Out, &[b'x'; MAX_LINE - 1]);
        log.write(Stream::Out, &[b'x'; MAX_LINE + 6]);
        log.write(Stream::Out, b"\n");
        let lengths: Vec<usize> = entries(&path).iter().map(|(log, _)| log.len()).collect();
        assert_eq!(lengths, [MAX_LINE, MAX_LINE, 6]);
    }

    #[test]
    fn files_are_begun_anew_at_their_size() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log");
        let config = LogConfig { max_size: Some(200), max_files: 3, ..LogConfig::default() };
        let mut log = Log::open(&path, &config).expect("opened");
        let texts: Vec<String> = (0..20).map(|number| format!("line {number}\n")).collect();
        log.write(Stream::Out, texts[..7].concat().as_bytes());
        texts[7..].iter().for_each(|text| log.write(Stream::Out, text.as_bytes()));
        let mut files: Vec<String> = std::fs::read_dir(directory.path())
            .expect("ours")
            .map(|entry| entry.expect("ours").file_name().into_string().expect("ours"))
            .collect();
        files.sort();
        assert_eq!(files, ["log", "log.1", "log.2"]);
        let kept: Vec<String> = ["log.2", "log.1", "log"]
            .iter()
            .flat_map(|name| {
                let path = directory.path().join(name);
                assert!(path.metadata().expect("there").len() <= 200);
                entries(&path).into_iter().map(|(log, _)| log)
            })
            .collect();
        assert_eq!(kept, texts[texts.len() - kept.len()..]);
        // It goes on where it was.
        let written = path.metadata().expect("there").len();
        drop(log);
        assert_eq!(Log::open(&path, &config).expect("opened").written, written);
    }

    #[test]
    fn nothing_is_kept_by_none() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log");
        let config = LogConfig { driver: LogDriver::None, ..LogConfig::default() };
        let mut log = Log::open(&path, &config).expect("opened");
        log.write(Stream::Out, b"one\n");
        log.finish();
        assert!(!path.exists());
    }
}
