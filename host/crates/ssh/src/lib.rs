//! Private ssh keys, and what an agent answers that has only them (`build --ssh ID=KEY`).
//!
//! The cryptography is ring's, which TLS uses anyway. No I/O.

mod agent;
mod container;
mod error;
mod key;
mod rsa;
mod wire;

pub use agent::{Agent, Keys, is_harmless, refusal};
pub use error::Error;
pub use key::Key;
