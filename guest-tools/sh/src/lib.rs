//! A POSIX shell for WASI steps: an evaluator over its own syntax tree.
//!
//! There is no fork. A subshell runs on a copy of the shell's state; what must run at the same time as something else
//! (a pipeline member, an asynchronous list) is spawned: a program as itself, anything else as another instance of
//! this shell, to which the state is handed over as text.

mod arithmetic;
mod braces;
mod builtins;
mod command;
mod conditions;
mod execute;
mod expand;
mod fields;
mod glob;
mod handover;
mod options;
mod parameters;
mod pipeline;
mod process;
mod redirect;
mod standard_input;
mod start;
mod state;
mod streams;
mod substrings;
pub mod syntax;
mod trap;
mod variables;

pub use start::main;
