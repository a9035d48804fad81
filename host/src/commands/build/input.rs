//! What a build reads: the Dockerfile, the context, the ignore file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::cli::build::Build;
use crate::report::failure::Failure;

/// No Dockerfile and no ignore file that people write comes near.
const LONGEST_FILE: u64 = 16 << 20;
const STANDARD_INPUT: &str = "-";
const STANDARD_INPUT_NAME: &str = "<stdin>";

pub(super) struct Input {
    pub(super) dockerfile: Vec<u8>,
    /// How problems name the Dockerfile.
    pub(super) name: String,
    pub(super) context: Option<PathBuf>,
    pub(super) ignore: Option<Vec<u8>>,
}

pub(super) fn read(options: &Build) -> Result<Input, Failure> {
    let context = &options.context[0];
    if context.as_os_str() == STANDARD_INPUT {
        if let Some(file) = &options.file {
            return Err(Failure::new(format!("both `-` and -f {} name a Dockerfile", file.display()))
                .hint("give one of them, and a directory as build context if there is to be one"));
        }
        let dockerfile = read_stdin()?;
        return Ok(Input { dockerfile, name: STANDARD_INPUT_NAME.to_owned(), context: None, ignore: None });
    }
    check_context(context)?;
    let common = context.join(".dockerignore");
    check_regular(&common)?;
    let context = Some(context.clone());
    if options.file.as_deref() == Some(Path::new(STANDARD_INPUT)) {
        let ignore = read_optional(&common)?;
        return Ok(Input { dockerfile: read_stdin()?, name: STANDARD_INPUT_NAME.to_owned(), context, ignore });
    }
    let path = match &options.file {
        // A pipe is as good as a file where the user names it.
        Some(path) => path.clone(),
        None => {
            let path = default_dockerfile(&options.context[0]);
            check_regular(&path)?;
            path
        }
    };
    let dockerfile = read_dockerfile(&path)?;
    let mut own = path.clone().into_os_string();
    own.push(".dockerignore");
    check_regular(Path::new(&own))?;
    let ignore = match read_optional(Path::new(&own))? {
        Some(ignore) => Some(ignore),
        None => read_optional(&common)?,
    };
    Ok(Input { dockerfile, name: path.strip_prefix(".").unwrap_or(&path).display().to_string(), context, ignore })
}

/// `Dockerfile`, else `dockerfile` as Docker accepts it.
fn default_dockerfile(context: &Path) -> PathBuf {
    let usual = context.join("Dockerfile");
    let lower = context.join("dockerfile");
    if !usual.exists() && lower.exists() { lower } else { usual }
}

fn check_context(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::new(format!("the build context must be a directory, but {} is none", path.display()))
            .hint(format!("to name a Dockerfile use -f: kiln build -f {} .", path.display()))),
        Err(_) if is_remote(path) => Err(Failure::new(format!(
            "{} is a URL, and kiln reads build contexts only from directories",
            path.display()
        ))
        .hint("download or clone it first, then give the directory")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Failure::new(format!("the build context {} does not exist", path.display()))
                .hint("give the directory that COPY and ADD are to read from"))
        }
        Err(error) => Err(Failure::new(format!("cannot read the build context {}", path.display())).because(error)),
    }
}

/// What Docker takes for a URL or a git repository.
fn is_remote(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|text| text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/"))
}

/// Nothing else in a context may keep the build waiting for its content.
fn check_regular(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(Failure::new(format!("{} is not a regular file", path.display()))),
        _ => Ok(()),
    }
}

fn read_dockerfile(path: &Path) -> Result<Vec<u8>, Failure> {
    match read_optional(path)? {
        Some(dockerfile) => Ok(dockerfile),
        None => Err(Failure::new(format!("cannot find the Dockerfile {}", path.display()))
            .hint("write one, or name another file with -f")),
    }
}

fn read_stdin() -> Result<Vec<u8>, Failure> {
    let bytes = read_bounded(io::stdin().lock(), "standard input")?;
    if is_archive(&bytes) {
        return Err(Failure::new("standard input is an archive, and kiln reads build contexts only from directories")
            .hint("unpack it, then give the directory: mkdir context && tar -x -C context && kiln build context"));
    }
    Ok(bytes)
}

/// `None` where there is no such file.
fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let shown = path.display().to_string();
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
    if bytes.len() as u64 > LONGEST_FILE && !is_archive(&bytes) {
        return Err(Failure::new(format!("{name} is longer than 16 MiB, which is no Dockerfile or ignore file")));
    }
    Ok(bytes)
}

/// gzip, bzip2, xz, zstd or plain tar.
fn is_archive(bytes: &[u8]) -> bool {
    let compressed: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    compressed.iter().any(|magic| bytes.starts_with(magic)) || bytes.get(257..262) == Some(b"ustar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_by_their_content() {
        let mut tar = vec![0; 512];
        tar[257..263].copy_from_slice(b"ustar\0");
        for bytes in [&b"\x1f\x8b\x08"[..], b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", &tar] {
            assert!(is_archive(bytes));
        }
        for bytes in [&b""[..], b"FROM scratch\n", b"# a comment"] {
            assert!(!is_archive(bytes));
        }
    }

    #[test]
    fn urls_are_no_paths() {
        for remote in ["https://host/r.git", "git://host/r#b:d", "git@host:r", "github.com/a/b"] {
            assert!(is_remote(Path::new(remote)), "{remote}");
        }
        assert!(!is_remote(Path::new("./github.com")));
    }
}
