//! What a container wrote, in Docker's json-file form: a JSON object for each line.
//!
//! ```text
//! {"log":"listening\n","stream":"stdout","time":"2026-11-22T12:00:00.123456789Z"}
//! ```

//!
//! Where its size is limited, there are several files, the newest without a number:
//!
//! ```text
//! log.2   log.1   log
//! ```

mod config;
mod files;
mod read;
mod write;

pub use config::{LogConfig, LogDriver, parse};
pub use read::{LogOptions, read};
pub(crate) use write::Log;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A line, or a part of one that is longer than 16 KiB or was not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub log: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
}

mod rfc3339 {
    use jiff::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
