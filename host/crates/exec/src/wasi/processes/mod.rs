//! The processes of a step: finding their programs, starting them, what connects them, how they end.

mod compilations;
mod descriptors;
mod fuel;
mod guest;
mod pipe;
mod program;
mod step;
mod table;
mod thread;

pub(crate) use descriptors::{APPEND, Descriptor, Descriptors, Directory, HERE, Listing, NONBLOCK, Open, Target};
pub(crate) use fuel::settle;
pub(crate) use guest::{End, Failure, Guest, Start};
pub(crate) use pipe::LOOK;
pub(crate) use program::{Program, Refused, find_program};
#[cfg(all(test, target_os = "linux"))]
pub(crate) use step::Step;
pub use step::Stopped;
pub(crate) use step::{run_and_keep, run_step};
pub(crate) use table::Child;
pub(crate) use thread::start_process;
