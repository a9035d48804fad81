//! The bare repositories and the tars of trees: made once, kept, found again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kiln_types::{Digest, Hasher};

use super::command::Invocation;
use super::reference::{Reference, shown};
use super::remote::{self, Resolved};
use super::{Error, Result, Settings, git_dir, tree};

/// Part of the names of tars: another way to make them is another name.
const TAR_VERSION: &str = "tree, version 1";

/// Fetches from git repositories.
pub struct Git {
    settings: Settings,
}

/// The files of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    pub commit: String,
    /// When it was committed, in seconds since 1970: the time of every file.
    pub time: i64,
    /// A tar with every file and directory.
    pub tar: PathBuf,
}

impl Git {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same with the value of an `Authorization` header, for this remote alone; for those of GitHub, which share
    /// their tokens, for all of them. It is in git's environment, which only this user can see. Git would tell it to
    /// whomever it is redirected to, so it follows nobody.
    pub fn authorized(&self, remote: &str, authorization: &str) -> Self {
        const GITHUB: &str = "https://github.com/";
        let scope = if remote.starts_with(GITHUB) { GITHUB } else { remote };
        let mut settings = self.settings.clone();
        settings.environment.extend(
            [
                ("GIT_CONFIG_COUNT", "2".to_owned()),
                ("GIT_CONFIG_KEY_0", format!("http.{scope}.extraHeader")),
                ("GIT_CONFIG_VALUE_0", format!("Authorization: {authorization}")),
                ("GIT_CONFIG_KEY_1", "http.followRedirects".to_owned()),
                ("GIT_CONFIG_VALUE_1", "false".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Self { settings }
    }

    /// Which commit it is now. Asks the remote, unless the reference is a commit itself.
    pub fn resolve(&self, wanted: &Reference) -> Result<Resolved> {
        remote::resolve(&self.settings, wanted)
    }

    /// The files of a commit, fetched if they are not here yet.
    pub fn tree(&self, wanted: &Reference, resolved: &Resolved) -> Result<Tree> {
        let keep = wanted.keep_git_dir == Some(true) && wanted.subdir.is_empty();
        let tar = self.settings.directory.join(format!("{}.tar", tar_name(wanted, resolved, keep).hex()));
        let bare = self.repository(&wanted.remote, wanted.is_local(), resolved)?;
        let time = tree::commit_time(&self.settings, &bare, &wanted.remote, &resolved.commit)?;
        let found = Tree { commit: resolved.commit.clone(), time, tar };
        if let Ok(file) = File::options().append(true).open(&found.tar) {
            // What was used last goes last when there is too much.
            let _ = file.set_modified(std::time::SystemTime::now());
            return Ok(found);
        }
        let mut writer = tree::Writer::create(self, &self.settings, time, &wanted.remote)?;
        writer.tree(&bare, &resolved.commit, &wanted.subdir, wanted.submodules)?;
        if keep {
            git_dir::add(&self.settings, &mut writer, &bare, wanted, resolved)?;
        }
        writer.finish(&found.tar)?;
        Ok(found)
    }

    /// The bare repository for a remote, with that commit in it.
    pub(super) fn repository(&self, remote: &str, local: bool, resolved: &Resolved) -> Result<PathBuf> {
        let name = Digest::of(remote).hex();
        let directory = self.settings.directory.join(format!("{name}.git"));
        let keep = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Keep { path, source }
        };
        fs::create_dir_all(&self.settings.directory).map_err(keep(&self.settings.directory))?;
        let lock_path = self.settings.directory.join(format!("{name}.lock"));
        let lock =
            File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(keep(&lock_path))?;
        self.lock(&lock).map_err(keep(&lock_path))?;
        if !directory.join("HEAD").exists() {
            let format = if resolved.commit.len() == 64 { "sha256" } else { "sha1" };
            Invocation::new(&self.settings, "make a repository for", remote, false)
                .args(["init", "--quiet", "--bare", "--template=", "--object-format", format])
                .path(&directory)
                .output()?;
        }
        // What a killed git left would stop the next one.
        for leftover in ["shallow.lock", "packed-refs.lock"] {
            match fs::remove_file(directory.join(leftover)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(keep(&directory)(error)),
                _ => {}
            }
        }
        remove_unfinished(&directory.join("objects/pack"));
        remote::fetch(&self.settings, &directory, remote, local, resolved)?;
        Ok(directory)
    }

    /// Another process may fetch from the same remote; waiting for it ends with the wish to cancel.
    fn lock(&self, file: &File) -> io::Result<()> {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(fs::TryLockError::Error(error)) => return Err(error),
                Err(fs::TryLockError::WouldBlock) if (self.settings.cancelled)() => {
                    return Err(io::Error::other("cancelled"));
                }
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(50)),
            }
        }
    }
}

/// Packs that a killed git did not receive to their end. Nobody else receives any: the repository is locked.
fn remove_unfinished(packs: &Path) {
    for entry in fs::read_dir(packs).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("tmp_") || name.ends_with(".temp") {
            // Otherwise it only takes space.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// By all that the tar depends on: two remotes with the same commit have the same files, unless submodules are found
/// relative to them, or `.git` names them.
fn tar_name(wanted: &Reference, resolved: &Resolved, keep: bool) -> Digest {
    let mut hasher = Hasher::new();
    hasher.field(TAR_VERSION);
    hasher.field(&resolved.commit);
    hasher.field(&wanted.subdir);
    if wanted.submodules || keep {
        hasher.field(shown(&wanted.remote));
    }
    if keep {
        hasher.field("with .git");
        hasher.field(resolved.name.as_deref().unwrap_or_default());
    }
    hasher.finish()
}
