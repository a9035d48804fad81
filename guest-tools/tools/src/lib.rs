//! The everyday utilities as functions over a [`Context`], so that the shell can run the cheap ones in its own process
//! and tests need no processes at all.

pub mod calendar;
pub mod context;
pub mod escapes;
pub mod expression;
pub mod options;
pub mod pattern;
pub mod printf;
pub mod regex;
pub mod search;
pub mod tools;

pub use context::{Context, Failure, Outcome};

/// A utility: reads its arguments, streams and surroundings from the context, and returns its exit status.
pub type Tool = fn(&mut Context) -> Outcome;
