//! What can be wrong with a private key.

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("it is no private key: it has no line `-----BEGIN … PRIVATE KEY-----`")]
    NoKey,
    #[error("the private key has a passphrase")]
    Passphrase,
    #[error(
        "the private key is of the kind {0}; ed25519, ecdsa with nistp256 or nistp384, and rsa with 2048 to 4096 bits are known"
    )]
    Unknown(String),
    #[error("the private key is damaged: {0}")]
    Damaged(&'static str),
}
