//! Builds with an executor that needs nothing of the host: what is planned, keyed, cached and made.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod artifacts;
mod cache;
mod contexts;
mod copying;
mod errors;
mod failures;
mod former;
mod images;
mod options;
mod rules;
mod support;
