//! The WASI executor as its callers and its guests see it.

mod calls;
mod determinism;
mod hostile;
mod limits;
mod modules;
mod processes;
mod programs;
mod support;
