//! Fetching from servers and repositories of this machine, well-behaved and not.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod downloads;
mod git;
mod http;
mod server;
