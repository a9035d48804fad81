//! What a step needs from elsewhere, got before its key is known: named contexts, URLs, repositories.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Build;
use crate::ops::copy::Remote;
use crate::plan::{Copy, CopySource, Shown};
use crate::{Context, ContextMode, ContextSource, Error, Located, NamedContext};

impl Build<'_> {
    /// The files of a named context.
    pub(super) fn named_context(&self, index: usize) -> Result<Arc<Context>, Error> {
        let mut opened = self.named[index].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = &*opened {
            return Ok(Arc::clone(context));
        }
        let (_, NamedContext::Files { source, ignore }) = &self.request.named_contexts[index] else {
            unreachable!("only contexts with files are planned to be copied from");
        };
        let context = Context::open(source, ignore.as_deref(), self.request.context_mode, self.environment)?;
        Ok(Arc::clone(opened.insert(Arc::new(context))))
    }

    /// What the sources of an ADD name elsewhere, side by side; one for each source.
    pub(super) fn remotes(&self, shown: &Shown, copy: &Copy) -> Result<Vec<Option<Remote>>, Error> {
        let is_remote = |source: &CopySource| matches!(source, CopySource::Url { .. } | CopySource::Git { .. });
        if !copy.sources.iter().any(is_remote) {
            return Ok(Vec::new());
        }
        self.fetched.store(true, Ordering::Relaxed);
        std::thread::scope(|scope| {
            let fetching: Vec<_> = copy
                .sources
                .iter()
                .map(|source| is_remote(source).then(|| scope.spawn(|| self.remote(shown, source))))
                .collect();
            fetching
                .into_iter()
                .map(|thread| thread.map(|thread| thread.join().expect("fetching does not panic")).transpose())
                .map(|result| result.map(Option::flatten))
                .collect()
        })
    }

    fn remote(&self, shown: &Shown, source: &CopySource) -> Result<Option<Remote>, Error> {
        let remote = &self.environment.remote;
        let (result, span) = match source {
            CopySource::Url { url, checksum, span } => (remote.file(url, checksum.as_ref()).map(Remote::File), *span),
            CopySource::Git { reference, span } => {
                let tree = remote.archive(reference).and_then(|archive| {
                    let source = ContextSource::Archive(Arc::new(archive));
                    Context::open(&source, None, ContextMode::Posix, self.environment).map(Remote::Tree)
                });
                (tree, *span)
            }
            CopySource::Path { .. } | CopySource::Exactly { .. } | CopySource::Inline { .. } => return Ok(None),
        };
        // Triggers of base images stand in no file of ours.
        let span = if shown.number.is_some() { span } else { shown.span };
        match result {
            Ok(remote) => Ok(Some(remote)),
            Err(Error::Fetch(error)) => {
                let text = error.to_string();
                let code = if matches!(error, kiln_fetch::Error::Checksum { .. }) { "checksum" } else { "not-fetched" };
                Err(Located::new(code, span, text).source(error).into())
            }
            Err(error) => Err(error),
        }
    }
}
