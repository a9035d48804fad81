//! Registries: images pulled into the store and pushed from it by the OCI distribution protocol; credentials; search.

mod config;
mod credentials;
mod error;
mod progress;
mod registries;

pub use config::{Host, Hosts, Network, ParseNetworkError};
pub use credentials::{Credential, CredentialFiles, Credentials, GivenCredential, KeptIn};
pub use error::{Error, Result};
pub use progress::{Event, LayerState, Progress};
pub use registries::{PullOptions, Pulled, PushOptions, Pushed, Registries, Resolved, Settings};
