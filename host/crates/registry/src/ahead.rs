//! Blobs that are sent while they are made: their digests are told when all of them is there.

use std::io::{self, Read};

use kiln_fetch::{Body, Method, Source};
use kiln_store::{Growing, GrowingReader};

use crate::LayerState;
use crate::blobs::Watch;
use crate::session::{Call, Session, Target};
use crate::upload::{Begun, OCTETS, Upload, received};

/// What is smaller is made before its first byte would have left, and may be there already.
const WORTH_IT: u64 = 8 << 20;

impl Session<'_> {
    /// Begins to send what grows, and goes on to its end. `None` where that is not worth it or came to nothing; what is
    /// incomplete can be gone on with.
    pub(crate) fn upload_ahead(&self, what: &str, growing: &Growing, watch: &dyn Watch) -> Option<Upload> {
        if !growing.reaches(WORTH_IT) {
            return None;
        }
        let Ok(Begun::Upload(mut upload)) = self.begin_upload(what, None) else { return None };
        let source = Ahead { growing, watch };
        let sent = self.send(&Call {
            method: Method::Patch,
            headers: &[OCTETS],
            body: Body::Stream { length: None, source: &source },
            attempts: Some(1),
            ..Call::get(Target::Url(&upload.location), what)
        });
        match sent {
            Ok(response) if response.status == 202 => {
                let said = response.header("range").and_then(received);
                upload.offset = said.or_else(|| growing.size())?;
                upload.location = self.location(what, &response).ok()?;
                Some(upload)
            }
            _ if growing.reaches(0) => self.state_of(what, upload),
            _ => Some(upload),
        }
    }

    /// Tells the registry to forget an upload. Those that it is not told of it forgets some day.
    pub(crate) fn cancel_upload(&self, what: &str, upload: &Upload) {
        let target = Target::Url(&upload.location);
        let _ = self.send(&Call { method: Method::Delete, attempts: Some(1), ..Call::get(target, what) });
    }
}

struct Ahead<'a> {
    growing: &'a Growing,
    watch: &'a dyn Watch,
}

impl Source for Ahead<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Reading { input: self.growing.reader()?, done: 0, ahead: self }))
    }
}

struct Reading<'a> {
    input: GrowingReader<'a>,
    done: u64,
    ahead: &'a Ahead<'a>,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.ahead.watch.check().map_err(|_| io::Error::other("another blob has failed"))?;
        let read = self.input.read(buffer)?;
        self.done += read as u64;
        // Until then it is compressed, which is told by others.
        if let Some(total) = self.ahead.growing.size() {
            self.ahead.watch.state(LayerState::Pushing { done: self.done, total });
        }
        Ok(read)
    }
}
