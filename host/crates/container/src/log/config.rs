//! `--log-driver` and `--log-opt`: whether a container's output is kept, and how much of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::size;

/// What Docker's `local` keeps where nothing else was said.
const LOCAL_SIZE: u64 = 20 << 20;
const LOCAL_FILES: u32 = 5;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    pub driver: LogDriver,
    /// As they were given.
    pub options: BTreeMap<String, String>,
    /// Of one file, in bytes.
    pub max_size: Option<u64>,
    /// The one that is written among them.
    pub max_files: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    #[default]
    JsonFile,
    /// The same, bounded if nothing is said.
    Local,
    None,
}

impl LogDriver {
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::None => "none",
        }
    }
}

/// Everything is kept, in one file.
impl Default for LogConfig {
    fn default() -> Self {
        Self { driver: LogDriver::default(), options: BTreeMap::new(), max_size: None, max_files: 1 }
    }
}

pub fn parse(driver: Option<&str>, options: &[String]) -> Result<LogConfig> {
    let driver = match driver {
        None | Some("" | "json-file") => LogDriver::JsonFile,
        Some("local") => LogDriver::Local,
        Some("none") => LogDriver::None,
        Some(other) => {
            let reason = "there are json-file, local and none; others are fed by `kiln logs -f`";
            return Err(Error::invalid("log driver", other, reason));
        }
    };
    let mut config = LogConfig { driver, ..LogConfig::default() };
    if driver == LogDriver::Local {
        (config.max_size, config.max_files) = (Some(LOCAL_SIZE), LOCAL_FILES);
    }
    for option in options {
        let wrong = |reason: &str| Error::invalid("log option", option, reason);
        let (name, value) = option.split_once('=').ok_or_else(|| wrong("write NAME=VALUE"))?;
        match name {
            _ if driver == LogDriver::None => return Err(wrong("the driver none keeps nothing")),
            "max-size" if !cfg!(unix) => return Err(wrong("on this host logs are kept whole")),
            "max-size" => {
                let bytes = size::parse(value)?;
                config.max_size = Some(bytes).filter(|bytes| *bytes > 0);
                config.max_size.ok_or_else(|| wrong("it must be more than nothing"))?;
            }
            "max-file" => {
                let number = value.parse().ok().filter(|number| *number > 0);
                config.max_files = number.ok_or_else(|| wrong("write a number of files, 1 or more"))?;
            }
            "mode" if value == "blocking" => {}
            "mode" => return Err(wrong("what a container writes is never dropped: there is mode=blocking")),
            "compress" if value == "false" => {}
            "compress" => return Err(wrong("kiln does not compress logs; leave it out")),
            _ => return Err(wrong("there are max-size and max-file")),
        }
        config.options.insert(name.to_owned(), value.to_owned());
    }
    if config.max_files > 1 && config.max_size.is_none() {
        return Err(Error::invalid("log option", "max-file", "without max-size there is never a second file"));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_and_their_options() {
        let of = |driver: &str, options: &[&str]| {
            let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
            parse((!driver.is_empty()).then_some(driver), &options)
                .ok()
                .map(|config| (config.max_size, config.max_files))
        };
        for (driver, options, expected) in [
            ("", &[][..], Some((None, 1))),
            ("json-file", &["max-size=10m", "max-file=3"], Some((Some(10 << 20), 3))),
            ("json-file", &["max-size=1k"], Some((Some(1024), 1))),
            ("local", &[], Some((Some(20 << 20), 5))),
            ("local", &["max-file=2", "compress=false", "mode=blocking"], Some((Some(20 << 20), 2))),
            ("none", &[], Some((None, 1))),
            ("none", &["max-size=1k"], None),
            ("json-file", &["max-file=3"], None),
            ("json-file", &["max-size=0"], None),
            ("json-file", &["max-size=x"], None),
            ("json-file", &["max-size=1m", "max-file=0"], None),
            ("json-file", &["max-size"], None),
            ("json-file", &["tag=x"], None),
            ("json-file", &["compress=true"], None),
            ("journald", &[], None),
        ] {
            assert_eq!(of(driver, options), expected, "{driver} {options:?}");
        }
    }
}
