//! Fetching from servers and repositories of this machine, well-behaved and not.

mod downloads;
mod git;
mod http;
mod server;
