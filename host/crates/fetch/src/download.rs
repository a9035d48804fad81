//! A file over HTTP: bounded, resumed after interruptions, asked for only when it has changed.

use std::fs::File;
use std::io::{Read, Seek as _, Write as _};

use kiln_types::{Digest, Hasher};

use crate::client::{Client, Request, Response};
use crate::{Error, Result, Url, retry};

/// What tells one state of a file from the next (RFC 9110, section 8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// What to download.
pub struct Download<'a> {
    pub url: &'a Url,
    pub authorization: Option<&'a str>,
    /// Of what is there already; unless it has changed, nothing is downloaded.
    pub known: Option<&'a Validators>,
    /// Most bytes that are taken.
    pub limit: u64,
}

pub enum Outcome {
    /// It is still what `known` tells.
    Unchanged,
    Downloaded(Downloaded),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    pub size: u64,
    pub digest: Digest,
    pub validators: Validators,
}

impl Validators {
    fn of(response: &Response) -> Self {
        let header = |name| response.header(name).map(str::to_owned);
        Self { etag: header("etag"), last_modified: header("last-modified") }
    }

    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// Seconds since 1970, where a server said when the file was changed.
    pub fn modified(&self) -> Option<u64> {
        retry::http_date(self.last_modified.as_deref()?)
    }

    /// What a part must belong to so that it can be put to parts that are there: weak tags promise too little.
    fn for_range(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(if self.etag.is_none() { self.last_modified.as_deref() } else { None })
    }
}

impl Client {
    /// Downloads into `out`, which is empty and is left with exactly the file's bytes.
    pub fn download(&self, download: &Download<'_>, out: &mut File) -> Result<Outcome> {
        let mut part = Part { out, size: 0, hasher: Hasher::new(), validators: Validators::default() };
        let (mut failures, mut furthest) = (0, 0);
        loop {
            match self.continue_download(download, &mut part) {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => {}
                Err(Error::Broken { .. } | Error::Stalled { .. }) if failures + 1 < self.settings().attempts => {}
                Err(error) => return Err(error),
            }
            // As long as it gets further, it may be interrupted any number of times.
            failures = if part.size > furthest { 1 } else { failures + 1 };
            furthest = furthest.max(part.size);
            self.wait(self.pause(failures))?;
        }
    }

    /// `None`: what is there is of no use, begin again.
    fn continue_download(&self, download: &Download<'_>, part: &mut Part<'_>) -> Result<Option<Outcome>> {
        let range = format!("bytes={}-", part.size);
        let mut headers: Vec<(&str, &str)> = Vec::new();
        let resumed = part.size > 0 && part.validators.for_range().is_some();
        let if_range = part.validators.for_range().map(str::to_owned);
        if !resumed {
            part.restart()?;
            let known = download.known;
            headers.extend(known.and_then(|known| known.etag.as_deref()).map(|etag| ("if-none-match", etag)));
            headers.extend(
                known.and_then(|known| known.last_modified.as_deref()).map(|since| ("if-modified-since", since)),
            );
        } else if let Some(validator) = &if_range {
            headers.extend([("range", range.as_str()), ("if-range", validator.as_str())]);
        }
        let request =
            Request { headers: &headers, authorization: download.authorization, ..Request::get(download.url) };
        let response = self.send(&request)?;
        match response.status {
            304 if !resumed && download.known.is_some() => return Ok(Some(Outcome::Unchanged)),
            200 => {
                part.restart()?;
                part.validators = Validators::of(&response);
            }
            206 if resumed && starts_at(&response, part.size) => {}
            206 | 416 if resumed => {
                part.restart()?;
                return Ok(None);
            }
            status => return Err(Error::Status { url: download.url.to_string(), status }),
        }
        let length = response.header("content-length").and_then(|length| length.parse::<u64>().ok());
        let too_large = || Error::TooLarge { url: download.url.to_string(), limit: download.limit };
        if length.is_some_and(|length| part.size.saturating_add(length) > download.limit) {
            return Err(too_large());
        }
        let url = response.url.clone();
        let mut body = response.body();
        let mut block = vec![0; 128 << 10];
        loop {
            let read = match body.read(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => return Err(self.body_failure(&url, error)),
            };
            if part.size + read as u64 > download.limit {
                return Err(too_large());
            }
            part.add(&block[..read])?;
        }
        // A body that ends with its connection also ends with ours being shut down.
        self.check_cancelled()?;
        let hasher = std::mem::take(&mut part.hasher);
        let validators = std::mem::take(&mut part.validators);
        Ok(Some(Outcome::Downloaded(Downloaded { size: part.size, digest: hasher.finish(), validators })))
    }
}

/// What has been downloaded so far.
struct Part<'a> {
    out: &'a mut File,
    size: u64,
    hasher: Hasher,
    validators: Validators,
}

impl Part<'_> {
    fn restart(&mut self) -> Result<()> {
        if self.size > 0 {
            self.out.set_len(0).and_then(|()| self.out.rewind()).map_err(Error::Keep)?;
        }
        (self.size, self.hasher) = (0, Hasher::new());
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::Keep)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }
}

/// Is the part the one that was asked for? `Content-Range: bytes 5-9/10`.
fn starts_at(response: &Response, offset: u64) -> bool {
    let range = response.header("content-range").and_then(|range| range.trim().strip_prefix("bytes "));
    range.and_then(|range| range.split_once('-')).is_some_and(|(start, _)| start.trim().parse() == Ok(offset))
}
