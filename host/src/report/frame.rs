//! Lines at the bottom of a terminal that are drawn again and again, below those that stay.
//!
//! The cursor waits at the beginning of the line below them, so that whatever somebody else writes, the `^C` of the
//! user's among it, harms nothing. Where there is no terminal nothing is drawn.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Faster than that nobody reads.
const PAUSE: Duration = Duration::from_millis(80);

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Stream {
    pub(crate) fn say(self, line: &str) -> io::Result<()> {
        self.write(&format!("{line}\n"))
    }

    fn write(self, text: &str) -> io::Result<()> {
        match self {
            Self::Out => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()
            }
            Self::Err => io::stderr().lock().write_all(text.as_bytes()),
        }
    }

    fn is_terminal(self) -> bool {
        let is_terminal = match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Err => io::stderr().is_terminal(),
        };
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "dumb");
        // Windows' own terminal understands escape sequences, the console before it not always.
        is_terminal && if cfg!(windows) { set("WT_SESSION") || set("TERM") } else { set("TERM") }
    }

    /// Columns and rows at the moment.
    fn size(self) -> (usize, usize) {
        #[cfg(unix)]
        {
            let size = match self {
                Self::Out => rustix::termios::tcgetwinsize(io::stdout()),
                Self::Err => rustix::termios::tcgetwinsize(io::stderr()),
            };
            if let Ok(size) = size
                && size.ws_col > 0
                && size.ws_row > 0
            {
                return (usize::from(size.ws_col), usize::from(size.ws_row));
            }
        }
        (80, 24)
    }
}

pub(crate) struct Frame {
    stream: Stream,
    is_terminal: bool,
    /// How long the lines on the screen are.
    drawn: Vec<usize>,
    last: Option<Instant>,
}

impl Frame {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, is_terminal: stream.is_terminal(), drawn: Vec::new(), last: None }
    }

    /// Draws what `lines` makes for that many columns, unless it was drawn just now and this is not `urgent`.
    pub(crate) fn draw(&mut self, urgent: bool, lines: impl FnOnce(usize) -> Vec<String>) {
        if !self.is_terminal || (!urgent && self.last.is_some_and(|last| last.elapsed() < PAUSE)) {
            return;
        }
        let (columns, rows) = self.stream.size();
        let mut lines = lines(columns);
        lines.truncate(rows.saturating_sub(1));
        let mut text = self.up(columns);
        self.drawn.clear();
        for line in &lines {
            let line: String = line.chars().take(columns.saturating_sub(1)).collect();
            self.drawn.push(line.chars().count());
            let _ = writeln!(text, "\x1b[2K{line}");
        }
        text.push_str("\x1b[J");
        self.last = Some(Instant::now());
        // A terminal that went away is told by what has to be written.
        let _ = self.stream.write(&text);
    }

    /// Takes the lines away.
    pub(crate) fn clear(&mut self) {
        if !self.drawn.is_empty() {
            let text = format!("{}\x1b[J", self.up(self.stream.size().0));
            self.drawn.clear();
            self.last = None;
            let _ = self.stream.write(&text);
        }
    }

    /// Back to the first line. Terminals that became narrower have wrapped the lines meanwhile.
    fn up(&self, columns: usize) -> String {
        let rows: usize = self.drawn.iter().map(|&length| length.div_ceil(columns.max(1)).max(1)).sum();
        if rows == 0 { "\r".to_owned() } else { format!("\r\x1b[{rows}A") }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_are_counted() {
        let mut frame = Frame { stream: Stream::Err, is_terminal: false, drawn: vec![92, 30, 0], last: None };
        assert_eq!(frame.up(100), "\r\x1b[3A");
        assert_eq!(frame.up(50), "\r\x1b[4A");
        frame.drawn.clear();
        assert_eq!(frame.up(50), "\r");
    }
}
