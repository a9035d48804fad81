//! `# syntax=`: the front end that a Dockerfile asks for. Docker's own is built into kiln; there is no other.

use crate::diagnostic::quoted;
use crate::{Diagnostic, Dockerfile, Given, SYNTAX_ARG, Span};

/// The version of `docker/dockerfile` whose language kiln has.
pub(crate) const VERSION: (u32, u32) = (1, 20);

/// What `BUILDKIT_SYNTAX` calls the front end of the builder itself.
const BUILT_IN: &str = "dockerfile.v0";

const REPOSITORIES: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// What a reference to Docker's front end says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// As far as the tag gives both numbers: `1` and `latest` mean whatever there is.
    pub(crate) version: Option<(u32, u32)>,
}

impl Syntax {
    /// Err where `text` asks for another front end. A mirror keeps the repository's name.
    pub(crate) fn parse(text: &str) -> Result<Self, ()> {
        let image = text.split_whitespace().next().unwrap_or_default();
        let image = image.split_once('@').map_or(image, |(name, _)| name);
        let (name, tag) = match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (image, ""),
        };
        let is_mirror = |known: &str| name.strip_suffix(known).is_some_and(|host| host.ends_with('/'));
        if !REPOSITORIES.iter().any(|known| name == *known || is_mirror(known)) {
            return Err(());
        }
        let number = tag.split('-').next().unwrap_or_default();
        let mut numbers = number.split('.').map(|part| part.parse().ok());
        let version = numbers.next().flatten().zip(numbers.next().flatten());
        // The language of another major version is another language.
        match number.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
            Some(major) if major > VERSION.0 => Err(()),
            _ => Ok(Self { version }),
        }
    }
}

/// Refuses a Dockerfile that is written for a front end which kiln does not have.
pub fn check_syntax(dockerfile: &Dockerfile, given: &Given) -> Result<(), Diagnostic> {
    let directive = dockerfile.directives.syntax.as_ref();
    let (text, span, place) = match (given.build_arg(SYNTAX_ARG), directive) {
        (Some(BUILT_IN), _) => return Ok(()),
        (Some(given), _) => (given, Span::default(), "the build argument BUILDKIT_SYNTAX"),
        (None, Some(word)) => (word.text.as_str(), word.span, "the file"),
        (None, None) => return Ok(()),
    };
    Syntax::parse(text).map(|_| ()).map_err(|()| {
        let message = format!("{place} asks for the front end {}, which kiln does not have", quoted(text));
        Diagnostic::error("unknown-frontend", span, message).hint(
            "kiln reads Dockerfiles itself, as docker/dockerfile:1 does: where that is enough, change the syntax line or \
             give --build-arg BUILDKIT_SYNTAX=docker/dockerfile:1",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_front_end_is_known_by_its_name() {
        for (text, version) in [
            ("docker/dockerfile", None),
            ("docker/dockerfile:1", None),
            ("docker/dockerfile:1.4", Some((1, 4))),
            ("docker/dockerfile:1.7.1-labs", Some((1, 7))),
            ("docker/dockerfile:1-experimental", None),
            ("docker/dockerfile:labs@sha256:ab", None),
            ("docker.io/docker/dockerfile-upstream:master", None),
            ("registry.example:5000/docker/dockerfile:1.99", Some((1, 99))),
            ("docker/dockerfile:1.3 and a remark", Some((1, 3))),
        ] {
            assert_eq!(Syntax::parse(text), Ok(Syntax { version }), "{text}");
        }
        for text in ["", "docker/dockerfile:2", "other/dockerfile:1", "mydocker/dockerfile", "docker/dockerfile/x"] {
            assert_eq!(Syntax::parse(text), Err(()), "{text}");
        }
    }
}
