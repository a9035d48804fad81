//! Blobs on their way to a registry: mounted from another repository, sent whole, or in parts where the registry wants
//! that or where a connection broke.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use kiln_fetch::{Body, Method, Response, Source, Url};
use kiln_image::Descriptor;
use kiln_types::Digest;

use crate::blobs::Watch;
use crate::session::{Call, Session, Target};
use crate::{Error, LayerState, Result};

/// Parts are at least this long, whatever less a registry would take.
const SHORTEST_PART: u64 = 16 << 20;
/// Attempts in a row that bring less than [`ENOUGH`] further.
const ATTEMPTS: u32 = 5;
const ENOUGH: u64 = 1 << 20;
/// What is said of an upload that is not known any more, or not where it should be: it can be begun anew.
const LOST: &[u16] = &[404, 416];
pub(crate) const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

/// What a registry did with the wish to upload.
pub(crate) enum Begun {
    /// The repository has the blob from another one.
    Mounted,
    Upload(Upload),
}

/// An upload that has begun.
pub(crate) struct Upload {
    pub(crate) location: Url,
    /// What the registry has.
    pub(crate) offset: u64,
    /// The registry takes parts, of at least this many bytes.
    part: Option<u64>,
}

impl Session<'_> {
    pub(crate) fn has_blob(&self, blob: &Descriptor) -> Result<bool> {
        let what = what(&blob.digest);
        let path = format!("/blobs/{}", blob.digest);
        let response = self.send(&Call { method: Method::Head, ..Call::get(Target::Repository(&path), &what) })?;
        match response.status {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refusal(&what, response)),
        }
    }

    /// Begins an upload; `mount` is a blob, and a repository that may have it.
    pub(crate) fn begin_upload(&self, what: &str, mount: Option<(&Digest, &str)>) -> Result<Begun, Failure> {
        let path = match mount {
            Some((digest, from)) => format!("/blobs/uploads/?mount={digest}&from={from}"),
            None => "/blobs/uploads/".to_owned(),
        };
        let call = Call { method: Method::Post, ..Call::get(Target::Repository(&path), what) };
        let response = self.send(&Call { headers: &[("content-length", "0")], ..call })?;
        match response.status {
            201 => return Ok(Begun::Mounted),
            202 => {}
            _ => return Err(self.failure(what, response, &[])),
        }
        let part = response.header("oci-chunk-min-length").and_then(|length| length.parse().ok());
        Ok(Begun::Upload(Upload { location: self.location(what, &response)?, offset: 0, part }))
    }

    /// Sends a blob; `upload` is what has been begun for it already.
    pub(crate) fn upload(
        &self,
        blob: &Descriptor,
        upload: Option<Upload>,
        content: &File,
        watch: &dyn Watch,
    ) -> Result<()> {
        let content = Content { blob: content, watch, total: blob.size };
        let (mut failures, mut best) = (0, 0);
        let mut upload = upload;
        loop {
            let result = self.send_all(blob, &mut upload, &content);
            let (error, asked) = match result {
                Ok(()) => return Ok(()),
                Err(Failure { error, again: Some(wait) }) => (*error, wait),
                Err(Failure { error, again: None }) => return Err(*error),
            };
            watch.check()?;
            self.client.check_cancelled()?;
            // What has arrived is the registry's to tell.
            let reached = upload.as_ref().map_or(0, |upload| upload.offset);
            failures = if reached >= best + ENOUGH { 1 } else { failures + 1 };
            best = best.max(reached);
            if failures >= ATTEMPTS {
                return Err(error);
            }
            let after = asked.unwrap_or_else(|| self.client.pause(failures));
            watch.state(LayerState::Retrying { after, error: &error });
            self.client.wait(after)?;
            upload = upload.and_then(|upload| {
                self.state_of(&what(&blob.digest), upload).filter(|upload| upload.offset <= blob.size)
            });
        }
    }

    fn send_all(&self, blob: &Descriptor, upload: &mut Option<Upload>, content: &Content<'_>) -> Result<(), Failure> {
        let upload = match upload {
            Some(upload) => upload,
            None => match self.begin_upload(&what(&blob.digest), None)? {
                Begun::Upload(begun) => upload.insert(begun),
                Begun::Mounted => return Ok(()),
            },
        };
        while upload.offset < blob.size && (upload.part.is_some() || upload.offset > 0) {
            self.send_part(blob, upload, content)?;
        }
        let rest = blob.size - upload.offset;
        let digest = blob.digest.to_string();
        let url = upload.location.with_parameters([("digest", digest.as_str())]);
        let response = self.transfer(Method::Put, &url, &[OCTETS], (upload.offset, rest), content, &blob.digest)?;
        match response.status {
            200 | 201 | 204 => Ok(()),
            _ => Err(self.failure(&what(&blob.digest), response, LOST)),
        }
    }

    fn send_part(&self, blob: &Descriptor, upload: &mut Upload, content: &Content<'_>) -> Result<(), Failure> {
        let what = what(&blob.digest);
        let rest = blob.size - upload.offset;
        let length = upload.part.map_or(rest, |part| part.max(SHORTEST_PART).min(rest));
        let range = format!("{}-{}", upload.offset, upload.offset + length - 1);
        let headers = [OCTETS, ("content-range", range.as_str())];
        let part = (upload.offset, length);
        let response = self.transfer(Method::Patch, &upload.location, &headers, part, content, &blob.digest)?;
        if response.status != 202 {
            return Err(self.failure(&what, response, LOST));
        }
        let expected = upload.offset + length;
        let received = response.header("range").and_then(received).unwrap_or(expected);
        upload.location = self.location(&what, &response)?;
        if received <= upload.offset || received > expected {
            return Err(self.bad_answer(&what, format!("it says that it has {received} bytes")).into());
        }
        upload.offset = received;
        Ok(())
    }

    fn transfer(
        &self,
        method: Method,
        url: &Url,
        headers: &[(&str, &str)],
        (offset, length): (u64, u64),
        content: &Content<'_>,
        digest: &Digest,
    ) -> Result<Response, Failure> {
        let part = Part { whole: content, offset, length };
        let body = if length == 0 { Body::Bytes(&[]) } else { Body::Stream { length: Some(length), source: &part } };
        let what = what(digest);
        let call = Call { method, headers, body, attempts: Some(1), ..Call::get(Target::Url(url), &what) };
        Ok(self.send(&call)?)
    }

    /// How far an interrupted upload has come; `None` where it is to be begun anew.
    pub(crate) fn state_of(&self, what: &str, upload: Upload) -> Option<Upload> {
        let response = self.send(&Call::get(Target::Url(&upload.location), what)).ok()?;
        if !matches!(response.status, 200 | 202 | 204) {
            return None;
        }
        let offset = response.header("range").and_then(received)?;
        let location = match response.header("location") {
            Some(_) => self.location(what, &response).ok()?,
            None => upload.location,
        };
        Some(Upload { location, offset, part: upload.part })
    }

    fn failure(&self, what: &str, response: Response, lost: &[u16]) -> Failure {
        let again = response.is_temporary() || lost.contains(&response.status);
        let wait = response.retry_after().filter(|&wait| wait <= kiln_fetch::LONGEST_WAIT);
        Failure { again: again.then_some(wait), error: Box::new(self.refusal(what, response)) }
    }
}

/// An error, and whether (after which time) it pays to go on.
pub(crate) struct Failure {
    pub(crate) error: Box<Error>,
    again: Option<Option<Duration>>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        use kiln_fetch::Error::{Broken, Stalled, Unreachable};
        let broken = matches!(error, Error::Fetch(Broken { .. } | Stalled { .. } | Unreachable { .. }));
        Self { error: Box::new(error), again: broken.then_some(None) }
    }
}

/// `Range: 0-41`: 42 bytes are there. `0-0` is said of one byte, and by distribution also of none.
pub(crate) fn received(range: &str) -> Option<u64> {
    let (start, end) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    let end: u64 = end.trim().parse().ok()?;
    (start.trim() == "0" && end > 0).then(|| end.saturating_add(1))
}

pub(crate) fn what(digest: &Digest) -> String {
    format!("blob {}", digest.short())
}

struct Content<'a> {
    blob: &'a File,
    watch: &'a dyn Watch,
    total: u64,
}

struct Part<'a> {
    whole: &'a Content<'a>,
    offset: u64,
    length: u64,
}

impl Source for Part<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let mut file = self.whole.blob;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(Box::new(Sent { file: file.take(self.length), done: self.offset, content: self.whole }))
    }
}

/// Tells how much of a file has been read.
struct Sent<'a> {
    file: io::Take<&'a File>,
    done: u64,
    content: &'a Content<'a>,
}

impl Read for Sent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.content.watch.check().map_err(|_| io::Error::other("another blob has failed"))?;
        let read = self.file.read(buffer)?;
        self.done += read as u64;
        self.content.watch.state(LayerState::Pushing { done: self.done, total: self.content.total });
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_been_received() {
        for (range, expected) in [
            ("0-41", Some(42)),
            ("bytes=0-41", Some(42)),
            ("0-0", None),
            ("5-41", None),
            ("0-18446744073709551615", Some(u64::MAX)),
            ("0-", None),
            ("", None),
        ] {
            assert_eq!(received(range), expected, "{range}");
        }
    }
}
