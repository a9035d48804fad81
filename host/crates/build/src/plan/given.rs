//! What the user gives to a build as variables, and those of them that mean something to the build itself.

use std::ops::RangeInclusive;

use kiln_dockerfile::{Diagnostic, Dockerfile, EPOCH_ARG, Given, Globals, HOSTNAME_ARG, Span};
use kiln_types::Platform;

use crate::{ContextSource, NamedContext, Request};

/// What RFC 3339 can write, from 1970 on.
const TIMES: RangeInclusive<i64> = 0..=253_402_300_799;

/// What of `request` decides the values of variables.
pub(crate) fn given(request: &Request) -> Given {
    let build_platform = Platform::host();
    let mut build_args = request.build_args.clone();
    // As docker buildx has it: a stage that declares the ARG sees the time of the image.
    if let Some(epoch) = &request.epoch
        && build_args.iter().all(|(name, _)| name != EPOCH_ARG)
    {
        build_args.push((EPOCH_ARG.to_owned(), epoch.clone()));
    }
    Given {
        build_args,
        target_platform: request.platform.clone().unwrap_or_else(|| build_platform.clone()),
        build_platform,
        target: request.target.clone(),
    }
}

/// Variables and what they say of the build.
pub(super) struct Settled {
    pub(super) globals: Globals,
    /// Seconds since 1970 that `created` says, and that times of files in new layers do not exceed.
    pub(super) epoch: Option<i64>,
    pub(super) hostname: Option<String>,
}

pub(super) fn settle(dockerfile: &Dockerfile, request: &Request) -> Result<Settled, Vec<Diagnostic>> {
    let mut given = given(request);
    let globals = globals(dockerfile, &given)?;
    let written = globals.build_arg(EPOCH_ARG).or(globals.get(EPOCH_ARG)).unwrap_or_default();
    let epoch = epoch(written, request).map_err(|problem| vec![problem])?;
    let settled = epoch.or(request.reproducible.then_some(0));
    let shown = settled.map(|epoch| epoch.to_string()).unwrap_or_default();
    let globals = if written == shown {
        globals
    } else {
        // Steps see what came out of it.
        given.build_args.push((EPOCH_ARG.to_owned(), shown));
        self::globals(dockerfile, &given)?
    };
    let hostname = hostname(&globals).map_err(|problem| vec![problem])?;
    Ok(Settled { globals, epoch: settled, hostname })
}

fn globals(dockerfile: &Dockerfile, given: &Given) -> Result<Globals, Vec<Diagnostic>> {
    let (globals, problems) = Globals::new(dockerfile, given);
    if problems.is_empty() { Ok(globals) } else { Err(problems) }
}

/// A number of seconds, or where to find it: `context` or the name of a named context, whose commit, `Last-Modified` or
/// newest file says it. A directory says nothing.
fn epoch(written: &str, request: &Request) -> Result<Option<i64>, Diagnostic> {
    if written.is_empty() {
        return Ok(None);
    }
    if let Ok(seconds) = written.parse::<i64>() {
        return if TIMES.contains(&seconds) {
            Ok(Some(seconds))
        } else {
            let message = format!("{EPOCH_ARG} is `{written}`, which is not between 1970 and 9999");
            Err(Diagnostic::error("bad-epoch", Span::default(), message).hint("give the seconds since 1970"))
        };
    }
    let source = match written {
        "context" => request.context.as_ref(),
        name => match super::named_context(request, name) {
            Some((_, NamedContext::Files { source, .. })) => Some(source),
            _ => {
                let message = format!("{EPOCH_ARG} is `{written}`, which is neither a number nor a context");
                return Err(Diagnostic::error("bad-epoch", Span::default(), message)
                    .hint("give the seconds since 1970, `context`, or the name of a --build-context with files"));
            }
        },
    };
    Ok(match source {
        Some(ContextSource::Archive(archive)) => {
            archive.time().map(|seconds| seconds.clamp(*TIMES.start(), *TIMES.end()))
        }
        Some(ContextSource::Directory(_)) | None => None,
    })
}

/// The name of the machine that steps see.
fn hostname(globals: &Globals) -> Result<Option<String>, Diagnostic> {
    /// sethostname(2)
    const LONGEST: usize = 64;
    let Some(name) = globals.build_arg(HOSTNAME_ARG).filter(|name| !name.is_empty()) else { return Ok(None) };
    let is_name =
        name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_name {
        return Ok(Some(name.to_owned()));
    }
    Err(Diagnostic::error(
        "bad-hostname",
        Span::default(),
        format!("{HOSTNAME_ARG} is `{name}`, which is no name of a host"),
    )
    .hint("write at most 64 letters, digits, hyphens and dots"))
}
