//! Any text is expanded without a panic and within its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// What variables may bring in, and what stands in the text itself.
const MOST: usize = 2 << 20;

fuzz_target!(|text: &str| {
    let lookup = |name: &str| match name.len() {
        1 => Some(String::new()),
        2 => Some("value with spaces".to_owned()),
        3 => Some("*/?[a]\\".to_owned()),
        _ => None,
    };
    for escape in [b'\\', b'`'] {
        match kiln_dockerfile::expand(text, &lookup, escape) {
            Ok(found) => assert!(found.len() <= text.len() + MOST),
            Err(error) => assert!(error.offset <= text.len()),
        }
        if let Ok(words) = kiln_dockerfile::expand_words(text, &lookup, escape) {
            assert!(words.iter().all(|word| !word.is_empty()));
        }
    }
    let _ = kiln_dockerfile::expand_heredoc(text, &lookup);
});
