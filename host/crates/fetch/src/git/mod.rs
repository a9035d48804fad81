//! Trees out of git repositories, by the `git` program: fetched shallowly into bare repositories that are kept, and read
//! out as tars. There is never a work tree on the host, so nothing in a repository is followed or executed.
//!
//! ```text
//! <directory>/<hash of the remote>.git     bare, holds every commit that was wanted
//! <directory>/<hash of the remote>.lock    held while it is fetched into
//! <directory>/<hash of commit, …>.tar      the tree of one commit, as it is wanted
//! ```

mod command;
mod git_dir;
mod reference;
mod remote;
mod repository;
mod submodules;
mod tracked;
mod tree;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use reference::{ParseReferenceError, Reference};
pub use remote::Resolved;
pub use repository::{Git, Tree};

pub type Result<T> = std::result::Result<T, Error>;

/// How `git` is run.
#[derive(Clone)]
pub struct Settings {
    /// Its name, or its path.
    pub program: PathBuf,
    /// Everything that it finds in its environment besides what keeps it safe: where programs are, proxies, the agent
    /// that holds SSH keys.
    pub environment: Vec<(String, String)>,
    /// Where repositories and trees are kept.
    pub directory: PathBuf,
    /// Most bytes of one tree.
    pub limit: u64,
    /// Asked again and again: whether to give up.
    pub cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the program `git` is needed to fetch from repositories, and it is not installed: install git")]
    NoGit,
    #[error("cannot run `git`")]
    Run(#[source] io::Error),
    #[error("git cannot {action} {remote}: {said}")]
    Failed { action: &'static str, remote: String, said: String },
    #[error("{remote} has no branch, tag or commit `{reference}`")]
    NoReference { remote: String, reference: String },
    #[error("{remote} has no commit {commit}, or its server does not give it out")]
    NoCommit { remote: String, commit: String },
    #[error(
        "{remote} has the commit {found}, but {expected} is wanted: the branch or tag has moved, or the checksum is wrong"
    )]
    Checksum { remote: String, expected: String, found: String },
    #[error("{remote} has no directory `{directory}` at {commit}")]
    NoDirectory { remote: String, directory: String, commit: String },
    #[error("{remote} has a tree that no checkout could make: {reason}")]
    BadTree { remote: String, reason: String },
    #[error("{remote} is larger than {limit} bytes, the most that is taken")]
    TooLarge { remote: String, limit: u64 },
    #[error("the submodule `{path}` of {remote} cannot be fetched: {reason}")]
    Submodule { remote: String, path: String, reason: String },
    #[error("cannot keep what git fetched in {}", .path.display())]
    Keep { path: PathBuf, source: io::Error },
    #[error("cancelled")]
    Cancelled,
}
