//! What a build reads: the Dockerfile, the context, the ignore file; from directories, archives, repositories and URLs.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_build::{Archive, ContextSource, Environment};
use kiln_dockerfile::{IgnoreFile, KEEP_GIT_DIR_ARG};
use kiln_fetch::Url;
use kiln_fetch::git::Reference;

use crate::cli::build::Build;
use crate::report::failure::Failure;

/// No Dockerfile and no ignore file that people write comes near.
const LONGEST_FILE: u64 = 16 << 20;
const STANDARD_INPUT: &str = "-";
const STANDARD_INPUT_NAME: &str = "<stdin>";
const IGNORE_FILE: &str = ".dockerignore";

pub(super) struct Input {
    pub(super) dockerfile: Vec<u8>,
    /// How problems name the Dockerfile.
    pub(super) name: String,
    pub(super) context: Option<ContextSource>,
    pub(super) ignore: Option<Vec<u8>>,
    /// How problems name the ignore file.
    pub(super) ignore_name: String,
}

/// What was on standard input.
#[derive(Debug)]
pub(super) enum Piped {
    Nothing,
    Dockerfile(Vec<u8>),
    /// The beginning of an archive; the rest is still to be read.
    Archive(Vec<u8>),
}

/// Reads standard input as far as it is wanted, before anything else: a terminal can then still be left with Ctrl-C.
pub(super) fn piped(options: &Build) -> Result<Piped, Failure> {
    let is_context = options.context[0].as_os_str() == STANDARD_INPUT;
    let is_dockerfile = options.file.as_deref() == Some(Path::new(STANDARD_INPUT));
    match (is_context, is_dockerfile) {
        (true, true) => {
            Err(Failure::misuse("both the Dockerfile and the build context are to come from standard input")
                .hint("put the Dockerfile into the archive, or give a directory as build context"))
        }
        (true, false) => {
            let mut input = io::stdin().lock();
            let beginning = read_bounded((&mut input).take(BEGINNING), "standard input")?;
            if is_archive(&beginning) {
                return Ok(Piped::Archive(beginning));
            }
            if let Some(file) = &options.file {
                return Err(Failure::misuse(format!("both `-` and -f {} name a Dockerfile", file.display()))
                    .hint("give one of them, and a directory as build context if there is to be one"));
            }
            let rest = read_bounded(beginning.as_slice().chain(input), "standard input")?;
            Ok(Piped::Dockerfile(rest))
        }
        (false, true) => Ok(Piped::Dockerfile(read_bounded(io::stdin().lock(), "standard input")?)),
        (false, false) => Ok(Piped::Nothing),
    }
}

pub(super) fn read(
    options: &Build,
    build_args: &[(String, String)],
    piped: Piped,
    environment: &Environment,
) -> anyhow::Result<Input> {
    let own_ignore = options.ignorefile.as_deref().map(read_named).transpose()?;
    let context = &options.context[0];
    let mut input = if context.as_os_str() == STANDARD_INPUT {
        match piped {
            Piped::Archive(beginning) => {
                let file = spool(beginning.as_slice().chain(io::stdin().lock()), environment)?;
                in_archive(options, Piped::Nothing, archive(file, environment)?, "the archive on standard input")?
            }
            Piped::Dockerfile(dockerfile) => without_context(dockerfile, STANDARD_INPUT_NAME),
            Piped::Nothing => unreachable!("standard input was read"),
        }
    } else if let Some(reference) = repository(context) {
        let wrong = |error| Failure::new(format!("{}: {error}", context.display()));
        let mut reference = reference.map_err(wrong)?;
        if keeps_git_dir(build_args) {
            reference.keep_git_dir = Some(true);
        }
        let archive = environment.remote.archive(&reference).map_err(|error| unfetched(context, error))?;
        in_archive(options, piped, archive, "the repository")?
    } else if let Some(url) = url(context) {
        let url = url.map_err(|error| Failure::new(format!("{} is not a URL: {error}", context.display())))?;
        let downloaded = environment.remote.file(&url, None).map_err(|error| unfetched(context, error))?;
        let mut beginning = Vec::new();
        downloaded.content.open()?.take(BEGINNING).read_to_end(&mut beginning)?;
        if is_archive(&beginning) {
            let mut archive = archive(downloaded.file()?, environment)?;
            if downloaded.modified > 0 {
                archive = archive.dated(downloaded.modified);
            }
            in_archive(options, piped, archive, "the archive")?
        } else {
            without_context(read_bounded(downloaded.content.open()?, &url.to_string())?, &url.to_string())
        }
    } else {
        in_directory(options, piped, context)?
    };
    if let (Some(path), Some(own)) = (&options.ignorefile, own_ignore) {
        (input.ignore, input.ignore_name) = (Some(own), path.display().to_string());
    }
    Ok(input)
}

/// The build argument that BuildKit has for it; what is no truth value says nothing.
fn keeps_git_dir(build_args: &[(String, String)]) -> bool {
    let given = build_args.iter().rev().find(|(name, _)| name == KEEP_GIT_DIR_ARG);
    given.is_some_and(|(_, value)| matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

fn without_context(dockerfile: Vec<u8>, name: &str) -> Input {
    Input { dockerfile, name: name.to_owned(), context: None, ignore: None, ignore_name: String::new() }
}

fn in_directory(options: &Build, piped: Piped, context: &Path) -> Result<Input, Failure> {
    check_context(context)?;
    let common = context.join(IGNORE_FILE);
    check_regular(&common)?;
    let source = Some(ContextSource::Directory(context.to_owned()));
    if let Piped::Dockerfile(dockerfile) = piped {
        let (ignore, ignore_name) = (read_optional(&common)?, shown_path(&common));
        return Ok(Input { dockerfile, name: STANDARD_INPUT_NAME.to_owned(), context: source, ignore, ignore_name });
    }
    let path = match &options.file {
        // A pipe is as good as a file where the user names it.
        Some(path) => path.clone(),
        None => {
            let path = default_dockerfile(context);
            check_regular(&path)?;
            path
        }
    };
    let dockerfile = read_dockerfile(&path)?;
    let own = own_ignore_file(&path);
    check_regular(&own)?;
    let (ignore, from) = match read_optional(&own)? {
        Some(ignore) => (Some(ignore), &own),
        None => (read_optional(&common)?, &common),
    };
    Ok(Input { dockerfile, name: shown_path(&path), context: source, ignore, ignore_name: shown_path(from) })
}

/// Without the dot of `kiln build .`.
fn shown_path(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Everything lies in the archive; -f names a file in it.
fn in_archive(options: &Build, piped: Piped, archive: Archive, what: &str) -> Result<Input, Failure> {
    let file = |path: &str| {
        let failed = |error| Failure::new(format!("cannot read {path} of {what}")).because(error);
        archive.file(path, LONGEST_FILE).map_err(failed)
    };
    let (dockerfile, name) = match (piped, &options.file) {
        (Piped::Dockerfile(dockerfile), _) => (dockerfile, STANDARD_INPUT_NAME.to_owned()),
        (_, Some(path)) => {
            let name = path.to_string_lossy().into_owned();
            let missing = || {
                Failure::new(format!("{what} has no file {name}"))
                    .hint("-f names a file in it, relative to its top directory")
            };
            (file(&name)?.ok_or_else(missing)?, name)
        }
        (_, None) => {
            let missing = || {
                Failure::new(format!("{what} has no Dockerfile at its top"))
                    .hint("name another file in it with -f, or for a repository the directory: URL#branch:directory")
            };
            match file("Dockerfile")? {
                Some(dockerfile) => (dockerfile, "Dockerfile".to_owned()),
                None => (file("dockerfile")?.ok_or_else(missing)?, "dockerfile".to_owned()),
            }
        }
    };
    let own = format!("{name}{IGNORE_FILE}");
    let (ignore, ignore_name) = match file(&own)? {
        Some(ignore) => (Some(ignore), own),
        None => (file(IGNORE_FILE)?, IGNORE_FILE.to_owned()),
    };
    let context = Some(ContextSource::Archive(Arc::new(archive)));
    Ok(Input { dockerfile, name, context, ignore, ignore_name })
}

fn own_ignore_file(dockerfile: &Path) -> PathBuf {
    let mut own = dockerfile.to_owned().into_os_string();
    own.push(IGNORE_FILE);
    own.into()
}

/// `Dockerfile`, else `dockerfile` as Docker accepts it.
fn default_dockerfile(context: &Path) -> PathBuf {
    let usual = context.join("Dockerfile");
    let lower = context.join("dockerfile");
    if !usual.exists() && lower.exists() { lower } else { usual }
}

/// What Docker takes for a git repository. `github.com/…` is one only where there is no such directory.
pub(super) fn repository(context: &Path) -> Option<Result<Reference, kiln_fetch::git::ParseReferenceError>> {
    let text = context.to_str()?;
    Reference::parse(text).filter(|_| text.contains("://") || !context.exists())
}

fn url(context: &Path) -> Option<Result<Url, kiln_fetch::ParseUrlError>> {
    let text = context.to_str()?;
    (text.starts_with("http://") || text.starts_with("https://")).then(|| text.parse())
}

/// Whether the context has to be fetched.
pub(super) fn is_elsewhere(context: &Path) -> bool {
    repository(context).is_some() || url(context).is_some()
}

pub(super) fn unfetched(what: &Path, error: kiln_build::Error) -> anyhow::Error {
    match error {
        kiln_build::Error::Fetch(kiln_fetch::Error::Cancelled) => kiln_build::Error::Cancelled.into(),
        error => anyhow::Error::new(error).context(format!("cannot get the build context {}", shown(what))),
    }
}

/// Without a password that it may hold.
fn shown(what: &Path) -> String {
    let text = what.display().to_string();
    match text.parse::<Url>() {
        Ok(url) => url.to_string(),
        Err(_) => text,
    }
}

/// An archive in full, so that its parts can be read in any order.
fn spool(mut input: impl Read, environment: &Environment) -> anyhow::Result<File> {
    let scratch = environment.store.scratch()?;
    let mut file = tempfile::tempfile_in(scratch.path())?;
    let mut block = vec![0; 128 << 10];
    loop {
        if environment.cancel.is_cancelled() {
            return Err(kiln_build::Error::Cancelled.into());
        }
        match input.read(&mut block) {
            Ok(0) => break,
            Ok(read) => file.write_all(&block[..read])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::new("cannot read standard input").because(error).into()),
        }
    }
    file.rewind()?;
    Ok(file)
}

fn archive(file: File, environment: &Environment) -> anyhow::Result<Archive> {
    let scratch = environment.store.scratch()?;
    let failed = |error| Failure::new("the build context is an archive that cannot be read").because(error);
    let archive = Archive::read(file, scratch.path()).map_err(|error| failed(anyhow::Error::new(error)))?;
    Ok(archive.ok_or_else(|| {
        Failure::new("the build context is compressed, but not an archive").hint("make it with tar: tar -cz .")
    })?)
}

pub(super) fn check_context(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::new(format!("the build context must be a directory, but {} is none", path.display()))
            .hint(format!(
                "to name a Dockerfile use -f: kiln build -f {0} . ; for an archive: kiln build - < {0}",
                path.display()
            ))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Failure::new(format!("the build context {} does not exist", path.display()))
                .hint("give the directory that COPY and ADD are to read from"))
        }
        Err(error) => Err(Failure::new(format!("cannot read the build context {}", path.display())).because(error)),
    }
}

/// Nothing else in a context may keep the build waiting for its content.
fn check_regular(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(Failure::new(format!("{} is not a regular file", shown_path(path)))),
        _ => Ok(()),
    }
}

fn read_dockerfile(path: &Path) -> Result<Vec<u8>, Failure> {
    if path.is_dir() {
        let file = path.join("Dockerfile");
        return Err(Failure::new(format!("the Dockerfile {} is a directory", path.display()))
            .hint(format!("-f names the file itself, such as {}", file.display())));
    }
    match read_optional(path)? {
        Some(dockerfile) => Ok(dockerfile),
        None => Err(Failure::new(format!("cannot find the Dockerfile {}", shown_path(path)))
            .hint("write one, or name another file with -f")),
    }
}

fn read_named(path: &Path) -> Result<Vec<u8>, Failure> {
    let missing = || Failure::new(format!("cannot find the ignore file {}", path.display()));
    read_optional(path)?.ok_or_else(missing)
}

/// The ignore file of a directory.
pub(super) fn ignore_of(directory: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let path = directory.join(IGNORE_FILE);
    check_regular(&path)?;
    let ignore = read_optional(&path)?;
    match ignore.as_deref().map(IgnoreFile::parse) {
        Some(Err(error)) => Err(bad_ignore_file(&shown_path(&path), &error.to_string())),
        Some(Ok(_)) | None => Ok(ignore),
    }
}

pub(super) fn bad_ignore_file(name: &str, reason: &str) -> Failure {
    Failure::new(format!("the ignore file {name} has a bad pattern: {reason}"))
}

/// `None` where there is no such file.
fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let shown = shown_path(path);
    match File::open(path) {
        Ok(file) => read_bounded(file, &shown).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(format!("cannot read {shown}")).because(error)),
    }
}

fn read_bounded(input: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = input.take(LONGEST_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::new(format!("cannot read {name}")).because(error))?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(Failure::new(format!("{name} is longer than 16 MiB, which is no Dockerfile or ignore file")));
    }
    Ok(bytes)
}

/// A tar's first block.
const BEGINNING: u64 = 512;

/// gzip, bzip2, xz, zstd or plain tar.
fn is_archive(bytes: &[u8]) -> bool {
    kiln_image::Compression::detect(bytes) != kiln_image::Compression::None || is_tar_header(bytes)
}

/// The sum of the bytes stands in the header, as its field was blank when it was made; tars without `ustar` too.
fn is_tar_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..512) else { return false };
    let digits = String::from_utf8_lossy(&block[148..156]).trim_matches(['\0', ' ']).to_owned();
    let sum = |range: &[u8]| range.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let expected = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
    u32::from_str_radix(&digits, 8) == Ok(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_by_their_content() {
        let mut header = tar::Header::new_ustar();
        header.set_path("a").expect("a short name");
        header.set_cksum();
        let mut old = tar::Header::new_old();
        old.set_path("a").expect("a short name");
        old.set_cksum();
        let xz = b"\xfd7zXZ\0";
        for bytes in [&b"\x1f\x8b\x08"[..], b"BZh9", xz, b"\x28\xb5\x2f\xfd", header.as_bytes(), old.as_bytes()] {
            assert!(is_archive(bytes));
        }
        for bytes in [&b""[..], b"FROM scratch\n", b"# a comment", &[0; 512], &[b'7'; 512]] {
            assert!(!is_archive(bytes));
        }
    }

    #[test]
    fn repositories_and_urls_are_no_paths() {
        for remote in ["https://host/r.git", "git://host/r#b:d", "git@host:r", "github.com/a/b", "file:///r"] {
            assert!(repository(Path::new(remote)).is_some(), "{remote}");
        }
        assert!(repository(Path::new("https://host/a.tar")).is_none());
        assert!(url(Path::new("https://host/a.tar")).is_some());
        for path in [".", "a/b", "../x", "/tmp", "github"] {
            assert!(repository(Path::new(path)).is_none() && url(Path::new(path)).is_none(), "{path}");
        }
    }
}
