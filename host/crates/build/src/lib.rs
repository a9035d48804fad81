//! Builds an image from a Dockerfile: plan → key → operation → schedule → outputs.
//!
//! ```text
//! Dockerfile ── plan ──> stages of steps ── schedule ──> for each step:
//!                                                          key ── record found ──> its layer again
//!                                                           └──── not found ─────> operation ─> layer ─> record
//! ```
//!
//! Reporters see [`Event`]s only; nothing here prints, exits or reads the environment.

mod check;
mod context;
mod error;
mod event;
mod explain;
mod failed;
mod guard;
mod images;
mod key;
mod ops;
mod outputs;
mod plan;
mod record;
mod redact;
mod remote;
mod request;
mod resolve;
mod schedule;
mod secret;
mod state;

pub use check::{Checked, check, check_plan, outline, targets};
pub use context::{Archive, Context, ContextMode, ContextSource, LeftOut, Listed, ListedKind, NamedContext};
pub use error::{Error, Located, StepFailure};
pub use event::{Event, Reporter, StepId};
pub use explain::{Below, ChosenExecutor, Difference, Explanation, FileChange, FileChanges, Outcome};
pub use failed::{CannotOpen, FailedStep, Left, Opened, Opening};
pub use images::{PulledImage, PulledLayer};
pub use outputs::{Amendments, ParseUnsetError, Unset, WasmArtifact};
pub use plan::change_config;
pub use remote::{Downloaded, Remote};
pub use request::{Environment, PullPolicy, Request};
pub use schedule::{Built, build};
pub use secret::{Agents, Secret, Secrets};
