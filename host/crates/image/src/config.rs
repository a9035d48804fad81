//! The image configuration: the OCI document with Docker's fields.
//!
//! What kiln does not know of a configuration is kept, so that an image which is loaded and built upon loses nothing.
//! The document of a built image is stable: fields in the order of these types, maps sorted, nothing that is empty.

use std::collections::BTreeMap;

use kiln_types::{Digest, Platform};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// Most bytes of any JSON document of an image, as registries have it.
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// A set in JSON: `{"80/tcp": {}}`.
pub type Set = BTreeMap<String, Empty>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub config: Config,
    pub rootfs: RootFs,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How containers of the image are run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    /// Empty is root.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: Set,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Windows: the command line is one string.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: Set,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Times are in nanoseconds; 0 means the default or that of the base image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// What one instruction did; those with a layer stand in the order of the layers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl ImageConfig {
    /// # Errors
    /// What is no image configuration or longer than [`MAX_DOCUMENT`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let config: Self = parse_document("image configuration", bytes)?;
        if config.rootfs.kind != "layers" {
            let reason = format!("its root filesystem has the unknown type `{}`", config.rootfs.kind);
            return Err(Error::Json { what: "image configuration", reason });
        }
        Ok(config)
    }

    /// The same value always gives the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and maps with string keys are always JSON")
    }

    /// The id of a built image. A received one's is the digest of its bytes as they came.
    pub fn id(&self) -> Digest {
        Digest::of(self.to_json())
    }

    /// What the image was made for, in the usual spelling.
    pub fn platform(&self) -> Platform {
        self.stated_platform().normal()
    }

    /// What the image was made for, as it says itself.
    pub fn stated_platform(&self) -> Platform {
        Platform { variant: self.variant.clone(), ..Platform::new(&self.os, &self.architecture) }
    }
}

/// Parses a bounded JSON document.
pub(crate) fn parse_document<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(Error::Json { what, reason: format!("it is longer than {MAX_DOCUMENT} bytes") });
    }
    // What does not fit is part of the reason, however long a stranger has made it.
    let excerpt = |reason: String| reason.chars().filter(|char| !char.is_control()).take(300).collect();
    serde_json::from_slice(bytes).map_err(|error| Error::Json { what, reason: excerpt(error.to_string()) })
}

/// Docker writes `null` for what is empty.
pub(crate) fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_stays() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"User":"app","X":[1]},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x","y":null}],"container":"c"}"#;
        let config = ImageConfig::parse(text.as_bytes()).expect("valid");
        assert_eq!(String::from_utf8_lossy(&config.to_json()), text);
    }

    #[test]
    fn takes_the_nulls_of_docker() {
        let text = r#"{"author":null,"architecture":"amd64","os":"linux","history":null,"config":{"Env":null,"Labels":null,"Volumes":null,
            "Hostname":"","OnBuild":null,"User":null,"ArgsEscaped":null,"Cmd":["a"]},"rootfs":{"type":"layers","diff_ids":null}}"#;
        let config = ImageConfig::parse(text.as_bytes()).expect("valid");
        assert_eq!(config.config.cmd.as_deref(), Some(&["a".to_owned()][..]));
        assert_eq!(config.config.env, None);
    }

    #[test]
    fn the_document_of_a_built_image() {
        let config = ImageConfig {
            created: Some("1970-01-01T00:00:00Z".to_owned()),
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            config: Config {
                exposed_ports: [("80/tcp".to_owned(), Empty {})].into(),
                healthcheck: Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }),
                ..Config::default()
            },
            ..ImageConfig::default()
        };
        assert_eq!(
            String::from_utf8_lossy(&config.to_json()),
            r#"{"created":"1970-01-01T00:00:00Z","architecture":"amd64","os":"linux","config":{"ExposedPorts":{"80/tcp":{}},"Healthcheck":{"Test":["NONE"]}},"rootfs":{"type":"layers","diff_ids":[]}}"#
        );
        assert_eq!(config.platform(), Platform::new("linux", "amd64"));
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"rootfs":{"type":"other"}}"#,
            r#"{"rootfs":{"type":"layers","diff_ids":["sha256:1"]}}"#,
        ] {
            assert!(ImageConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!("{{\"rootfs\":{{\"type\":\"layers\"}},\"a\":{}", "[".repeat(100_000));
        assert!(ImageConfig::parse(deep.as_bytes()).is_err());
    }
}
