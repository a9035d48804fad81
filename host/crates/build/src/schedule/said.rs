//! What a step says, on its way to the reporter.

use std::sync::{Mutex, PoisonError};

use kiln_exec::Stream;

use super::Build;
use crate::Event;
use crate::plan::Shown;
use crate::redact::Redacted;

/// The output of one step.
pub(super) struct Said<'a> {
    build: &'a Build<'a>,
    shown: &'a Shown,
    /// Whether it is passed on at all.
    told: bool,
    stdout: Mutex<Redacted>,
    stderr: Mutex<Redacted>,
}

impl<'a> Said<'a> {
    pub(super) fn new(build: &'a Build<'a>, shown: &'a Shown, told: bool) -> Self {
        Self { build, shown, told, stdout: Mutex::default(), stderr: Mutex::default() }
    }

    pub(super) fn piece(&self, stream: Stream, bytes: &[u8]) {
        match &self.build.redactor {
            _ if !self.told => {}
            None => self.pass_on(stream, bytes),
            Some(redactor) => {
                let mut held = self.held(stream).lock().unwrap_or_else(PoisonError::into_inner);
                self.pass_on(stream, &redactor.pass(&mut held, bytes));
            }
        }
    }

    /// Nothing more comes: what was held back is said.
    pub(super) fn finish(&self) {
        let Some(redactor) = &self.build.redactor else { return };
        for stream in [Stream::Out, Stream::Err] {
            let mut held = self.held(stream).lock().unwrap_or_else(PoisonError::into_inner);
            self.pass_on(stream, &redactor.finish(&mut held));
        }
    }

    fn held(&self, stream: Stream) -> &Mutex<Redacted> {
        match stream {
            Stream::Out => &self.stdout,
            Stream::Err => &self.stderr,
        }
    }

    fn pass_on(&self, stream: Stream, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.build.reporter.event(Event::Output { step: self.shown.id, stream, bytes });
        }
    }
}
