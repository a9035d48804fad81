//! Ids of configurations that follow one another. Each is the digest of a whole document, most of which is history: what
//! the one before had of it is not put into words again.

use kiln_types::{Digest, Hasher};

use crate::ImageConfig;

/// For one configuration as it grows.
#[derive(Default)]
pub struct GrowingId {
    /// The elements of the history as JSON, with the commas between them.
    history: Vec<u8>,
    entries: usize,
}

impl GrowingId {
    /// [`ImageConfig::id`] of a configuration whose history begins with that of the one before.
    pub fn of(&mut self, config: &mut ImageConfig) -> Digest {
        for entry in config.history.iter().skip(self.entries) {
            if !self.history.is_empty() {
                self.history.push(b',');
            }
            serde_json::to_writer(&mut self.history, entry).expect("strings are always JSON");
        }
        self.entries = config.history.len();
        // Unknown fields come after the history.
        if self.history.is_empty() || !config.unknown.is_empty() {
            return config.id();
        }
        let history = std::mem::take(&mut config.history);
        let mut document = config.to_json();
        config.history = history;
        let end = document.split_off(document.len() - 1);
        let mut hasher = Hasher::new();
        for part in [&document[..], br#","history":["#, &self.history, b"]", &end] {
            hasher.update(part);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Edit, EmptyStep, History};

    #[test]
    fn they_are_those_of_the_whole_documents() {
        let unknown = BTreeMap::from([("container".to_owned(), serde_json::json!({"a": [1.5]}))]);
        let entry =
            History { created_by: Some("FROM \"ä\"\n".to_owned()), unknown: unknown.clone(), ..History::default() };
        for history in [Vec::new(), vec![entry.clone()], vec![entry.clone(), History::default(), entry]] {
            for unknown in [BTreeMap::new(), unknown.clone()] {
                let mut config = ImageConfig { history: history.clone(), unknown, ..ImageConfig::default() };
                let mut id = GrowingId::default();
                assert_eq!(id.of(&mut config), config.id());
                for number in 0..5 {
                    let edit = Edit::Label(vec![(number.to_string(), "\\".to_owned())]);
                    let history = History { comment: Some(number.to_string()), ..History::default() };
                    EmptyStep { edit, created: Some(number.to_string()), history }.apply(&mut config);
                    let before = config.clone();
                    assert_eq!(id.of(&mut config), before.id());
                    assert_eq!(config, before);
                }
            }
        }
    }
}
