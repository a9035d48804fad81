//! Questions on the terminal, one of them without showing the answer.

use std::io::{self, BufRead, Write};

use kiln_exec::Cancel;

#[cfg(not(unix))]
use crate::report::failure::Failure;

pub(super) fn visible(question: &str, cancel: &Cancel) -> anyhow::Result<String> {
    ask(question, cancel)
}

/// What is typed is not shown.
pub(super) fn hidden(question: &str, cancel: &Cancel) -> anyhow::Result<String> {
    #[cfg(unix)]
    {
        let _silence = Silence::begin()?;
        let answer = ask(question, cancel)?;
        writeln!(io::stderr())?;
        Ok(answer)
    }
    #[cfg(not(unix))]
    {
        let _ = (question, cancel);
        Err(Failure::new("passwords cannot be read from this terminal without showing them")
            .hint("use --password-stdin")
            .into())
    }
}

fn ask(question: &str, cancel: &Cancel) -> anyhow::Result<String> {
    write!(io::stderr(), "{question}")?;
    io::stderr().flush()?;
    wait(cancel)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// A read would go on after the signal that the user gives up with.
#[cfg(unix)]
fn wait(cancel: &Cancel) -> anyhow::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let tick = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let stdin = io::stdin();
    loop {
        if cancel.is_cancelled() {
            // After what the terminal shows for Ctrl-C.
            writeln!(io::stderr())?;
            anyhow::bail!("cancelled");
        }
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&tick)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

#[cfg(not(unix))]
fn wait(_: &Cancel) -> anyhow::Result<()> {
    Ok(())
}

/// The terminal shows nothing of what is typed until this goes.
#[cfg(unix)]
struct Silence(rustix::termios::Termios);

#[cfg(unix)]
impl Silence {
    fn begin() -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for Silence {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that went away.
        let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Flush, &self.0);
    }
}
