//! Quiet progress: nothing, except what a failing step had written.

use std::collections::BTreeMap;
use std::io::{self, Seek, Write};
use std::sync::{Mutex, PoisonError};

use kiln_build::{Event, Reporter, StepId};
use tempfile::SpooledTempFile;

const IN_MEMORY: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Quiet {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    steps: BTreeMap<StepId, Step>,
    failed: Option<Step>,
}

struct Step {
    number: Option<String>,
    output: SpooledTempFile,
}

impl Quiet {
    /// Writes what the failing step had written to `out`. The step comes back as `2/3`.
    pub(crate) fn finish(self, out: &mut impl Write) -> io::Result<Option<String>> {
        let kept = self.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(mut step) = kept.failed else { return Ok(None) };
        step.output.rewind()?;
        io::copy(&mut step.output, out)?;
        Ok(step.number)
    }
}

impl Reporter for Quiet {
    fn event(&self, event: Event<'_>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { step, number, total, .. } => {
                let number = number.map(|number| format!("{number}/{total}"));
                kept.steps.insert(step, Step { number, output: SpooledTempFile::new(IN_MEMORY) });
            }
            Event::Output { step, bytes, .. } => {
                if let Some(step) = kept.steps.get_mut(&step) {
                    // The output is a help in case of failure; a full temporary directory is no reason to fail.
                    let _ = step.output.write_all(bytes);
                }
            }
            Event::Finished { step, .. } => {
                kept.steps.remove(&step);
            }
            Event::Failed { step } => {
                let failed = kept.steps.remove(&step);
                kept.failed = kept.failed.take().or(failed);
            }
            Event::Context { .. }
            | Event::Pulling { .. }
            | Event::Pulled { .. }
            | Event::Triggers { .. }
            | Event::Explained { .. }
            | Event::Cached { .. }
            | Event::Running { .. }
            | Event::Note { .. }
            | Event::Removed { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_exec::Stream;

    use super::*;

    #[test]
    fn keeps_only_the_output_of_the_failing_step() {
        let quiet = Quiet::default();
        for step in [StepId(0), StepId(1)] {
            quiet.event(Event::Started { step, number: Some(step.0 + 1), total: 2, text: "RUN x" });
            quiet.event(Event::Output { step, stream: Stream::Err, bytes: format!("{}\n", step.0).as_bytes() });
        }
        quiet.event(Event::Finished { step: StepId(0), image: None });
        quiet.event(Event::Failed { step: StepId(1) });
        let mut out = Vec::new();
        assert_eq!(quiet.finish(&mut out).expect("written").as_deref(), Some("2/2"));
        assert_eq!(out, b"1\n");
    }
}
