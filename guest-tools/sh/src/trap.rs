//! `trap`. Nothing in a step sends signals that a program could handle, so only EXIT and ERR ever run; actions for the
//! others are kept and shown.

use kiln_tools::context::show;

use crate::options::Flag;
use crate::state::{Run, STATUS_ERROR, Shell, Stop};
use crate::syntax::print;

/// The condition of an untested failure; no signal has its number.
const ERR: (&str, u32) = ("ERR", u32::MAX);

pub(crate) const SIGNALS: [(&str, u32); 32] = [
    ("EXIT", 0),
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of a signal given by name or number.
pub(crate) fn signal(text: &[u8]) -> Option<(&'static str, u32)> {
    let text = show(text).to_uppercase();
    if text == "ERR" {
        return Some(ERR);
    }
    let name = text.strip_prefix("SIG").unwrap_or(&text);
    SIGNALS.iter().find(|(known, number)| *known == name || number.to_string() == name).copied()
}

pub(crate) fn trap(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let mut args = &argv[1..];
    if args.first().is_some_and(|arg| arg == b"--") {
        args = &args[1..];
    }
    if args.is_empty() {
        let mut out = Vec::new();
        for (name, action) in &shell.traps {
            out.extend_from_slice(b"trap -- ");
            out.extend_from_slice(&print::quote(action));
            out.extend_from_slice(format!(" {name}\n").as_bytes());
        }
        return Ok(u8::from(shell.write(1, &out).is_err()));
    }
    // Without an action the conditions are reset.
    let (action, conditions) = match args.split_first() {
        Some((first, [])) if signal(first).is_some() => (None, args),
        Some((first, rest)) if first == b"-" => (None, rest),
        Some((first, _)) if show(first).parse::<u32>().is_ok() => (None, args),
        Some((first, rest)) => (Some(first), rest),
        None => return Ok(0),
    };
    for condition in conditions {
        let Some((name, _)) = signal(condition) else {
            shell.complain(&format!("trap: {}: bad trap", show(condition)));
            return Ok(1);
        };
        match action {
            Some(action) => shell.traps.insert(name.to_string(), action.clone()),
            None => shell.traps.remove(name),
        };
    }
    Ok(0)
}

impl Shell {
    /// What a subshell inherits: ignored signals, and the action for errors where `set -E` says so.
    pub(crate) fn keep_subshell_traps(&mut self) {
        let errors = self.options.get(Flag::ErrTrace);
        self.traps.retain(|name, action| action.is_empty() || (errors && name == "ERR"));
    }

    /// Runs the action for ERR. Functions do not inherit it without `set -E`.
    pub(crate) fn run_error_trap(&mut self) -> Run {
        if !self.calls.is_empty() && !self.options.get(Flag::ErrTrace) {
            return Ok(());
        }
        let Some(action) = self.traps.get("ERR").filter(|action| !action.is_empty()).cloned() else { return Ok(()) };
        if self.trap_line.is_some() {
            return Ok(());
        }
        let (status, line) = (self.status, self.line);
        self.trap_line = Some(line);
        let result = self.evaluate(&action);
        self.trap_line = None;
        (self.status, self.line) = (status, line);
        result
    }

    /// Runs the action for EXIT, once. The status stays unless the action exits with another.
    pub(crate) fn run_exit_trap(&mut self) {
        let Some(action) = self.traps.remove("EXIT") else { return };
        let status = self.status;
        match self.evaluate(&action) {
            Err(Stop::Exit(status)) => self.status = status,
            Err(Stop::Error) => self.status = STATUS_ERROR,
            _ => self.status = status,
        }
    }
}
