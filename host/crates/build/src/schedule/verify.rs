//! `--cache-verify`: a step that need not be done is done nevertheless, and its result compared with the record.

use kiln_dockerfile::Span;

use crate::Located;
use crate::record::LayerResult;

pub(super) const NATIVE: &str = "not verified: a Linux program need not give the same again, only WASI steps must";

pub(super) const VERIFIED: &str = "verified: doing this step again gave the same layer";

/// Refuses a result that is not the recorded one, times included: a WASI step has nothing that could vary.
pub(super) fn same(recorded: Option<LayerResult>, again: Option<LayerResult>, span: Span) -> Result<(), Located> {
    let layer = |result: Option<LayerResult>| result.map(|result| result.diff_id);
    if layer(recorded) == layer(again) {
        return Ok(());
    }
    let named = |result| layer(result).map_or("no layer".to_owned(), |diff_id| diff_id.to_string());
    let message = format!("the cached result of this step is {}, but doing it gave {}", named(recorded), named(again));
    Err(Located::new("cache-differs", span, message)
        .hint("the record, its layer or an earlier one is not what it was: `--no-cache` makes all of them anew"))
}

/// The result is the recorded one, but what the store holds under its name is not.
pub(super) fn damaged(error: kiln_store::Error, span: Span) -> Located {
    Located::new("cache-differs", span, "the layer of this step in the store is not what its name says")
        .hint("build once more: what can be made anew was removed")
        .source(error)
}

#[cfg(test)]
mod tests {
    use kiln_types::Digest;

    use super::*;

    #[test]
    fn only_the_same_layer_is_the_same() {
        let result = |text: &str| Some(LayerResult { diff_id: Digest::of(text), content: Digest::of("content") });
        let span = Span { start: 0, end: 0 };
        for (recorded, again, is_same) in [
            (None, None, true),
            (result("a"), result("a"), true),
            (result("a"), result("b"), false),
            (result("a"), None, false),
            (None, result("a"), false),
        ] {
            let verified = same(recorded, again, span);
            assert_eq!(verified.is_ok(), is_same);
            for named in [recorded, again].into_iter().flatten().filter(|_| !is_same) {
                assert!(verified.as_ref().expect_err("differs").message.contains(&named.diff_id.to_string()));
            }
        }
    }
}
