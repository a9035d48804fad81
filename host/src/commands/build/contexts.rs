//! `--build-context NAME=…`: what is used in the place of stages and images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kiln_build::{Archive, ContextSource, Environment, NamedContext};
use kiln_types::Reference;

use super::input;
use crate::report::failure::Failure;

pub(super) fn read(options: &[String], environment: &Environment) -> anyhow::Result<Vec<(String, NamedContext)>> {
    options.iter().map(|option| one(option, environment)).collect()
}

fn one(option: &str, environment: &Environment) -> anyhow::Result<(String, NamedContext)> {
    let (name, value) =
        option.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty()).ok_or_else(|| {
            Failure::misuse(format!("--build-context {option} is not NAME=VALUE"))
                .hint("for example: --build-context base=docker-image://alpine, --build-context src=../src")
        })?;
    let context = if let Some(image) = value.strip_prefix("docker-image://") {
        NamedContext::Image(image.to_owned())
    } else if let Some(layout) = value.strip_prefix("oci-layout://") {
        NamedContext::Image(of_layout(layout, environment)?)
    } else if let Some(stage) = value.strip_prefix("target:") {
        NamedContext::Stage(stage.to_owned())
    } else if let Some(reference) = input::repository(Path::new(value)) {
        let reference = reference.map_err(|error| Failure::new(format!("--build-context {name}: {error}")))?;
        let archive =
            environment.remote.archive(&reference).map_err(|error| input::unfetched(Path::new(value), error))?;
        files(ContextSource::Archive(Arc::new(archive)), None)
    } else if value.starts_with("http://") || value.starts_with("https://") {
        let url = value.parse().map_err(|error| Failure::new(format!("{value} is not a URL: {error}")))?;
        let downloaded =
            environment.remote.file(&url, None).map_err(|error| input::unfetched(Path::new(value), error))?;
        // As BuildKit has it: a directory with the one file `context`.
        let archive = Archive::of_file("context", downloaded.content, downloaded.modified);
        files(ContextSource::Archive(Arc::new(archive)), None)
    } else {
        let path = PathBuf::from(value);
        input::check_context(&path)?;
        let ignore = input::ignore_of(&path)?;
        files(ContextSource::Directory(path), ignore)
    };
    Ok((name.to_owned(), context))
}

fn files(source: ContextSource, ignore: Option<Vec<u8>>) -> NamedContext {
    NamedContext::Files { source, ignore }
}

/// Loads `DIRECTORY[:TAG][@DIGEST]` into the store and answers the image's id.
fn of_layout(text: &str, environment: &Environment) -> anyhow::Result<String> {
    let (text, digest) = text.split_once('@').map_or((text, None), |(text, digest)| (text, Some(digest)));
    let (directory, tag) = match text.rsplit_once(':') {
        Some((directory, tag)) if !tag.contains('/') && !Path::new(text).exists() => (directory, Some(tag)),
        _ => (text, None),
    };
    let directory = Path::new(directory);
    let images = crate::commands::load::receive(&environment.store, Some(directory), &environment.cancel);
    let images = images.with_context(|| format!("cannot load the image layout {}", directory.display()))?;
    let mut ids = Vec::new();
    for image in images {
        let matches = match (tag, digest) {
            (_, Some(digest)) => {
                let index = image.index.as_ref().map(|index| index.digest);
                index.unwrap_or_else(|| kiln_types::Digest::of(&image.manifest)).to_string() == digest
            }
            (Some(tag), None) => {
                let tagged = |name: &Reference| name.tag_or_latest() == Some(tag);
                image.names.iter().any(tagged) || image.tags.iter().any(|other| other == tag)
            }
            (None, None) => true,
        };
        if matches {
            ids.push(image.config.to_string());
        }
    }
    ids.dedup();
    match &ids[..] {
        [id] => Ok(id.clone()),
        [] => Err(Failure::new(format!("{} has no such image", directory.display())).into()),
        several => Err(Failure::new(format!("{} has {} images", directory.display(), several.len()))
            .hint("say which: oci-layout://DIRECTORY:TAG or oci-layout://DIRECTORY@DIGEST")
            .into()),
    }
}
