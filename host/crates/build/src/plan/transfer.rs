//! COPY and ADD: their sources, flags and destinations with every variable expanded.

use kiln_dockerfile::{Add, Diagnostic, ModeChange, Source, Span, Transfer, Word};
use kiln_fetch::git::Reference;
use kiln_fetch::{Checksum, Url};
use kiln_types::paths;

use super::stage::Planner;
use super::{Copy, CopyFrom, CopySource, SourceImage};
use crate::NamedContext;
use crate::images::UNKNOWN_SOURCE;

impl Planner<'_> {
    pub(super) fn copy(&mut self, copy: &kiln_dockerfile::Copy) -> Result<Copy, Diagnostic> {
        let from = copy.from.as_ref().map_or(Ok(CopyFrom::Context), |word| self.copy_from(word))?;
        let planned = self.transfer("COPY", &copy.transfer, from, None)?;
        Ok(Copy { parents: copy.parents, ..planned })
    }

    pub(super) fn add(&mut self, add: &Add) -> Result<Copy, Diagnostic> {
        let planned = self.transfer("ADD", &add.transfer, CopyFrom::Context, Some(add))?;
        // By itself ADD unpacks only what is local.
        Ok(Copy { unpack: add.unpack != Some(false), unpack_remote: add.unpack == Some(true), ..planned })
    }

    /// What `--from` names: a named context, a stage, an image.
    pub(super) fn copy_from(&mut self, word: &Word) -> Result<CopyFrom, Diagnostic> {
        if word.text.is_empty() {
            // BuildKit passes over a flag with nothing behind it.
            return Ok(CopyFrom::Context);
        }
        let name = self.fold.expand_from(word)?;
        if name.is_empty() {
            let message = format!("`{}` expands to nothing", word.text);
            return Err(Diagnostic::error("bad-image", word.span, message)
                .hint("declare it with ARG in this stage, and give it a default or a value with --build-arg"));
        }
        self.files_of(&name, word.span)
    }

    pub(super) fn files_of(&mut self, name: &str, span: Span) -> Result<CopyFrom, Diagnostic> {
        let name = match self.named_context(name) {
            None => name.to_owned(),
            Some((index, NamedContext::Files { .. })) => return Ok(CopyFrom::Files(index)),
            Some((_, NamedContext::Image(image))) => {
                let image = image.clone();
                let platform = self.request.platform.as_ref();
                let (image, pulled) = super::stage::find_image(self.images, &image, platform, span)?;
                return Ok(CopyFrom::Image(Box::new(SourceImage { image, pulled })));
            }
            Some((_, NamedContext::Stage(stage))) => stage.clone(),
        };
        if let Some(stage) = self.dockerfile.find_stage(&name, self.ordinal) {
            self.needs.push(stage);
            return Ok(CopyFrom::Stage(stage));
        }
        let later = self.dockerfile.find_stage(&name, self.dockerfile.stages.len());
        if later.is_some() || name.parse::<usize>().is_ok() {
            return Err(Diagnostic::error("unknown-stage", span, format!("no stage `{name}` before this one"))
                .hint("stages can copy only from stages that stand above them"));
        }
        let known: Vec<_> = self.dockerfile.stages[..self.ordinal].iter().filter_map(|stage| stage.name()).collect();
        let close = kiln_dockerfile::closest(&name, known.iter().copied());
        let found = self.images.find(&name, self.request.platform.as_ref()).map_err(|missing| {
            let problem = missing.diagnostic(format!("`{name}` is neither a stage nor an image"), span);
            match close {
                Some(close) => {
                    Diagnostic { code: UNKNOWN_SOURCE, ..problem }.hint(format!("did you mean the stage `{close}`?"))
                }
                None => problem,
            }
        })?;
        let (image, pulled) = found;
        Ok(CopyFrom::Image(Box::new(SourceImage { image, pulled })))
    }

    fn transfer(
        &self,
        keyword: &'static str,
        transfer: &Transfer,
        from: CopyFrom,
        add: Option<&Add>,
    ) -> Result<Copy, Diagnostic> {
        let checksum = add.and_then(|add| add.checksum.as_ref());
        let mut sources = Vec::new();
        for source in &transfer.sources {
            sources.push(match source {
                Source::Path(word) => {
                    let pattern = self.fold.expand(word)?;
                    match self.remote(&pattern, word, add)? {
                        Some(_) if keyword == "COPY" => {
                            return Err(Diagnostic::error(
                                "copy-from-url",
                                word.span,
                                format!("COPY takes files only from the build context, not from `{pattern}`"),
                            )
                            .hint("use ADD"));
                        }
                        Some(remote) => remote,
                        None => CopySource::Path { pattern, span: word.span },
                    }
                }
                Source::Inline(heredoc) => {
                    let content = if heredoc.expand {
                        kiln_dockerfile::expand_heredoc(&heredoc.content, &|name| self.fold.lookup(name))
                            .map_err(|error| error.diagnostic(heredoc.span))?
                    } else {
                        heredoc.content.clone()
                    };
                    CopySource::Inline { name: heredoc.name.clone(), content: content.into_bytes() }
                }
            });
        }
        if let Some(word) = checksum {
            let remote = matches!(sources[..], [CopySource::Url { .. } | CopySource::Git { .. }]);
            if !remote {
                let message = "--checksum is for one source that is a URL or a git repository";
                return Err(Diagnostic::error("bad-checksum", word.span, message)
                    .hint("files of the build context are yours: leave the flag out"));
            }
        }
        let destination = self.fold.expand(&transfer.destination)?;
        let mut target = paths::join(&paths::clean(&self.fold.config.config.working_dir), destination.as_bytes());
        target.insert(0, b'/');
        let names_directory =
            destination.ends_with('/') || matches!(paths::name(destination.as_bytes()), b"." | b".." | b"");
        if names_directory && !target.ends_with(b"/") {
            target.push(b'/');
        }
        let chown = transfer.chown.as_ref().map(|word| self.fold.expand(word)).transpose()?;
        let chmod = transfer.chmod.as_ref().map(|word| {
            let text = self.fold.expand(word)?;
            ModeChange::parse(&text).map_err(|error| Diagnostic::error("bad-chmod", word.span, error.to_string()))
        });
        let chmod = chmod.transpose()?;
        let exclude = transfer.exclude.iter().map(|word| self.fold.expand(word)).collect::<Result<_, _>>()?;
        Ok(Copy {
            keyword,
            sources,
            from,
            destination,
            target,
            chown,
            chmod,
            link: transfer.link,
            parents: false,
            exclude,
            unpack: false,
            unpack_remote: false,
        })
    }

    /// What a source names if that is elsewhere.
    fn remote(&self, text: &str, word: &Word, add: Option<&Add>) -> Result<Option<CopySource>, Diagnostic> {
        let checksum = match add.and_then(|add| add.checksum.as_ref()) {
            Some(word) => Some((self.fold.expand(word)?, word.span)),
            None => None,
        };
        let span = word.span;
        let bad = |message: String| Diagnostic::error("bad-source", span, message);
        let allowed = || match self.request.untrusted {
            true => {
                Err(Diagnostic::error("not-allowed", span, format!("--untrusted builds take nothing from `{text}`"))
                    .hint("put the file into the build context, or build without --untrusted"))
            }
            false => Ok(()),
        };
        // `github.com/…` may be a path here; only a build context can be written so.
        let repository = Reference::parse(text).filter(|_| !text.starts_with("github.com/"));
        if let Some(parsed) = repository {
            let mut reference = parsed.map_err(|error| bad(format!("`{text}`: {error}")))?;
            if reference.is_local() {
                return Err(bad(format!("`{text}` is a repository of this machine, which a Dockerfile cannot read"))
                    .hint("give it a name with --build-context and use COPY --from"));
            }
            let keep = add.and_then(|add| add.keep_git_dir);
            allowed()?;
            let checksum = checksum.as_ref().map(|(text, _)| text.as_str());
            reference.require(checksum, keep).map_err(|error| bad(error.to_string()))?;
            return Ok(Some(CopySource::Git { reference: Box::new(reference), span }));
        }
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Ok(None);
        }
        allowed()?;
        let url: Url = text.parse().map_err(|error| bad(format!("`{text}` is not a URL: {error}")))?;
        let checksum = checksum.map(|(text, span)| {
            text.parse::<Checksum>().map_err(|error| Diagnostic::error("bad-checksum", span, error.to_string()))
        });
        Ok(Some(CopySource::Url { url, checksum: checksum.transpose()?, span }))
    }

    /// The context given with `--build-context` under that name.
    fn named_context(&self, name: &str) -> Option<(usize, &NamedContext)> {
        super::named_context(self.request, name)
    }
}
