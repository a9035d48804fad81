//! COPY and ADD of files in the build context.

use super::Lint;
use super::rules::{COPY_IGNORED_FILE, KILN_ADD_LOCAL_FILE};
use crate::walk::At;
use crate::{Kind, Source, glob, ignore};

const ARCHIVES: [&str; 12] =
    [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".gz", ".xz"];

impl Lint<'_> {
    pub(super) fn context(&mut self, at: &At<'_>) {
        let (transfer, command) = match &at.instruction.kind {
            Kind::Copy(copy) if copy.from.is_none() => (&copy.transfer, "Copy"),
            Kind::Add(add) => (&add.transfer, "Add"),
            _ => return,
        };
        let span = at.instruction.span;
        for source in &transfer.sources {
            let Source::Path(word) = source else { continue };
            let Ok(path) = at.state.expand(word, at.globals) else { continue };
            if command == "Add" && is_remote(&path) {
                continue;
            }
            if self.is_ignored(&path) {
                let path = ignore::clean(&path);
                let detail = format!("Attempting to {command} file \"{path}\" that is excluded by .dockerignore");
                self.warn(&COPY_IGNORED_FILE, span, detail);
            }
            if let Kind::Add(add) = &at.instruction.kind
                && add.unpack != Some(true)
                && !glob::has_wildcard(path.as_bytes())
                && !ARCHIVES.iter().any(|ending| path.to_lowercase().ends_with(ending))
            {
                let detail = format!("COPY does what this ADD of {path} does, and nothing else");
                self.warn(&KILN_ADD_LOCAL_FILE, span, detail);
            }
        }
    }

    /// Exceptions make it hard to say: then nothing is said.
    fn is_ignored(&self, path: &str) -> bool {
        let Some(ignore) = self.facts.ignore.filter(|ignore| !ignore.has_exceptions()) else { return false };
        let clean = ignore::clean(path);
        match clean.trim_start_matches('/') {
            "" | "." => ignore.excludes_everything(),
            path => ignore.excludes(path.as_bytes()),
        }
    }
}

/// What ADD fetches. A repository may be named without a scheme.
fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| source.starts_with(scheme))
        || source.starts_with("github.com/")
}
