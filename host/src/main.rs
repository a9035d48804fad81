//! The program `kiln`: reads the command line, does what it says, tells how it went.
//!
//! ```text
//! cli       what can be asked            session   the store, executors and signals of this process
//! commands  what is done about it        report    what the user sees
//! ```

mod cli;
mod commands;
mod report;
mod session;

use std::process::ExitCode;

use report::failure;
use session::Session;

fn main() -> ExitCode {
    let (global, action) = cli::parse();
    let failed = action.failure_code();
    // Before anything that might start a thread: only a process of one thread may enter a user namespace.
    let session = match Session::start(global, action.needs_namespaces()) {
        Ok(session) => session,
        Err(error) => return failure::show(&error, failed),
    };
    match commands::run(action, &session) {
        Ok(code) => code,
        Err(error) => match session.interrupts.code() {
            Some(code) => failure::show_cancelled(code),
            None => failure::show(&error, failed),
        },
    }
}
