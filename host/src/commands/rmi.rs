//! `kiln rmi`: takes names away, deletes images that have none left, frees the space.

use std::collections::HashSet;
use std::io::Write;
use std::process::ExitCode;

use kiln_store::{Error, RemoveOptions, Removed};

use crate::cli::rmi::Rmi;
use crate::report::failure::FAILED;
use crate::report::problem::Problem;
use crate::session::Session;

/// Goes on after an image that cannot be removed, and fails in the end.
pub(super) fn run(options: &Rmi, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store()?;
    let how = RemoveOptions { force: options.force, no_prune: options.no_prune };
    let mut code = ExitCode::SUCCESS;
    let mut deleted = false;
    // `images -q` has an image with two names twice.
    let mut known = HashSet::new();
    let names: Vec<&str> = options.images.iter().map(String::as_str).filter(|name| known.insert(*name)).collect();
    for result in store.remove_images(&names, how)? {
        match result {
            Ok(removed) => {
                let mut out = super::stdout();
                for line in removed {
                    match line {
                        Removed::Untagged(name) => writeln!(out, "Untagged: {}", name.familiar())?,
                        Removed::Deleted(digest) => {
                            deleted = true;
                            writeln!(out, "Deleted: {digest}")?;
                        }
                    }
                }
                out.flush()?;
            }
            Err(error) => {
                Problem::chain(&error).show();
                if !(options.force && matches!(error, Error::NoSuchImage { .. })) {
                    code = ExitCode::from(FAILED);
                }
            }
        }
    }
    if deleted && store.collect()?.skipped {
        Problem::warning("another kiln is at work: the next `kiln rmi` that deletes an image frees the space").show();
    }
    Ok(code)
}
