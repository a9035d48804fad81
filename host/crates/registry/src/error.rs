//! Why an image could not be pulled or pushed.

use std::path::PathBuf;

use kiln_types::{Digest, Platform};

/// In characters.
const LONGEST_EXCERPT: usize = 400;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{registry} wants to know who asks for {what}: log in with `kiln login {registry}`")]
    NoCredentials { registry: String, what: String },
    #[error("{registry} does not accept this user and password: log in anew with `kiln login {registry}`")]
    WrongCredentials { registry: String },
    #[error("{registry} denies access to {what}{}", in_its_words(.message))]
    Denied { registry: String, what: String, message: String },
    #[error("{registry} has no {what}{}", in_its_words(.message))]
    NotFound { registry: String, what: String, message: String },
    #[error("{registry} cannot be searched: it is a registry without Docker's old index")]
    NoSearch { registry: String },
    #[error("{registry} answered {status} for {what}{}", in_its_words(.message))]
    Status { registry: String, what: String, status: u16, message: String },
    #[error("the answer of {registry} for {what} makes no sense: {reason}")]
    BadAnswer { registry: String, what: String, reason: String },
    #[error("{registry} sent {what} with the digest {found} instead of {expected}: distrust it if this happens again")]
    WrongDigest { registry: String, what: String, expected: Digest, found: Digest },
    #[error("{registry} sends {what} with {found} bytes, but {expected} are right")]
    WrongSize { registry: String, what: String, expected: u64, found: u64 },
    #[error("{what} is larger than {limit} bytes, the most that is taken")]
    TooLarge { what: String, limit: u64 },
    #[error("there are more than {limit} of {what}, the most that are listed")]
    TooManyTags { what: String, limit: usize },
    #[error(
        "{what} has a manifest of schema 1, which is obsolete and not supported: have it pushed again by a newer Docker"
    )]
    Schema1 { what: String },
    #[error("{what} is no image, but `{media_type}`: only images can be pulled")]
    NotAnImage { what: String, media_type: String },
    #[error("{what} has indexes within its index that are missing or nested too deeply: pull what they list by digest")]
    NestedIndex { what: String },
    #[error("{what} has no image for {wanted}; it has {}", list(.offered))]
    NoPlatform { what: String, wanted: Platform, offered: Vec<Platform> },
    #[error("layer {digest} of {what} is kept elsewhere, and {url} is not fetched: {reason}")]
    Foreign { what: String, digest: Digest, url: String, reason: &'static str },
    #[error("`{url}` is not the address of a mirror: write https://host[:port][/path]")]
    BadMirror { url: String },
    #[error("{registry} sends those who log in to {realm}, which is refused: {reason}")]
    BadRealm { registry: String, realm: String, reason: &'static str },
    #[error(
        "the certificate of {registry} is not to be trusted: name the file of its authority as `ca` of \
         [registry.\"{registry}\"] in config.toml"
    )]
    Untrusted {
        registry: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "{registry} does not speak https, and others than loopback are not trusted without: if this one is, write \
         `insecure = true` under [registry.\"{registry}\"] in config.toml"
    )]
    NotSecure {
        registry: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{name} was removed by another kiln while it was pulled: pull it again")]
    RemovedMeanwhile { name: String },
    #[error("an image does not exist locally with the tag: {name}")]
    NoSuchName { name: String },
    #[error("cannot push {name}: a push is to a tag")]
    DigestPushed { name: String },
    #[error("cannot read the credentials in {}", .path.display())]
    Credentials {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("cannot keep the credentials in {}", .path.display())]
    KeepCredentials { path: PathBuf, source: std::io::Error },
    #[error("{program} fails: {reason}")]
    CredentialHelper { program: String, reason: String },
    #[error(transparent)]
    Fetch(#[from] kiln_fetch::Error),
    #[error(transparent)]
    Image(#[from] kiln_image::Error),
    #[error(transparent)]
    Store(#[from] kiln_store::Error),
}

fn in_its_words(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// What a stranger wrote, as far as it is shown: it goes to a terminal.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(LONGEST_EXCERPT).collect()
}

fn list(platforms: &[Platform]) -> String {
    let names: Vec<String> = platforms.iter().map(Platform::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { excerpt(&names.join(", ")) }
}
