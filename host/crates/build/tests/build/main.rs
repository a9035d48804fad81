//! Builds with an executor that needs nothing of the host: what is planned, keyed, cached and made.

mod artifacts;
mod cache;
mod contexts;
mod copying;
mod errors;
mod images;
mod rules;
mod support;
