//! Answers of registries: their bodies, bounded, and what they say where they refuse.

use std::io::Read;

use kiln_fetch::{Client, Response};
use serde::Deserialize;

use crate::error::excerpt;
use crate::{Error, Result};

/// Most of what a server has to say about an error.
const LONGEST_REFUSAL: u64 = 64 << 10;

/// The whole body of an answer of at most `limit` bytes.
pub(crate) fn body(client: &Client, response: Response, what: &str, limit: u64) -> Result<Vec<u8>> {
    let too_large = || Error::TooLarge { what: what.to_owned(), limit };
    let length = response.header("content-length").and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let url = response.url.clone();
    let mut bytes = Vec::new();
    let read = response.body().take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| client.body_failure(&url, error))?;
    client.check_cancelled()?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// The error that an answer other than the wanted one stands for.
pub(crate) fn refusal(registry: &str, what: &str, response: Response) -> Error {
    let status = response.status;
    let (registry, what) = (registry.to_owned(), what.to_owned());
    let message = message(response);
    match status {
        401 | 403 => Error::Denied { registry, what, message },
        404 => Error::NotFound { registry, what, message },
        _ => Error::Status { registry, what, status, message },
    }
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What the registry says itself; empty where that is nothing one can read.
fn message(response: Response) -> String {
    let mut bytes = Vec::new();
    if response.body().take(LONGEST_REFUSAL).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    let errors = serde_json::from_slice::<Errors>(&bytes).map(|answer| answer.errors).unwrap_or_default();
    let Some(Reason { code, message }) = errors.into_iter().next() else { return String::new() };
    let text = if message.is_empty() { code.to_lowercase().replace('_', " ") } else { message };
    excerpt(&text)
}
