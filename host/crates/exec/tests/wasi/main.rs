//! The WASI executor as its callers and its guests see it.

mod calls;
mod determinism;
mod hostile;
mod processes;
mod programs;
mod support;
