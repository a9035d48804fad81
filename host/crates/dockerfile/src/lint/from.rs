//! FROM: its variables, its platform, its image.

use super::Lint;
use super::rules::{
    FROM_PLATFORM_FLAG_CONST_DISALLOWED, INVALID_DEFAULT_ARG_IN_FROM, KILN_UNPINNED_BASE, REDUNDANT_TARGET_PLATFORM,
    UNDEFINED_ARG_IN_FROM,
};
use super::undefined::{Looked, MOST_NAMES, nearest};
use crate::{Dockerfile, Given, Globals, Stage, Word};
use kiln_types::{Platform, Reference};

impl Lint<'_> {
    pub(super) fn from(&mut self, stage: &Stage, globals: &Globals) {
        let image = self.expanded(&stage.from.image, stage, globals);
        if let Some(word) = &stage.from.platform {
            let platform = self.expanded(word, stage, globals);
            self.platform(word, &platform, stage, globals);
        }
        self.base(&image.text, stage);
    }

    /// Expands a word of FROM and tells of variables that no ARG declares.
    fn expanded(&mut self, word: &Word, stage: &Stage, globals: &Globals) -> Looked {
        let looked = Looked::up(word, globals.escape(), |name| globals.get(name).map(str::to_owned));
        for name in looked.unmatched.iter().filter(|name| !globals.knows(name)) {
            let guess = nearest(name, globals.names().take(MOST_NAMES));
            let guess = guess.map(|guess| format!(" (did you mean {guess}?)")).unwrap_or_default();
            self.warn(&UNDEFINED_ARG_IN_FROM, stage.span, format!("FROM argument '{name}' is not declared{guess}"));
        }
        looked
    }

    fn platform(&mut self, word: &Word, looked: &Looked, stage: &Stage, globals: &Globals) {
        const TARGET: &str = "TARGETPLATFORM";
        let is_target = looked.unmatched.is_empty()
            && looked.matched.iter().eq([TARGET])
            && globals.get(TARGET) == Some(looked.text.as_str());
        if is_target {
            let detail =
                format!("Setting platform to predefined {word} in FROM is redundant as this is the default behavior");
            self.warn(&REDUNDANT_TARGET_PLATFORM, stage.span, detail);
        }
        let constant = looked.unmatched.is_empty() && looked.matched.is_empty();
        let Some(platform) = looked.text.parse::<Platform>().ok().filter(|_| constant) else { return };
        // A stage that says in its name what it is for does so on purpose, and so does one that is made of WebAssembly.
        let name = stage.name().unwrap_or_default();
        if !platform.is_wasi() && !name.contains(&platform.os) && !name.contains(&platform.architecture) {
            let detail = format!("FROM --platform flag should not use constant value \"{}\"", looked.text);
            self.warn(&FROM_PLATFORM_FLAG_CONST_DISALLOWED, stage.span, detail);
        }
    }

    fn base(&mut self, image: &str, stage: &Stage) {
        let unpinned = image != "scratch"
            && !self.earlier.contains(&image.to_lowercase())
            && image.parse::<Reference>().is_ok_and(|reference| reference.digest.is_none());
        if unpinned {
            let detail = format!("The base image {image} has no digest: write {image}@sha256:…");
            self.warn(&KILN_UNPINNED_BASE, stage.span, detail);
        }
        self.earlier.extend(stage.name().map(str::to_owned));
    }

    /// FROM must name an image even if no `--build-arg` is given.
    pub(super) fn default_args(&mut self, dockerfile: &Dockerfile, given: &Given) {
        let given = Given { build_args: Vec::new(), ..given.clone() };
        let (globals, problems) = Globals::new(dockerfile, &given);
        if !problems.is_empty() {
            return;
        }
        for stage in &dockerfile.stages {
            let Ok(image) = globals.expand(&stage.from.image) else { return };
            if image.parse::<Reference>().is_err() {
                self.local = self.options.with_comments(&stage.comments);
                let written = &stage.from.image.text;
                let detail = format!("Default value for ARG {written} results in empty or invalid base image name");
                self.warn(&INVALID_DEFAULT_ARG_IN_FROM, stage.span, detail);
            }
        }
        self.local = None;
    }
}
