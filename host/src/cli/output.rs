//! `--output type=…,dest=…` as in `docker build`.

use std::path::PathBuf;
use std::str::FromStr;

use kiln_types::Reference;

use super::save::{LayerCompression, SaveFormat};

/// What comes of a build besides the image in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputOption {
    /// What `save` writes.
    Archive { format: SaveFormat, compression: Option<LayerCompression>, to: Target, names: Vec<Reference> },
    /// The root filesystem as a tar.
    Tar { to: Target },
    /// The root filesystem's files in a directory.
    Local { destination: PathBuf },
    /// The program of the image as an OCI artifact: a tar where the name ends in `.tar`, else a directory.
    WasmArtifact { destination: PathBuf },
    /// The image in the store under further names, or those of `--tag`, and pushed if wanted.
    Image { names: Vec<Reference>, push: bool },
    /// Nothing but what the store keeps anyway.
    CacheOnly,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    Path(PathBuf),
}

impl OutputOption {
    /// Does it leave no room for words on standard output?
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Archive { to: Target::Stdout, .. } | Self::Tar { to: Target::Stdout })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ParseOutputError(String);

const TYPES: &str = "local, tar, docker, oci, image, registry, wasm-artifact or cacheonly";

/// The fields of an output, as long as nobody has asked for them.
struct Fields(Vec<(String, String)>);

impl FromStr for OutputOption {
    type Err = ParseOutputError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" {
            return Ok(Self::Tar { to: Target::Stdout });
        }
        if !text.contains('=') {
            return Ok(Self::Local { destination: text.into() });
        }
        let mut fields = Fields::parse(text)?;
        let Some(kind) = fields.take("type") else {
            return wrong(format!("`{text}` has no type= of {TYPES}"));
        };
        let output = match kind.as_str() {
            "local" => Self::Local { destination: fields.path()? },
            "wasm-artifact" => Self::WasmArtifact { destination: fields.path()? },
            "tar" => Self::Tar { to: fields.target() },
            "docker" | "oci" => fields.archive(kind == "oci")?,
            "image" | "registry" => {
                let push = fields.switch("push")?.unwrap_or(kind == "registry");
                Self::Image { names: fields.names()?, push }
            }
            "cacheonly" => Self::CacheOnly,
            other => return wrong(format!("there is no output of type `{other}`, only {TYPES}")),
        };
        match fields.0.first() {
            Some((key, _)) => wrong(format!("an output of type {kind} has no option `{key}`")),
            None => Ok(output),
        }
    }
}

fn wrong<T>(reason: String) -> Result<T, ParseOutputError> {
    Err(ParseOutputError(reason))
}

impl Fields {
    fn parse(text: &str) -> Result<Self, ParseOutputError> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for field in split(text) {
            let Some((key, value)) = field.split_once('=') else {
                return wrong(format!("`{field}` is not KEY=VALUE"));
            };
            let key = key.trim().to_ascii_lowercase();
            if fields.iter().any(|(known, _)| *known == key) {
                return wrong(format!("`{field}` comes second"));
            }
            fields.push((key, value.to_owned()));
        }
        Ok(Self(fields))
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.remove(at).1).filter(|value| !value.is_empty())
    }

    fn path(&mut self) -> Result<PathBuf, ParseOutputError> {
        match self.take("dest") {
            Some(path) if path != "-" => Ok(path.into()),
            Some(_) => wrong("dest=- is standard output, which can take a tar only".to_owned()),
            None => wrong("dest= is missing".to_owned()),
        }
    }

    fn target(&mut self) -> Target {
        self.take("dest").filter(|path| path != "-").map_or(Target::Stdout, |path| Target::Path(path.into()))
    }

    fn switch(&mut self, key: &str) -> Result<Option<bool>, ParseOutputError> {
        match self.take(key).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => wrong(format!("{key}={other} is neither true nor false")),
        }
    }

    fn names(&mut self) -> Result<Vec<Reference>, ParseOutputError> {
        let names = self.take("name").unwrap_or_default();
        let parse = |name: &str| name.trim().parse::<Reference>().map_err(|error| ParseOutputError(error.to_string()));
        names.split(',').filter(|name| !name.is_empty()).map(parse).collect()
    }

    fn archive(&mut self, oci: bool) -> Result<OutputOption, ParseOutputError> {
        let is_tar = self.switch("tar")?.unwrap_or(true);
        let has_destination = self.0.iter().any(|(key, _)| key == "dest");
        let names = self.names()?;
        let compression = match self.take("compression").as_deref() {
            None => None,
            Some("uncompressed" | "none") => Some(LayerCompression::None),
            Some("gzip") => Some(LayerCompression::Gzip),
            Some("zstd") => Some(LayerCompression::Zstd),
            Some(other) => return wrong(format!("compression={other} is none of uncompressed, gzip and zstd")),
        };
        if self.switch("oci-mediatypes")? == Some(false) {
            return wrong("oci-mediatypes=false: kiln writes OCI's media types only".to_owned());
        }
        let (format, to) = match (oci, is_tar) {
            // As in Docker: into the store, where it is anyway.
            (false, true) if !has_destination => return Ok(OutputOption::Image { names, push: false }),
            (false, true) => (SaveFormat::DockerArchive, self.target()),
            (true, true) => (SaveFormat::OciArchive, self.target()),
            (true, false) => (SaveFormat::OciDir, Target::Path(self.path()?)),
            (false, false) => return wrong("tar=false: a directory is an image layout, type=oci".to_owned()),
        };
        Ok(OutputOption::Archive { format, compression, to, names })
    }
}

/// The fields between commas; quotes hold together what has commas itself, as in CSV.
fn split(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => fields.last_mut().expect("it begins with one").push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_as_docker_has_them() {
        let archive = |format, to, names: &[&str]| OutputOption::Archive {
            format,
            compression: None,
            to,
            names: names.iter().map(|name| name.parse().expect("a name")).collect(),
        };
        let path = |path: &str| Target::Path(path.into());
        for (text, expected) in [
            ("out", OutputOption::Local { destination: "out".into() }),
            ("-", OutputOption::Tar { to: Target::Stdout }),
            ("type=local,dest=out", OutputOption::Local { destination: "out".into() }),
            ("type=tar", OutputOption::Tar { to: Target::Stdout }),
            ("dest=a.tar,type=tar", OutputOption::Tar { to: path("a.tar") }),
            ("type=docker,dest=a", archive(SaveFormat::DockerArchive, path("a"), &[])),
            ("type=docker,dest=-", archive(SaveFormat::DockerArchive, Target::Stdout, &[])),
            ("type=docker", OutputOption::Image { names: Vec::new(), push: false }),
            ("type=oci", archive(SaveFormat::OciArchive, Target::Stdout, &[])),
            ("type=oci,tar=false,dest=d", archive(SaveFormat::OciDir, path("d"), &[])),
            (r#"type=oci,dest=a,"name=a:1,b""#, archive(SaveFormat::OciArchive, path("a"), &["a:1", "b"])),
            ("type=image,push=true", OutputOption::Image { names: Vec::new(), push: true }),
            ("type=registry", OutputOption::Image { names: Vec::new(), push: true }),
            ("type=wasm-artifact,dest=out", OutputOption::WasmArtifact { destination: "out".into() }),
            ("type=cacheonly", OutputOption::CacheOnly),
        ] {
            assert_eq!(text.parse::<OutputOption>().expect(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("type=wasm-artifact", "dest= is missing"),
            ("type=wasm-artifact,dest=", "dest= is missing"),
            ("type=local,dest=-", "dest=- is standard output"),
            ("dest=out", "`dest=out` has no type= of local, tar"),
            ("type=nydus,dest=out", "there is no output of type `nydus`"),
            ("type=tar,out", "`out` is not KEY=VALUE"),
            ("type=tar,dest=a,dest=b", "`dest=b` comes second"),
            ("type=tar,dest=a,name=b", "an output of type tar has no option `name`"),
            ("type=image,push=maybe", "push=maybe is neither true nor false"),
            ("type=image,name=A B", "invalid image name `A B`"),
            ("type=oci,compression=lzma", "compression=lzma is none of"),
            ("type=docker,tar=false,dest=a", "tar=false: a directory is an image layout"),
        ] {
            let error = text.parse::<OutputOption>().expect_err(text).to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
