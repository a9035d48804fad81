//! `--output type=…,dest=…` as in `docker build`.

use std::path::PathBuf;
use std::str::FromStr;

/// What is written besides the image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputOption {
    /// The program of the image as an OCI artifact: a tar where the name ends in `.tar`, else a directory.
    WasmArtifact { destination: PathBuf },
}

#[derive(Debug, thiserror::Error)]
#[error("{0}; the one output that kiln writes so far is type=wasm-artifact,dest=DIR or dest=FILE.tar")]
pub(crate) struct ParseOutputError(String);

impl FromStr for OutputOption {
    type Err = ParseOutputError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason: String| Err(ParseOutputError(reason));
        let (mut kind, mut destination) = (None, None);
        for field in text.split(',') {
            let Some((key, value)) = field.split_once('=') else {
                return wrong(format!("`{field}` is a directory's files or a tar of them in other builders"));
            };
            let slot = match key {
                "type" => &mut kind,
                "dest" => &mut destination,
                _ => return wrong(format!("unknown option `{key}`")),
            };
            if slot.replace(value).is_some() {
                return wrong(format!("`{field}` comes second"));
            }
        }
        match (kind, destination) {
            (Some("wasm-artifact"), Some(destination)) if !destination.is_empty() => {
                Ok(Self::WasmArtifact { destination: destination.into() })
            }
            (Some("wasm-artifact"), _) => wrong("dest= is missing".to_owned()),
            (Some(other), _) => wrong(format!("there is no output of type `{other}`")),
            (None, _) => wrong("type= is missing".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_outputs() {
        for text in ["type=wasm-artifact,dest=out", "dest=out,type=wasm-artifact"] {
            let expected = OutputOption::WasmArtifact { destination: "out".into() };
            assert_eq!(text.parse::<OutputOption>().expect(text), expected);
        }
        for (text, reason) in [
            ("out", "`out` is a directory's files"),
            ("-", "`-` is a directory's files"),
            ("type=wasm-artifact", "dest= is missing"),
            ("type=wasm-artifact,dest=", "dest= is missing"),
            ("dest=out", "type= is missing"),
            ("type=oci,dest=out", "there is no output of type `oci`"),
            ("type=wasm-artifact,dest=a,dest=b", "`dest=b` comes second"),
            ("type=wasm-artifact,dest=a,name=b", "unknown option `name`"),
        ] {
            let error = text.parse::<OutputOption>().expect_err(text).to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
