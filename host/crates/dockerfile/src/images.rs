//! Which images a build needs from elsewhere, as far as the text tells.

use kiln_types::Platform;

use crate::walk::{self, At, Bases, Visitor};
use crate::{Dockerfile, Given, Globals, Span, Stage};

/// An image that FROM, `COPY --from` or `RUN --mount=from` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededImage {
    pub name: String,
    /// `FROM --platform`
    pub platform: Option<Platform>,
    pub span: Span,
}

/// The images that `target` and all that it stands on or takes from name, in the order of the text. Names made of
/// variables that only an unknown base image has are not found.
pub fn images(dockerfile: &Dockerfile, given: &Given, bases: &Bases<'_>, target: usize) -> Vec<NeededImage> {
    let (globals, _) = Globals::new(dockerfile, given);
    let mut seen = Seen { dockerfile, found: vec![Vec::new(); dockerfile.stages.len()] };
    let needs = walk::walk(dockerfile, &globals, bases, &mut seen);
    let mut images: Vec<NeededImage> = Vec::new();
    for stage in walk::reachable(&needs, target) {
        for image in seen.found.get_mut(stage).map(std::mem::take).unwrap_or_default() {
            if !images.iter().any(|known| (&known.name, &known.platform) == (&image.name, &image.platform)) {
                images.push(image);
            }
        }
    }
    images
}

struct Seen<'a> {
    dockerfile: &'a Dockerfile,
    /// Of each stage.
    found: Vec<Vec<NeededImage>>,
}

impl Seen<'_> {
    fn add(&mut self, stage: usize, name: String, platform: Option<Platform>, span: Span) {
        // A number that is no stage is a mistake, not an image.
        let is_image = self.dockerfile.find_stage(&name, self.dockerfile.stages.len()).is_none()
            && name.parse::<usize>().is_err()
            && !name.is_empty()
            && name != "scratch";
        if is_image && let Some(found) = self.found.get_mut(stage) {
            found.push(NeededImage { name, platform, span });
        }
    }
}

impl Visitor for Seen<'_> {
    fn from(&mut self, stage: usize, from: &Stage, globals: &Globals) {
        let Ok(name) = globals.expand(&from.from.image) else { return };
        // `FROM alpine AS alpine` is no mistake.
        let is_stage = self.dockerfile.stages[..stage]
            .iter()
            .any(|above| above.name().is_some_and(|above| above.eq_ignore_ascii_case(&name)));
        if is_stage || name.is_empty() || name == "scratch" {
            return;
        }
        let platform = from.from.platform.as_ref().and_then(|word| globals.expand(word).ok()?.parse().ok());
        self.found[stage].push(NeededImage { name, platform, span: from.from.image.span });
    }

    fn instruction(&mut self, at: &At<'_>) {
        for name in walk::sources(at.instruction, at.state, at.globals) {
            self.add(at.stage, name, None, at.instruction.span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let dockerfile = crate::parse(text.as_bytes(), "Dockerfile").expect("valid");
        let given = Given {
            build_args: vec![("BASE".to_owned(), "base:1".to_owned())],
            target_platform: Platform::host(),
            build_platform: Platform::host(),
            target: None,
        };
        let images = images(&dockerfile, &given, &|_, _| None, dockerfile.stages.len() - 1);
        let shown = |image: NeededImage| match image.platform {
            Some(platform) => format!("{} {platform}", image.name),
            None => image.name,
        };
        images.into_iter().map(shown).collect()
    }

    #[test]
    fn images_of_the_stages_that_are_needed() {
        let text = "ARG BASE\nFROM $BASE AS builder\nFROM unused\nFROM --platform=linux/arm64 alpine AS alpine\n\
                    ARG TOOL=tools\nCOPY --from=builder a /\nCOPY --from=${TOOL}:2 b /\nCOPY --from=0 c /\n\
                    RUN --mount=from=nginx,target=/n true\nFROM alpine\nCOPY --from=alpine d /\nFROM scratch\n\
                    COPY --from=3 / /\nCOPY --from=9 / /\n";
        assert_eq!(found(text), ["base:1", "alpine linux/arm64", "tools:2", "nginx"]);
        assert!(found("FROM scratch\nLABEL a=b\n").is_empty());
    }
}
