//! Alias substitution: the name is replaced in the source, which is then read on from there.

use super::{Parser, RESERVED};

impl Parser<'_> {
    /// Replaces the alias that stands here, if one does.
    pub(super) fn substitute_alias(&mut self) {
        while !self.aliases.is_empty() {
            self.skip_blanks();
            let left = self.source.len() - self.position;
            // The end of a text has been read when less than what follows it is left.
            self.substituted.retain(|(_, after)| left > *after);
            let Some(name) = self.plain_word().map(<[u8]>::to_vec) else { return };
            let number = name.iter().all(u8::is_ascii_digit) && matches!(self.peek_at(name.len()), Some(b'<' | b'>'));
            if number || RESERVED.contains(&name.as_slice()) || self.substituted.iter().any(|(used, _)| *used == name) {
                return;
            }
            let Some(text) = self.aliases.get(&name).cloned() else { return };
            let after = left - name.len();
            if matches!(text.last(), Some(b' ' | b'\t')) {
                self.blank_ended = Some(after);
            }
            self.source.to_mut().splice(self.position..self.position + name.len(), text);
            self.substituted.push((name, after));
        }
    }

    /// Whether the word here follows an alias that ended with a blank.
    pub(super) fn past_blank_alias(&mut self) -> bool {
        let left = self.source.len() - self.position;
        self.blank_ended.take_if(|after| left <= *after).is_some()
    }

    /// Another line came after all that was known.
    pub(super) fn alias_ended(&mut self, length: usize) {
        for (_, after) in &mut self.substituted {
            *after += length;
        }
        if let Some(after) = &mut self.blank_ended {
            *after += length;
        }
    }
}
