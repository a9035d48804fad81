//! What comes from elsewhere: files over HTTP and trees of git repositories, kept between builds and bounded in size.
//!
//! ```text
//! http/<hash of the URL>.json    what the server said: validators, size, digest
//! http/<hash of the URL>         the file
//! git/                           see kiln-fetch
//! ```
//! All of it may be deleted at any time; what was used last is kept longest.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use kiln_fetch::git::{self, Git, Reference};
use kiln_fetch::{Checksum, Client, Download, Outcome, Url, Validators};
use kiln_image::Content;
use kiln_types::Digest;
use serde::{Deserialize, Serialize};

use crate::secret::{Authorizations, Secrets};
use crate::{Archive, Error};

/// Most bytes of one download, and of one tree.
const LARGEST: u64 = 64 << 30;
/// What is kept of downloads and repositories together.
const KEPT: u64 = 10 << 30;

/// Fetches, and remembers what it fetched.
pub struct Remote {
    client: Client,
    git: Git,
    directory: PathBuf,
    /// Some are told to servers.
    secrets: Secrets,
    /// One build sees one state of each URL, however many steps name it.
    seen: Mutex<HashMap<String, Arc<Mutex<Option<Downloaded>>>>>,
}

/// A file from elsewhere.
#[derive(Debug, Clone)]
pub struct Downloaded {
    /// What its URL calls it.
    pub name: String,
    pub content: Content,
    pub digest: Digest,
    /// Seconds since 1970; 0 where the server did not say.
    pub modified: i64,
    path: PathBuf,
}

/// What is known of a file that is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    url: String,
    digest: Digest,
    size: u64,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Remote {
    /// `environment` is that of the program `git`; everything is kept below `directory`.
    pub fn new(
        settings: kiln_fetch::Settings,
        git_environment: Vec<(String, String)>,
        directory: PathBuf,
        secrets: Secrets,
    ) -> Self {
        let git = Git::new(git::Settings {
            program: "git".into(),
            environment: git_environment,
            directory: directory.join("git"),
            limit: LARGEST,
            cancelled: Arc::clone(&settings.cancelled),
        });
        Self { client: Client::new(settings), git, directory, secrets, seen: Mutex::default() }
    }

    /// The file at a URL, downloaded unless it is here and the server says that it has not changed. With a SHA-256
    /// checksum not even that is asked.
    pub fn file(&self, url: &Url, checksum: Option<&Checksum>) -> Result<Downloaded, Error> {
        let place = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(seen.entry(url.to_string()).or_default())
        };
        let mut known = place.lock().unwrap_or_else(PoisonError::into_inner);
        let downloaded = match &*known {
            Some(downloaded) => downloaded.clone(),
            None => {
                let downloaded = self.download(url, checksum)?;
                known.insert(downloaded).clone()
            }
        };
        if let Some(expected) = checksum {
            let found = match expected.sha256() {
                Some(_) => downloaded.digest.to_string(),
                None => {
                    let found = downloaded.content.open().and_then(|input| expected.of_same_kind(input));
                    found.map_err(kiln_fetch::Error::Keep)?.to_string()
                }
            };
            let expected = expected.to_string();
            if found != expected {
                return Err(kiln_fetch::Error::Checksum { url: url.to_string(), expected, found }.into());
            }
        }
        Ok(downloaded)
    }

    fn download(&self, url: &Url, checksum: Option<&Checksum>) -> Result<Downloaded, Error> {
        let keep = |error| Error::from(kiln_fetch::Error::Keep(error));
        let directory = self.directory.join("http");
        fs::create_dir_all(&directory).map_err(keep)?;
        let authorization = self.secrets.for_file(url)?;
        // With the credentials: others may see other things.
        let mut name = format!("{url:?} {}", url.credential_hash());
        if let Some(authorization) = &authorization {
            name.push_str(&Digest::of(authorization).hex());
        }
        let path = directory.join(Digest::of(name).hex());
        let kept = read_record(&path);
        if let Some(record) = &kept
            && checksum.and_then(Checksum::sha256).is_some_and(|wanted| wanted == record.digest.hex())
        {
            return open(url, &path, record).map_err(keep);
        }
        let validators = kept
            .as_ref()
            .map(|record| Validators { etag: record.etag.clone(), last_modified: record.last_modified.clone() });
        let mut out = temporary(&directory).map_err(keep)?;
        let known = validators.as_ref().filter(|validators| !validators.is_empty());
        let download = Download { url, authorization: authorization.as_deref(), known, limit: LARGEST };
        let outcome = self.client.download(&download, out.as_file_mut())?;
        let record = match (outcome, kept) {
            (Outcome::Unchanged, Some(record)) => record,
            (Outcome::Unchanged, None) => {
                return Err(kiln_fetch::Error::Status { url: url.to_string(), status: 304 }.into());
            }
            (Outcome::Downloaded(new), _) => {
                let Validators { etag, last_modified } = new.validators;
                let record = Record { url: url.to_string(), digest: new.digest, size: new.size, etag, last_modified };
                // Without its record the file is nothing, so that is what has to be new first.
                remove(&record_path(&path)).map_err(keep)?;
                out.persist(&path).map_err(|error| keep(error.error))?;
                let mut out = temporary(&directory).map_err(keep)?;
                serde_json::to_writer(&mut out, &record).map_err(|error| keep(error.into()))?;
                out.persist(record_path(&path)).map_err(|error| keep(error.error))?;
                record
            }
        };
        open(url, &path, &record).map_err(keep)
    }

    /// The files of a git repository as they are wanted.
    pub fn tree(&self, wanted: &Reference) -> Result<git::Tree, Error> {
        let authorization = self.secrets.for_repository(&wanted.remote)?;
        let authorized = authorization.map(|authorization| self.git.authorized(&wanted.remote, &authorization));
        let git = authorized.as_ref().unwrap_or(&self.git);
        let resolved = git.resolve(wanted).map_err(kiln_fetch::Error::from)?;
        Ok(git.tree(wanted, &resolved).map_err(kiln_fetch::Error::from)?)
    }

    /// The same, ready to be read.
    pub fn archive(&self, wanted: &Reference) -> Result<Archive, Error> {
        let tree = self.tree(wanted)?;
        let keep = |source| Error::from(kiln_fetch::Error::from(git::Error::Keep { path: tree.tar.clone(), source }));
        let tar = File::open(&tree.tar).map_err(keep)?;
        // It is not compressed: nothing is spooled.
        let archive = Archive::read(tar, &self.directory).map_err(Error::Archive)?;
        archive
            .map(|archive| archive.dated(tree.time))
            .ok_or_else(|| keep(io::Error::other("it is no tar any more; delete it")))
    }

    /// Which files of a directory git tracks, and which of them it has as executable.
    pub(crate) fn tracked(&self, directory: &Path) -> Result<BTreeMap<Vec<u8>, bool>, Error> {
        Ok(self.git.tracked(directory).map_err(kiln_fetch::Error::from)?)
    }

    /// Removes what was not used for the longest time while there is more than is to be kept. Nothing that anybody
    /// needs is lost with it: what cannot be removed stays.
    pub fn trim(&self) {
        let mut all: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for part in ["http", "git"] {
            for entry in fs::read_dir(self.directory.join(part)).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                all.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), size(&entry.path()), entry.path()));
            }
        }
        let mut total: u64 = all.iter().map(|(_, size, _)| size).sum();
        all.sort();
        for (_, size, path) in all {
            if total <= KEPT {
                return;
            }
            let lock = File::open(path.with_extension("lock"));
            // Somebody fetches into it.
            if path.is_dir() && lock.is_ok_and(|lock| lock.try_lock().is_err()) {
                continue;
            }
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if removed.is_ok() {
                total -= size;
            }
        }
    }
}

impl Downloaded {
    /// The file itself.
    pub fn file(&self) -> io::Result<File> {
        File::open(&self.path)
    }
}

fn record_path(path: &Path) -> PathBuf {
    path.with_extension("json")
}

/// What is known of a file, provided that it is there.
fn read_record(path: &Path) -> Option<Record> {
    let record: Record = serde_json::from_slice(&fs::read(record_path(path)).ok()?).ok()?;
    (fs::metadata(path).ok()?.len() == record.size).then_some(record)
}

fn open(url: &Url, path: &Path, record: &Record) -> io::Result<Downloaded> {
    let file = File::open(path)?;
    if let Ok(writable) = File::options().append(true).open(path) {
        // What was used last goes last when there is too much.
        let _ = writable.set_modified(SystemTime::now());
    }
    let validators = Validators { etag: None, last_modified: record.last_modified.clone() };
    Ok(Downloaded {
        // As BuildKit calls what has no name.
        name: url.file_name().unwrap_or_else(|| "__unnamed__".to_owned()),
        content: Content::range(Arc::new(file), 0, record.size),
        digest: record.digest,
        modified: validators.modified().and_then(|time| i64::try_from(time).ok()).unwrap_or(0),
        path: path.to_owned(),
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn size(path: &Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}

/// A file that is not finished; removed where it does not get another name. Another process may have our number: a
/// container of its own.
fn temporary(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix("tmp-").tempfile_in(directory)
}
