//! What a build leaves for the user: an image with its names.

mod amend;
mod wasm_artifact;

use jiff::Timestamp;
use kiln_store::Store;
use kiln_types::Digest;

use crate::state::State;
use crate::{Error, Request};

pub use amend::{Amendments, ParseUnsetError, Unset};
pub use wasm_artifact::WasmArtifact;

/// Makes the state an image in its own right, amended as the user wants it, and gives it its names. Durable when it returns.
/// What was to be taken away and is not there is added to `idle`.
pub(crate) fn publish(
    state: &State,
    request: &Request,
    store: &Store,
    idle: &mut Vec<String>,
) -> Result<Digest, Error> {
    let mut id = match state.image {
        Some(id) => id,
        // FROM scratch and nothing else, as BuildKit has it.
        None => store.add_image(&state.config, None, false)?,
    };
    if !request.amendments.is_empty() {
        let mut config = state.config.clone();
        let missing = request.amendments.apply(&mut config.config);
        idle.extend(missing.iter().map(|unset| format!("--unset {unset} has no effect: the image has no such thing")));
        id = store.add_image(&config, Some(&id), false)?;
    }
    // A base image to which nothing was added already is one.
    if let Some(image) = store.image(&id)?.filter(|image| image.intermediate) {
        store.add_image(&image.config, image.parent.as_ref(), false)?;
    }
    for tag in &request.tags {
        store.tag(&id, tag)?;
    }
    // Without names, or where they are given already, nothing of it is written out yet.
    store.sync()?;
    Ok(id)
}

/// Of two times the later one; one that cannot be read is none.
pub(crate) fn later(a: Option<String>, b: Option<String>) -> Option<String> {
    let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    if time(&a) > time(&b) { a } else { b }
}

/// RFC 3339, as image configurations have it.
pub(crate) fn timestamp(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_as_times() {
        let (earlier, later_one) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z");
        for (a, b, expected) in [
            (Some(earlier), Some(later_one), Some(later_one)),
            (Some(later_one), Some(earlier), Some(later_one)),
            (Some("yesterday"), Some(earlier), Some(earlier)),
            (Some(earlier), None, Some(earlier)),
            (None, None, None),
        ] {
            assert_eq!(later(a.map(str::to_owned), b.map(str::to_owned)).as_deref(), expected);
        }
    }
}
