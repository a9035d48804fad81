//! Platforms as `os/architecture[/variant]`, normalised as containerd does and with the names of WASI.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The text was not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform of the form os/architecture[/variant], like linux/amd64 or wasip1/wasm")]
pub struct ParsePlatformError(pub String);

impl Platform {
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    /// Linux on this machine's processor: images are Linux images whatever the host runs.
    pub fn host() -> Self {
        let (architecture, variant) = normal_architecture(std::env::consts::ARCH);
        Self { os: "linux".to_owned(), architecture, variant }
    }

    /// The one platform whose programs are WASI preview 1 modules.
    pub fn wasi() -> Self {
        Self::new("wasip1", "wasm")
    }

    pub fn is_wasi(&self) -> bool {
        self.architecture == "wasm"
    }
}

/// Every spelling of an architecture that is in use, as one name and variant.
fn normal_architecture(name: &str) -> (String, Option<String>) {
    let (name, variant) = match name {
        "x86_64" | "x86-64" | "amd64" => ("amd64", None),
        "aarch64" | "arm64" => ("arm64", None),
        "armhf" | "arm" => ("arm", Some("v7")),
        "armel" => ("arm", Some("v6")),
        "i386" | "i686" | "x86" | "386" => ("386", None),
        "powerpc64" => ("ppc64", None),
        "wasm32" | "wasm" => ("wasm", None),
        other => (other, None),
    };
    (name.to_owned(), variant.map(str::to_owned))
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParsePlatformError(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let legal = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if !parts.iter().all(legal) {
            return Err(wrong());
        }
        let (os, architecture, variant) = match parts[..] {
            ["wasm"] | ["wasm", "wasi"] => ("wasip1", "wasm", None),
            ["wasi", "wasm" | "wasm32"] => ("wasip1", "wasm", None),
            [os] if matches!(os, "linux" | "windows" | "darwin") => {
                return Ok(Self { os: os.to_owned(), ..Self::host() });
            }
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(wrong()),
        };
        let os = if os == "macos" { "darwin" } else { os };
        let (architecture, implied) = normal_architecture(architecture);
        let variant = match (architecture.as_str(), variant) {
            ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            ("arm", Some(number @ ("5" | "6" | "7" | "8"))) => Some(format!("v{number}")),
            (_, Some(variant)) => Some(variant.to_owned()),
            (_, None) => implied,
        };
        Ok(Self { os: os.to_owned(), architecture, variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_has_one_name() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64", "linux/amd64"),
            ("arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
            ("wasip1/wasm", "wasip1/wasm"),
            ("wasi/wasm", "wasip1/wasm"),
            ("wasi/wasm32", "wasip1/wasm"),
            ("wasip1/wasm32", "wasip1/wasm"),
            ("wasm/wasi", "wasip1/wasm"),
            ("wasm", "wasip1/wasm"),
            ("wasip2/wasm", "wasip2/wasm"),
        ] {
            assert_eq!(text.parse::<Platform>().expect(text).to_string(), normal, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_platform() {
        for text in ["", "/", "linux/", "a/b/c/d", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
