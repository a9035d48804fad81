//! EXPOSE: what is accepted and means nothing.

use super::Lint;
use super::rules::{EXPOSE_INVALID_FORMAT, EXPOSE_PROTO_CASING};
use crate::walk::At;
use crate::{Exposed, Kind};

impl Lint<'_> {
    pub(super) fn expose(&mut self, at: &At<'_>) {
        let Kind::Expose(words) = &at.instruction.kind else { return };
        let span = at.instruction.span;
        for word in words {
            let lookup = |name: &str| at.state.get(name).map(str::to_owned);
            for text in crate::expand_words(word, &lookup, at.globals.escape()).unwrap_or_default() {
                let Ok(port) = Exposed::parse(&text) else { continue };
                if port.capitals {
                    let detail = format!("Defined protocol '{text}' in EXPOSE instruction should be lowercase");
                    self.warn(&EXPOSE_PROTO_CASING, span, detail);
                }
                if port.mapped {
                    let detail = format!(
                        "EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
                    );
                    self.warn(&EXPOSE_INVALID_FORMAT, span, detail);
                }
            }
        }
    }
}
