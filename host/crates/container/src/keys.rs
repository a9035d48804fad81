//! The keys that leave a container: `ctrl-p,ctrl-q`, or others by `--detach-keys`.

use crate::error::{Error, Result};

/// Watches what is typed for the sequence.
#[derive(Debug, Clone)]
pub struct DetachKeys {
    keys: Vec<u8>,
    /// How many of them were typed last.
    typed: usize,
}

impl Default for DetachKeys {
    fn default() -> Self {
        Self { keys: vec![0x10, 0x11], typed: 0 }
    }
}

impl DetachKeys {
    /// `a,ctrl-b,…`: single characters, and `ctrl-` with one of a–z, @, [, \, ], ^ or _.
    pub fn parse(text: &str) -> Result<Self> {
        let key = |name: &str| match name.as_bytes() {
            [key] => Some(*key),
            [b'c' | b'C', b't' | b'T', b'r' | b'R', b'l' | b'L', b'-', key] => match key.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => Some(letter - b'a' + 1),
                b'@' => Some(0),
                sign @ b'['..=b'_' => Some(sign - b'[' + 27),
                _ => None,
            },
            _ => None,
        };
        let keys = text.split(',').map(key).collect::<Option<Vec<u8>>>();
        let wrong =
            || Error::invalid("sequence of keys", text, "write characters and ctrl-X, with commas between them");
        Ok(Self { keys: keys.ok_or_else(wrong)?, typed: 0 })
    }

    /// What of the typed is for the container, and whether the sequence was complete. A beginning of it is held back
    /// until it is known that it goes on otherwise.
    pub fn watch(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len());
        for &byte in typed {
            if byte == self.keys[self.typed] {
                self.typed += 1;
                if self.typed == self.keys.len() {
                    self.typed = 0;
                    return (passed, true);
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.typed]);
            self.typed = usize::from(byte == self.keys[0] && self.keys.len() > 1);
            if self.typed == 0 {
                passed.push(byte);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_leaves_and_all_else_passes() {
        for (typed, passed, left) in [
            (&b"abc"[..], &b"abc"[..], false),
            (b"a\x10\x11b", b"a", true),
            (b"\x10x\x10", b"\x10x", false),
            (b"\x10\x10\x11", b"\x10", true),
        ] {
            assert_eq!(DetachKeys::default().watch(typed), (passed.to_vec(), left), "{typed:?}");
        }
        let mut keys = DetachKeys::default();
        assert_eq!(keys.watch(b"\x10"), (Vec::new(), false));
        assert_eq!(keys.watch(b"\x11"), (Vec::new(), true));
    }

    #[test]
    fn other_keys() {
        let mut keys = DetachKeys::parse("ctrl-a,d").expect("valid");
        assert_eq!(keys.watch(b"x\x01d"), (b"x".to_vec(), true));
        assert_eq!(DetachKeys::parse("ctrl-\\").expect("valid").watch(&[28]), (Vec::new(), true));
        for text in ["", "ctrl-", "ab", "ctrl-1", "a,,b", "é"] {
            DetachKeys::parse(text).expect_err(text);
        }
    }
}
