//! Registries: images pulled into the store and pushed from it by the OCI distribution protocol; credentials; search.

mod config;

pub use config::{Host, Hosts, Network, ParseNetworkError};
