//! This process's terminal while it is another's: passed on as it is typed, and put back whatever happens.

use kiln_container::protocol::WindowSize;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// A terminal that passes every key on. Dropped, also by a panic, it is as it was.
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    /// `None` if standard input is no terminal.
    pub(super) fn enter() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// The window's size, if there is a window.
pub(super) fn size() -> Option<WindowSize> {
    let size = if isatty(stdout()) { tcgetwinsize(stdout()) } else { tcgetwinsize(stdin()) }.ok()?;
    (size.ws_row != 0 && size.ws_col != 0).then_some(WindowSize { rows: size.ws_row, columns: size.ws_col })
}
