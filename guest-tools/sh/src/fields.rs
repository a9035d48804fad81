//! Fields under construction: text, which of its bytes are quoted, and where expansions split it.

use kiln_tools::pattern::Pattern;

/// A word after expansion, before file names are generated from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) bytes: Vec<u8>,
    pub(crate) quoted: Vec<bool>,
}

impl Field {
    fn extend(&mut self, bytes: &[u8], quoted: bool) {
        self.bytes.extend_from_slice(bytes);
        self.quoted.resize(self.bytes.len(), quoted);
    }
}

impl Field {
    /// A backslash that comes of an expansion takes the meaning of the next byte, as one that was written does.
    pub(crate) fn pattern(self, extended: bool) -> Pattern {
        let Field { bytes, quoted } = self.without_backslashes();
        if extended { Pattern::extended(&bytes, &quoted) } else { Pattern::with_quoting(&bytes, &quoted) }
    }

    pub(crate) fn without_backslashes(self) -> Field {
        if !self.bytes.contains(&b'\\') {
            return self;
        }
        let mut out = Field::default();
        let mut escaped = false;
        for (&byte, &quoted) in self.bytes.iter().zip(&self.quoted) {
            if byte == b'\\' && !quoted && !escaped {
                escaped = true;
            } else {
                out.extend(&[byte], quoted || escaped);
                escaped = false;
            }
        }
        if escaped {
            out.extend(b"\\", true);
        }
        out
    }
}

/// Collects the fields of a word.
#[derive(Debug)]
pub(crate) struct Fields {
    /// The separators; `None` where nothing is split.
    ifs: Option<Vec<u8>>,
    done: Vec<Field>,
    current: Option<Field>,
    /// White space has just ended a field, and belongs to a separator that may follow.
    after_space: bool,
}

impl Fields {
    pub(crate) fn splitting(ifs: Vec<u8>) -> Fields {
        Fields { ifs: Some(ifs), done: Vec::new(), current: None, after_space: false }
    }

    pub(crate) fn single() -> Fields {
        Fields { ifs: None, done: Vec::new(), current: Some(Field::default()), after_space: false }
    }

    pub(crate) fn splits(&self) -> bool {
        self.ifs.is_some()
    }

    /// There is a field here even if nothing is added to it.
    pub(crate) fn begin(&mut self) -> &mut Field {
        self.after_space = false;
        self.current.get_or_insert_default()
    }

    /// Text that is not split.
    pub(crate) fn push(&mut self, bytes: &[u8], quoted: bool) {
        if !bytes.is_empty() {
            self.begin().extend(bytes, quoted);
        }
    }

    /// The result of an unquoted expansion.
    pub(crate) fn push_split(&mut self, bytes: &[u8]) {
        let Some(ifs) = self.ifs.take() else {
            return self.push(bytes, false);
        };
        for &byte in bytes {
            if !ifs.contains(&byte) {
                self.begin().extend(&[byte], false);
            } else if matches!(byte, b' ' | b'\t' | b'\n') {
                if self.finish() {
                    self.after_space = true;
                }
            } else {
                if !self.finish() && !self.after_space {
                    self.done.push(Field::default());
                }
                self.after_space = false;
            }
        }
        self.ifs = Some(ifs);
    }

    /// Ends the field here, if there is one.
    pub(crate) fn finish(&mut self) -> bool {
        match self.current.take() {
            Some(field) => {
                self.done.push(field);
                true
            }
            None => false,
        }
    }

    pub(crate) fn into_fields(mut self) -> Vec<Field> {
        self.finish();
        self.done
    }

    pub(crate) fn into_single(self) -> Field {
        self.current.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_posix() {
        for (ifs, text, expected) in [
            (" \t\n", "  a  b ", &["a", "b"][..]),
            (":", "a::b:", &["a", "", "b"]),
            (" :", "a : b", &["a", "b"]),
            (" :", ": a", &["", "a"]),
            ("", "a b", &["a b"]),
            (" ", "", &[]),
        ] {
            let mut fields = Fields::splitting(ifs.as_bytes().to_vec());
            fields.push_split(text.as_bytes());
            let found: Vec<_> = fields
                .into_fields()
                .into_iter()
                .map(|field| String::from_utf8_lossy(&field.bytes).into_owned())
                .collect();
            assert_eq!(found, expected, "{ifs:?} {text:?}");
        }
    }
}
