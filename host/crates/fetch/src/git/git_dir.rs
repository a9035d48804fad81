//! `.git` for those who keep it: a clone of one commit without history, made beside the files and added to them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::command::Invocation;
use super::reference::{Reference, shown};
use super::remote::Resolved;
use super::tree::Writer;
use super::{Error, Result, Settings};

pub(super) fn add(
    settings: &Settings,
    writer: &mut Writer<'_>,
    bare: &Path,
    wanted: &Reference,
    resolved: &Resolved,
) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix("tmp-").tempdir_in(&settings.directory);
    let scratch = scratch.map_err(keep(&settings.directory))?;
    let directory = scratch.path();
    let git = |action: &'static str| Invocation::new(settings, action, &wanted.remote, true).repository(directory);
    let format = if resolved.commit.len() == 64 { "sha256" } else { "sha1" };
    Invocation::new(settings, "make .git of", &wanted.remote, false)
        .args([
            "-c",
            "init.defaultBranch=master",
            "init",
            "--quiet",
            "--bare",
            "--template=",
            "--object-format",
            format,
        ])
        .path(directory)
        .output()?;
    git("make .git of").args(["config", "core.bare", "false"]).output()?;
    git("make .git of").args(["remote", "add", "origin", &without_credentials(&wanted.remote)]).output()?;
    let name =
        resolved.name.as_deref().filter(|name| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"));
    let target = format!("{}:{}", resolved.commit, name.unwrap_or("refs/kiln/head"));
    // Over the transport and not by links: the bare repository's files stay its own.
    let source = format!("file://{}", bare.display());
    git("make .git of")
        .args(["-c", "uploadpack.allowAnySHA1InWant=true", "fetch", "--quiet", "--no-tags", "--depth=1"])
        .args(["--no-write-fetch-head", "--update-head-ok", "--", &source, &target])
        .output()?;
    git("make .git of").args(["update-ref", "--no-deref", "HEAD", &resolved.commit]).output()?;
    if name.is_none() {
        git("make .git of").args(["update-ref", "-d", "refs/kiln/head"]).output()?;
    }
    git("make .git of").args(["read-tree", "HEAD"]).output()?;
    match fs::remove_dir_all(directory.join("logs")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(keep(directory)(error)),
        _ => {}
    }
    writer.directory(b".git")?;
    copy(writer, directory, b".git")
}

fn copy(writer: &mut Writer<'_>, from: &Path, below: &[u8]) -> Result<()> {
    let mut entries: Vec<_> =
        fs::read_dir(from).and_then(|entries| entries.collect::<io::Result<_>>()).map_err(keep(from))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let place = [below, b"/", entry.file_name().as_encoded_bytes()].concat();
        if entry.file_type().map_err(keep(&path))?.is_dir() {
            writer.directory(&place)?;
            copy(writer, &path, &place)?;
        } else {
            let mut file = File::open(&path).map_err(keep(&path))?;
            let size = file.metadata().map_err(keep(&path))?.len();
            writer.file(&place, 0o644, size, &mut file)?;
        }
    }
    Ok(())
}

/// Images are given away.
fn without_credentials(remote: &str) -> String {
    let shown = shown(remote);
    if shown == remote { shown } else { shown.replacen("…@", "", 1) }
}

fn keep(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Keep { path, source }
}
