//! Variables that nothing defines.

use super::Lint;
use super::rules::UNDEFINED_VAR;
use crate::walk::{At, expanded_words};
use crate::{Heredoc, Kind, Source};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// These are for the build, not for its steps.
const NEVER_SET: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// No Dockerfile that people write has more variables.
pub(super) const MOST_NAMES: usize = 500;

/// A text and the variables that were looked up to expand it.
pub(super) struct Looked {
    pub(super) text: String,
    pub(super) matched: BTreeSet<String>,
    pub(super) unmatched: BTreeSet<String>,
}

impl Looked {
    /// A text that cannot be expanded is empty.
    pub(super) fn up(text: &str, escape: u8, lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self::with(lookup, |lookup| crate::expand(text, lookup, escape).unwrap_or_default())
    }

    fn with(lookup: impl Fn(&str) -> Option<String>, expand: impl FnOnce(&crate::Lookup<'_>) -> String) -> Self {
        let (matched, unmatched) = (RefCell::new(BTreeSet::new()), RefCell::new(BTreeSet::new()));
        let text = expand(&|name| {
            let value = lookup(name);
            let names = if value.is_some() { &matched } else { &unmatched };
            names.borrow_mut().insert(name.to_owned());
            value
        });
        Self { text, matched: matched.into_inner(), unmatched: unmatched.into_inner() }
    }
}

impl Lint<'_> {
    pub(super) fn undefined(&mut self, at: &At<'_>) {
        if !self.wants(&UNDEFINED_VAR) {
            return;
        }
        let escape = at.globals.escape();
        let state = at.state;
        let lookup = |name: &str| state.get(name).map(str::to_owned);
        match &at.instruction.kind {
            Kind::Arg(arguments) => {
                // What comes first on the line can be used after it.
                let mut before = BTreeSet::new();
                for argument in arguments {
                    if let Some(default) = argument.default.as_ref().filter(|_| !at.globals.is_given(&argument.name)) {
                        let mut looked = Looked::up(default, escape, lookup);
                        looked.unmatched.retain(|name| !before.contains(name.as_str()));
                        self.report(at, &looked);
                    }
                    before.insert(argument.name.text.as_str());
                }
            }
            Kind::Run(run) => {
                for mount in &run.mounts {
                    for (_, value) in &mount.options {
                        let looked = Looked::up(value.as_deref().unwrap_or_default(), escape, lookup);
                        self.report(at, &looked);
                    }
                }
            }
            kind => {
                for word in expanded_words(kind).into_iter().filter(|word| word.contains('$')) {
                    self.report(at, &Looked::up(word, escape, lookup));
                }
                for heredoc in heredocs(kind).filter(|heredoc| heredoc.expand) {
                    let looked = Looked::with(lookup, |lookup| {
                        crate::expand_heredoc(&heredoc.content, lookup).unwrap_or_default()
                    });
                    self.report(at, &looked);
                }
            }
        }
    }

    fn report(&mut self, at: &At<'_>, looked: &Looked) {
        let state = at.state;
        for name in &looked.unmatched {
            if state.scope.declares(name) || NEVER_SET.contains(&name.as_str()) {
                continue;
            }
            // Among very many names a guess is worth little and takes long.
            let guess = if state.count() <= MOST_NAMES { nearest(name, state.names()) } else { None };
            // Below an image that is not at hand any name may be defined, unless it is plainly a slip.
            let slip = guess.is_some_and(|guess| is_slip(name, guess)) || at.globals.declares(name);
            if !state.env_known && !slip {
                continue;
            }
            let guess = guess.map(|guess| format!(" (did you mean ${guess}?)")).unwrap_or_default();
            let detail = format!("Usage of undefined variable '${name}'{guess}");
            self.warn(&UNDEFINED_VAR, at.instruction.span, detail);
        }
    }
}

fn heredocs(kind: &Kind) -> impl Iterator<Item = &Heredoc> {
    let transfer = match kind {
        Kind::Add(add) => Some(&add.transfer),
        Kind::Copy(copy) => Some(&copy.transfer),
        _ => None,
    };
    transfer.into_iter().flat_map(|transfer| &transfer.sources).filter_map(|source| match source {
        Source::Inline(heredoc) => Some(heredoc),
        Source::Path(_) => None,
    })
}

/// The first of the names that differ in fewer than three letters and in the fewest; BuildKit's measure.
pub(super) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    const FAR: usize = 3;
    let mut best: Option<(usize, &str)> = None;
    for candidate in names {
        let distance = match candidate.len().abs_diff(name.len()) < FAR {
            true => crate::suggest::edits(name, candidate),
            false => FAR,
        };
        if distance < best.map_or(FAR, |(distance, _)| distance) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, name)| name)
}

/// One letter too many or too few, another one, or two that changed places.
fn is_slip(name: &str, meant: &str) -> bool {
    const SHORTEST: usize = 4;
    name.len() >= SHORTEST && crate::suggest::slips(name, meant) == 1
}
