//! What happens during a build, for whoever shows it.

use kiln_exec::Stream;
use kiln_types::{Digest, Reference};

use crate::PulledImage;
use crate::explain::Explanation;

/// The place of a step in the order of the Dockerfile: unique within a build, and sorted as its steps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub usize);

/// Events of one step come in order; events of different steps may come from different threads, interleaved.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The size of the context as a tar stream, in bytes. Comes first, if at all.
    Context {
        size: u64,
    },
    /// An image that the build needs is on its way. Comes before all steps: what became of it is told by `Pulled`.
    Pulling {
        name: &'a Reference,
        event: kiln_registry::Event<'a>,
    },
    /// `number` of `total` instructions, or `None` for a trigger of the base image (ONBUILD).
    Started {
        step: StepId,
        number: Option<usize>,
        total: usize,
        text: &'a str,
    },
    /// This step is the first to use an image that was pulled for the build.
    Pulled {
        step: StepId,
        image: &'a PulledImage,
    },
    /// The base image of this FROM brings so many triggers, which follow as steps of their own.
    Triggers {
        step: StepId,
        count: usize,
    },
    /// Why the step is done, or need not be: only where the request asks for it, and before `Cached` or `Running`.
    Explained {
        step: StepId,
        explanation: &'a Explanation,
    },
    /// The result of an earlier build is used.
    Cached {
        step: StepId,
    },
    /// Something is executed; `container` identifies it in what is printed (12 hexadecimal digits).
    Running {
        step: StepId,
        container: &'a str,
    },
    Output {
        step: StepId,
        stream: Stream,
        bytes: &'a [u8],
    },
    /// Something the user should know about how this step is done.
    Note {
        step: StepId,
        text: &'a str,
    },
    /// What `Running` announced is over and cleaned up.
    Removed {
        step: StepId,
        container: &'a str,
    },
    /// The step's result is an image of its own; `None` after `FROM scratch`.
    Finished {
        step: StepId,
        image: Option<Digest>,
    },
    /// The step did not succeed; the error follows as the build's result.
    Failed {
        step: StepId,
    },
}

/// Receives the events of a build.
pub trait Reporter: Sync {
    fn event(&self, event: Event<'_>);
}
