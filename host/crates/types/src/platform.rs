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
        let architecture = go_architecture(std::env::consts::ARCH, cfg!(target_endian = "little"));
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }.normal()
    }

    /// The one platform whose programs are WASI preview 1 modules.
    pub fn wasi() -> Self {
        Self::new("wasip1", "wasm")
    }

    /// Whether steps run as WASI. Those of `wasip2/wasm` do, too, as long as no component is what they execute.
    pub fn is_wasi(&self) -> bool {
        self.architecture == "wasm"
    }

    /// The one name of what images and indexes spell in several ways.
    #[must_use]
    pub fn normal(&self) -> Self {
        let lower = |text: &str| text.to_ascii_lowercase();
        let variant = self.variant.as_deref().map(lower).filter(|variant| !variant.is_empty());
        let (architecture, variant) = normal_architecture(&lower(&self.architecture), variant.as_deref());
        let os = match lower(&self.os).as_str() {
            "macos" => "darwin".to_owned(),
            "wasi" if architecture == "wasm" => "wasip1".to_owned(),
            "wasm" if architecture == "wasi" => return Self::wasi(),
            os => os.to_owned(),
        };
        Self { os, architecture, variant }
    }

    /// How well something made for `offered`, in whatever spelling, serves who asked for this platform: 0 is best,
    /// `None` not at all. Processors run what was made for their older versions.
    pub fn rank(&self, offered: &Self) -> Option<usize> {
        let wanted = self.normal();
        let normal = offered.normal();
        if wanted.is_wasi() {
            return (wanted == normal).then_some(usize::from(*offered != normal));
        }
        wanted.served_by().iter().position(|served| *served == normal)
    }

    /// What this platform runs, best first: the order of containerd's `platforms.Only`.
    fn served_by(&self) -> Vec<Self> {
        let on = |architecture: &str, variant: Option<String>| {
            Self { variant, ..Self::new(&self.os, architecture) }.normal()
        };
        let version = self.variant.as_deref().and_then(version);
        let mut served = vec![self.clone()];
        match (self.architecture.as_str(), version) {
            ("amd64", version) => {
                let older = (1..version.map_or(1, |(major, _)| major)).rev();
                served.extend(older.map(|major| on("amd64", Some(format!("v{major}")))));
                served.push(on("386", None));
            }
            ("arm", Some((major, 0))) => {
                served.extend((5..major.min(8)).rev().map(|major| on("arm", Some(format!("v{major}")))));
            }
            ("arm64", version) => {
                let (major, minor) = version.unwrap_or((8, 0));
                let arm64 = |(major, minor)| {
                    on("arm64", Some(if minor == 0 { format!("v{major}") } else { format!("v{major}.{minor}") }))
                };
                let mut below: Vec<(u32, u32)> = (0..minor).rev().map(|minor| (major, minor)).collect();
                if major == 9 {
                    // v9.0 went its own way after v8.5.
                    below.extend((0..=minor.saturating_add(5)).rev().map(|minor| (8, minor)));
                }
                served.extend(below.into_iter().map(arm64));
                served.extend((5..=8).rev().map(|major| on("arm", Some(format!("v{major}")))));
            }
            _ => {}
        }
        served
    }

    /// What to tell the author of a spelling that can be understood but says something else to others: Docker takes
    /// a platform's first part for the operating system.
    pub fn advice(text: &str) -> Option<String> {
        let doubtful = ["wasm", "wasm/wasi"].iter().any(|spelling| text.eq_ignore_ascii_case(spelling));
        doubtful.then(|| format!("the platform `{text}` is taken for {}, which is its usual name", Self::wasi()))
    }
}

/// `v8.2` as numbers; no processor has versions as high as a hundred.
fn version(variant: &str) -> Option<(u32, u32)> {
    let (major, minor) = variant.strip_prefix('v')?.split_once('.').unwrap_or((&variant[1..], "0"));
    Some((major.parse().ok()?, minor.parse().ok()?)).filter(|&(major, minor)| major < 100 && minor < 100)
}

/// Go's name, which images use, for an architecture as Rust calls it.
fn go_architecture(name: &'static str, little_endian: bool) -> &'static str {
    match (name, little_endian) {
        ("x86", _) => "386",
        ("powerpc", _) => "ppc",
        ("powerpc64", true) => "ppc64le",
        ("powerpc64", false) => "ppc64",
        ("mips", true) => "mipsle",
        ("mips64", true) => "mips64le",
        ("loongarch64", _) => "loong64",
        (other, _) => other,
    }
}

/// containerd's table, and `wasm32`.
fn normal_architecture(name: &str, variant: Option<&str>) -> (String, Option<String>) {
    let (name, variant) = match (name, variant) {
        ("i386", _) => ("386", None),
        ("x86_64" | "x86-64" | "amd64", Some("v1") | None) => ("amd64", None),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", Some("8" | "v8") | None) => ("arm64", None),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7")),
        ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6")),
        ("arm", Some("5")) => ("arm", Some("v5")),
        ("arm", Some("8")) => ("arm", Some("v8")),
        ("wasm32", variant) => ("wasm", variant),
        other => other,
    };
    (name.to_owned(), variant.map(str::to_owned))
}

/// What a platform that is one word may be: containerd's lists, without the systems that nobody makes images for.
const SYSTEMS: [&str; 9] =
    ["android", "darwin", "freebsd", "linux", "macos", "netbsd", "openbsd", "solaris", "windows"];
const ARCHITECTURES: [&str; 22] = [
    "386", "aarch64", "amd64", "arm", "arm64", "armel", "armhf", "i386", "loong64", "mips", "mips64", "mips64le",
    "mipsle", "ppc", "ppc64", "ppc64le", "riscv64", "s390x", "sparc64", "wasm", "x86-64", "x86_64",
];

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let legal = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        let platform = match parts[..] {
            _ if !parts.iter().all(legal) => None,
            ["wasm"] => Some(Self::wasi()),
            [system] if SYSTEMS.contains(&system) => Some(Self { os: system.to_owned(), ..Self::host() }),
            [architecture] if ARCHITECTURES.contains(&architecture) => Some(Self::new("linux", architecture)),
            [os, architecture] => Some(Self::new(os, architecture)),
            [os, architecture, variant] => {
                Some(Self { variant: Some(variant.to_owned()), ..Self::new(os, architecture) })
            }
            _ => None,
        };
        platform.map(|platform| platform.normal()).ok_or_else(|| ParsePlatformError(text.to_owned()))
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

    fn platform(text: &str) -> Platform {
        text.parse().expect(text)
    }

    #[test]
    fn every_spelling_has_one_name() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/x86-64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("Linux/AMD64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/x86_64/v2", "linux/amd64/v2"),
            ("linux/i386", "linux/386"),
            ("arm64", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm64/v9.2", "linux/arm64/v9.2"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/v8", "linux/arm/v8"),
            ("s390x", "linux/s390x"),
            ("macos/arm64", "darwin/arm64"),
            ("windows/amd64", "windows/amd64"),
            ("wasip1/wasm", "wasip1/wasm"),
            ("wasi/wasm", "wasip1/wasm"),
            ("WASI/Wasm32", "wasip1/wasm"),
            ("wasip1/wasm32", "wasip1/wasm"),
            ("wasm/wasi", "wasip1/wasm"),
            ("wasm", "wasip1/wasm"),
            ("wasip2/wasm", "wasip2/wasm"),
            ("js/wasm", "js/wasm"),
        ] {
            let parsed = platform(text);
            assert_eq!(parsed.to_string(), normal, "{text}");
            assert_eq!(parsed.normal(), parsed, "{text}");
        }
    }

    #[test]
    fn one_word_is_a_system_or_an_architecture() {
        assert_eq!(platform("linux"), Platform::host());
        assert_eq!(platform("windows").os, "windows");
        assert_eq!(platform(&Platform::host().to_string()), Platform::host());
    }

    #[test]
    fn refuses_what_is_no_platform() {
        for text in ["", "/", "linux/", "a/b/c/d", "linux/am d64", "am64", "wasip1", "wasi"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_spelling_that_others_read_differently_is_told() {
        for (text, told) in [("wasm", true), ("Wasm/WASI", true), ("wasi/wasm", false), ("wasip1/wasm", false)] {
            assert_eq!(Platform::advice(text).is_some(), told, "{text}");
        }
    }

    #[test]
    fn what_serves_a_request() {
        let rank = |wanted: &str, os: &str, architecture: &str, variant: &str| {
            let variant = (!variant.is_empty()).then(|| variant.to_owned());
            platform(wanted).rank(&Platform { variant, ..Platform::new(os, architecture) })
        };
        for (wanted, (os, architecture, variant), expected) in [
            ("wasip1/wasm", ("wasip1", "wasm", ""), Some(0)),
            ("wasip1/wasm", ("wasi", "wasm", ""), Some(1)),
            ("wasip1/wasm", ("wasi", "wasm32", ""), Some(1)),
            ("wasip1/wasm", ("wasm", "wasi", ""), Some(1)),
            ("wasip1/wasm", ("wasip2", "wasm", ""), None),
            ("wasip2/wasm", ("wasip2", "wasm", ""), Some(0)),
            ("wasip2/wasm", ("wasi", "wasm", ""), None),
            ("wasip1/wasm", ("linux", "amd64", ""), None),
            ("linux/amd64", ("linux", "x86_64", ""), Some(0)),
            ("linux/amd64", ("linux", "amd64", "v3"), None),
            ("linux/amd64", ("linux", "386", ""), Some(1)),
            ("linux/amd64/v3", ("linux", "amd64", "v2"), Some(1)),
            ("linux/amd64/v3", ("linux", "amd64", ""), Some(2)),
            ("linux/amd64", ("windows", "amd64", ""), None),
            ("linux/arm64", ("linux", "arm64", "v8"), Some(0)),
            ("linux/arm64", ("linux", "arm", "v7"), Some(2)),
            ("linux/arm64", ("linux", "arm64", "v9"), None),
            ("linux/arm64/v9.1", ("linux", "arm64", "v9"), Some(1)),
            ("linux/arm64/v9.1", ("linux", "arm64", "v8.6"), Some(2)),
            ("linux/arm/v7", ("linux", "arm", "v5"), Some(2)),
            ("linux/arm/v6", ("linux", "arm", ""), None),
            ("linux/arm/v99999999999", ("linux", "arm", "v5"), None),
        ] {
            assert_eq!(rank(wanted, os, architecture, variant), expected, "{wanted}: {os}/{architecture}/{variant}");
        }
    }
}
