//! What builtins print, and `umask`.

use std::io::ErrorKind;

use kiln_tools::context::{STATUS_BROKEN_PIPE, reason, show};

use crate::state::{Shell, Stop};

/// Prints for a builtin.
pub(super) fn print(shell: &mut Shell, bytes: &[u8]) -> Result<u8, Stop> {
    match shell.write(1, bytes) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Stop::Exit(STATUS_BROKEN_PIPE)),
        Err(error) => {
            shell.complain(&format!("write error: {}", reason(&error)));
            Ok(1)
        }
    }
}

pub(super) fn umask(shell: &mut Shell, argv: &[Vec<u8>]) -> Result<u8, Stop> {
    let symbolic = argv.get(1).is_some_and(|arg| arg == b"-S");
    match argv.get(if symbolic { 2 } else { 1 }) {
        None if symbolic => {
            let allowed = !shell.umask & 0o777;
            let letters = |shift: u32| -> String {
                [(4, 'r'), (2, 'w'), (1, 'x')]
                    .iter()
                    .filter(|(bit, _)| allowed >> shift & bit != 0)
                    .map(|(_, c)| *c)
                    .collect()
            };
            print(shell, format!("u={},g={},o={}\n", letters(6), letters(3), letters(0)).as_bytes())
        }
        None => {
            let line = format!("{:04o}\n", shell.umask);
            print(shell, line.as_bytes())
        }
        Some(text) => {
            let octal = u32::from_str_radix(&show(text), 8).ok().filter(|mask| *mask <= 0o777);
            let mask = octal.or_else(|| {
                let mode = kiln_tools::tools::chmod::Mode::parse(text)?;
                Some(!mode.apply(!shell.umask & 0o777, true, 0) & 0o777)
            });
            let Some(mask) = mask else {
                return Err(shell.fail(&format!("umask: Illegal mode: {}", show(text))));
            };
            kiln_guest::umask(mask);
            shell.umask = mask;
            Ok(0)
        }
    }
}
