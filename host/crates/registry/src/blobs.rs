//! Blobs on their way into the store: streamed, verified, and gone on with where a connection broke.
//!
//! A blob is named by its digest, so its parts belong together whoever sends them: no validator is needed beside the
//! `Content-Range`, and another endpoint may go on with what one began.

use std::io::{Read, Write};
use std::time::Duration;

use kiln_fetch::{Client, Response, Url};
use kiln_image::Descriptor;
use kiln_store::{Receive, Receiver, Store};
use kiln_types::Digest;

use crate::session::{Call, Session, Target};
use crate::{Error, LayerState, Result};

const BLOCK: usize = 256 << 10;
/// Attempts in a row that bring less than [`ENOUGH`].
const ATTEMPTS: u32 = 5;
/// Who sends this much between two interruptions may be interrupted any number of times.
const ENOUGH: u64 = 1 << 20;
/// How often is looked whether another process has finished.
const TICK: Duration = Duration::from_millis(50);

/// What is told of a blob, and whether somebody still wants it.
pub(crate) trait Watch {
    fn state(&self, state: LayerState<'_>);
    /// # Errors
    /// `Cancelled` where another blob has failed.
    fn check(&self) -> Result<()>;
}

/// Waits until the blob, of a layer with that diff id, is this thread's to fetch; `None` where it is there.
pub(crate) fn reserve<'a>(
    store: &'a Store,
    client: &Client,
    blob: &Descriptor,
    diff_id: Option<&Digest>,
    watch: &dyn Watch,
) -> Result<Option<Box<Receiver<'a>>>> {
    loop {
        match store.receive_blob(&blob.digest, blob.size, diff_id)? {
            Receive::Present => return Ok(None),
            Receive::Ready(receiver) => return Ok(Some(receiver)),
            Receive::Busy => {
                watch.check()?;
                client.wait(TICK)?;
            }
        }
    }
}

impl Session<'_> {
    /// Receives what is missing of a blob: from this repository, or from a URL elsewhere.
    pub(crate) fn download(
        &self,
        blob: &Descriptor,
        from: Option<&Url>,
        receiver: &mut Receiver<'_>,
        watch: &dyn Watch,
    ) -> Result<()> {
        let path = format!("/blobs/{}", blob.digest);
        let target = from.map_or(Target::Repository(&path), Target::Url);
        let (mut failures, mut best) = (0, receiver.received());
        loop {
            let result = self.receive(blob, target, receiver, watch);
            let (error, asked) = match result {
                Ok(Progressed::Complete) => return Ok(()),
                Ok(Progressed::Busy(error, wait)) => (error, wait),
                Err(error @ Error::Fetch(kiln_fetch::Error::Broken { .. })) => (error, None),
                Err(error @ Error::Fetch(kiln_fetch::Error::Stalled { .. })) => (error, None),
                Err(error @ Error::Fetch(kiln_fetch::Error::Unreachable { .. })) => (error, None),
                Err(error) => return Err(error),
            };
            let enough = receiver.received() >= best.saturating_add(ENOUGH);
            best = best.max(receiver.received());
            failures = if enough { 1 } else { failures + 1 };
            // A mirror has a substitute.
            let attempts = if self.endpoint.is_mirror { 2 } else { ATTEMPTS };
            if failures >= attempts {
                return Err(error);
            }
            let after = asked.unwrap_or_else(|| self.client.pause(failures));
            watch.state(LayerState::Retrying { after, error: &error });
            self.client.wait(after)?;
        }
    }

    fn receive(
        &self,
        blob: &Descriptor,
        target: Target<'_>,
        receiver: &mut Receiver<'_>,
        watch: &dyn Watch,
    ) -> Result<Progressed> {
        if receiver.received() == blob.size && blob.size > 0 {
            return Ok(Progressed::Complete);
        }
        let what = format!("blob {}", blob.digest.short());
        let range = format!("bytes={}-", receiver.received());
        let headers = [("range", range.as_str())];
        let headers = if receiver.received() > 0 { &headers[..] } else { &[] };
        let response = self.send(&Call { headers, attempts: Some(1), ..Call::get(target, &what) })?;
        let start = match response.status {
            200 => 0,
            206 => response
                .header("content-range")
                .and_then(|range| part_start(range, blob.size))
                .filter(|&start| start == receiver.received())
                .ok_or_else(|| self.bad_answer(&what, "it is another part than the one that was asked for"))?,
            416 if receiver.received() > 0 => {
                receiver.restart()?;
                return Ok(Progressed::Busy(self.refusal(&what, response), Some(Duration::ZERO)));
            }
            _ if response.is_temporary() => {
                let wait = response.retry_after();
                if let Some(wait) = wait.filter(|&wait| wait > kiln_fetch::LONGEST_WAIT) {
                    return Err(kiln_fetch::Error::Busy { host: response.url.host().to_owned(), wait }.into());
                }
                return Ok(Progressed::Busy(self.refusal(&what, response), wait));
            }
            _ => return Err(self.refusal(&what, response)),
        };
        if start < receiver.received() {
            // It sends everything once more.
            receiver.restart()?;
        }
        let length = response.header("content-length").and_then(|length| length.parse::<u64>().ok());
        if let Some(found) = length.map(|length| start.saturating_add(length)).filter(|&found| found != blob.size) {
            return Err(self.wrong_size(&what, blob.size, found));
        }
        self.copy(blob, &what, response, receiver, watch)?;
        Ok(Progressed::Complete)
    }

    fn copy(
        &self,
        blob: &Descriptor,
        what: &str,
        response: Response,
        receiver: &mut Receiver<'_>,
        watch: &dyn Watch,
    ) -> Result<()> {
        let url = response.url.clone();
        let mut body = response.body();
        let mut block = vec![0; BLOCK];
        loop {
            let read = body.read(&mut block).map_err(|error| self.client.body_failure(&url, error))?;
            if read == 0 {
                break;
            }
            let done = receiver.received() + read as u64;
            if done > blob.size {
                // However long it goes on.
                return Err(self.wrong_size(what, blob.size, done));
            }
            receiver.write_all(&block[..read]).map_err(kiln_fetch::Error::Keep)?;
            watch.state(LayerState::Downloading { done, total: blob.size });
            watch.check()?;
        }
        // A body that ends with its connection also ends with ours being shut down.
        self.client.check_cancelled()?;
        if receiver.received() < blob.size {
            let source = format!("{} of {} bytes came", receiver.received(), blob.size).into();
            return Err(kiln_fetch::Error::Broken { host: url.host().to_owned(), source }.into());
        }
        Ok(())
    }

    fn wrong_size(&self, what: &str, expected: u64, found: u64) -> Error {
        Error::WrongSize { registry: self.endpoint.name.clone(), what: what.to_owned(), expected, found }
    }
}

enum Progressed {
    Complete,
    /// To be asked once more, after the time that the server wants.
    Busy(Error, Option<Duration>),
}

/// `Content-Range: bytes 5-9/10` (RFC 9110, section 14.4) of a blob of `size` bytes.
fn part_start(range: &str, size: u64) -> Option<u64> {
    let (range, total) = range.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    let whole = total.trim() == "*" || total.trim().parse() == Ok(size);
    (whole && start <= end && end < size).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (range, expected) in [
            ("bytes 5-9/10", Some(5)),
            ("bytes 5-7/10", Some(5)),
            ("bytes 0-9/*", Some(0)),
            ("bytes 5-10/10", None),
            ("bytes 5-9/11", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("lines 5-9/10", None),
            ("bytes 99999999999999999999-5/10", None),
            ("", None),
        ] {
            assert_eq!(part_start(range, 10), expected, "{range}");
        }
    }
}
