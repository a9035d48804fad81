//! Where a step's requests to an agent go, and what they are answered.
//!
//! The protocol is that of draft-miller-ssh-agent: each message begins with its kind.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Key;
use crate::wire::{Reader, put_string};

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Who answers.
#[derive(Debug, Clone)]
pub enum Agent {
    /// An agent that listens there.
    Socket(PathBuf),
    /// One that knows these keys and no others.
    Keys(Arc<Keys>),
}

/// Whether a request only asks which keys there are, or for a signature.
pub fn is_harmless(request: &[u8]) -> bool {
    matches!(request.first(), Some(&(REQUEST_IDENTITIES | SIGN_REQUEST)))
}

/// The answer to what is refused.
pub fn refusal() -> Vec<u8> {
    vec![FAILURE]
}

/// Private keys, which are never shown.
pub struct Keys(Vec<Key>);

impl Keys {
    pub fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// The answer to one message. Comments of keys stay here: they name people and machines.
    pub fn answer(&self, request: &[u8]) -> Vec<u8> {
        match request.split_first() {
            Some((&REQUEST_IDENTITIES, [])) => self.list(),
            Some((&SIGN_REQUEST, request)) => self.sign(request).unwrap_or_else(refusal),
            _ => refusal(),
        }
    }

    fn list(&self) -> Vec<u8> {
        let count = u32::try_from(self.0.len()).expect("as many keys as arguments fit");
        let mut answer = vec![IDENTITIES_ANSWER];
        answer.extend(count.to_be_bytes());
        for key in &self.0 {
            put_string(&mut answer, key.public());
            put_string(&mut answer, b"");
        }
        answer
    }

    fn sign(&self, request: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader(request);
        let (public, message) = (reader.string().ok()?, reader.string().ok()?);
        let flags = reader.number().ok()?;
        let key = self.0.iter().find(|key| key.public() == public)?;
        let mut answer = vec![SIGN_RESPONSE];
        put_string(&mut answer, &key.sign(message, flags)?);
        Some(answer)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}
