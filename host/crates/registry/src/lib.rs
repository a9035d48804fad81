//! Registries: images pulled into the store and pushed from it by the OCI distribution protocol; credentials; search.

mod ahead;
mod answer;
mod auth;
mod blobs;
mod challenge;
mod choose;
mod config;
mod credentials;
mod endpoint;
mod error;
mod manifests;
mod parallel;
mod progress;
mod pull;
mod push;
mod refusal;
mod registries;
mod route;
mod search;
mod session;
mod tags;
mod upload;

pub use config::{Host, Hosts, Network, ParseNetworkError};
pub use credentials::{Credential, CredentialFiles, Credentials, GivenCredential, KeptIn};
pub use error::{Error, Result};
pub use progress::{Event, LayerState, Progress};
pub use refusal::{Doing, Refusal};
pub use registries::{PullOptions, Pulled, PushOptions, Pushed, Registries, Resolved, Settings};
pub use search::{Found, MOST_FOUND};
