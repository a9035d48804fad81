//! WORKDIR: the directory is made where it is missing.

use kiln_dockerfile::Span;
use kiln_image::{Change, View};
use kiln_types::{Platform, paths};

use super::destination::{destination, existing_parents, made_directory};
use crate::Located;
use crate::key::Key;
use crate::state::State;

pub(crate) fn key(state: &State, platform: &Platform, path: &[u8]) -> Key {
    let mut key = Key::new("workdir", state.content, platform);
    key.add("directory", paths::display(path));
    key.add("user", &state.config.config.user);
    key
}

/// The directories that have to be made; they belong to USER.
pub(crate) fn changes(view: &View, path: &[u8], user: &str, span: Span) -> Result<Vec<Change>, Located> {
    let failed = |message: String| Located::new("bad-workdir", span, message);
    let owner = kiln_image::resolve_user(view, user)
        .map_err(|error| Located::new("unknown-user", span, error.to_string()).source(error))?;
    let place = destination(view, path).map_err(|error| failed(error.to_string()).source(error))?;
    if place.is_directory() {
        return Ok(Vec::new());
    }
    if place.existing.is_some() {
        return Err(failed(format!("{} exists in the image and is not a directory", paths::display(&place.path))));
    }
    let mut changes = existing_parents(view, &place.path).map_err(|error| failed(error.to_string()).source(error))?;
    let new = place.missing.into_iter().chain([place.path]);
    changes.extend(new.map(|path| made_directory(path, owner.uid, owner.gid)));
    Ok(changes)
}
