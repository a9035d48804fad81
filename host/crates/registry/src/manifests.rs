//! Manifests and indexes, verified.

use kiln_fetch::{Method, Response};
use kiln_image::config::MAX_DOCUMENT;
use kiln_image::manifest::{is_manifest, is_manifest_list};
use kiln_types::{Digest, Reference};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::answer::body;
use crate::error::excerpt;
use crate::session::{Call, Session, Target};
use crate::{Error, Result};

/// Everything that is understood, so that a registry need not convert anything.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A document as a registry has it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
}

impl Document {
    pub(crate) fn is_index(&self) -> bool {
        is_manifest_list(&self.media_type)
    }
}

/// What `HEAD` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
}

impl Session<'_> {
    /// `None` where the server does not say it.
    pub(crate) fn head_manifest(&self, wanted: &Reference) -> Result<Option<Head>> {
        let what = wanted.familiar();
        let path = manifest_path(wanted);
        let headers = [("accept", ACCEPT)];
        let target = Target::Repository(&path);
        let response = self.send(&Call { method: Method::Head, headers: &headers, ..Call::get(target, &what) })?;
        match response.status {
            200 => {}
            405 => return Ok(None),
            _ => return Err(self.refusal(&what, response)),
        }
        let size = response.header("content-length").and_then(|length| length.parse().ok());
        let digest = stated_digest(&response);
        let Some((digest, size)) = digest.zip(size) else { return Ok(None) };
        let media_type = content_type(&response).to_owned();
        match wanted.digest {
            Some(expected) if expected != digest => Err(self.wrong_digest(&what, expected, digest)),
            _ => Ok(Some(Head { digest, size, media_type })),
        }
    }

    /// The manifest or index that a tag or digest leads to.
    pub(crate) fn get_manifest(&self, wanted: &Reference) -> Result<Document> {
        let what = wanted.familiar();
        let path = manifest_path(wanted);
        let headers = [("accept", ACCEPT)];
        let call = Call { headers: &headers, ..Call::get(Target::Repository(&path), &what) };
        let response = self.expect(&call, &[200])?;
        let stated = stated_digest(&response);
        let content_type = content_type(&response).to_owned();
        let bytes = body(self.client, response, &format!("the manifest of {what}"), MAX_DOCUMENT)?;
        let digest = Digest::of(&bytes);
        if let Some(expected) = wanted.digest.or(stated).filter(|&expected| expected != digest) {
            return Err(self.wrong_digest(&what, expected, digest));
        }
        if let Some(stated) = stated.filter(|&stated| stated != digest) {
            return Err(self.wrong_digest(&what, stated, digest));
        }
        let media_type = media_type(&what, &content_type, &bytes).map_err(|reason| match reason {
            Misfit::Error(error) => error,
            Misfit::Nonsense(reason) => self.bad_answer(&what, reason),
        })?;
        Ok(Document { bytes, digest, media_type })
    }

    fn wrong_digest(&self, what: &str, expected: Digest, found: Digest) -> Error {
        let what = format!("the manifest of {what}");
        Error::WrongDigest { registry: self.endpoint.name.clone(), what, expected, found }
    }
}

fn manifest_path(wanted: &Reference) -> String {
    let name = wanted.digest.map(|digest| digest.to_string());
    let name = name.or_else(|| wanted.tag_or_latest().map(str::to_owned)).unwrap_or_default();
    format!("/manifests/{name}")
}

/// Other algorithms than SHA-256 are as good as nothing said.
fn stated_digest(response: &Response) -> Option<Digest> {
    response.header("docker-content-digest")?.parse().ok()
}

fn content_type(response: &Response) -> &str {
    let value = response.header("content-type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// Why a document is not taken.
#[derive(Debug)]
pub(crate) enum Misfit {
    Error(Error),
    Nonsense(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: u32,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
}

/// What the document is. It must not be one thing by its header and another by what stands in it, or two readers would
/// see two images under one digest (CVE-2021-41190).
pub(crate) fn media_type(what: &str, content_type: &str, bytes: &[u8]) -> Result<String, Misfit> {
    let outline: Outline =
        serde_json::from_slice(bytes).map_err(|_| Misfit::Nonsense("it is neither a manifest nor an index"))?;
    if outline.schema_version == 1 || content_type.starts_with("application/vnd.docker.distribution.manifest.v1+") {
        return Err(Misfit::Error(Error::Schema1 { what: what.to_owned() }));
    }
    let is_list = match (outline.manifests.is_some(), outline.config.is_some() || outline.layers.is_some()) {
        (true, true) => return Err(Misfit::Nonsense("it is a manifest and an index at once")),
        (is_list, _) => is_list,
    };
    let is_known = |media_type: &str| is_manifest(media_type) || is_manifest_list(media_type);
    let media_type = match outline.media_type {
        Some(own) if is_known(content_type) && own != content_type => {
            return Err(Misfit::Nonsense("its media type is not the one in its header"));
        }
        Some(own) => own,
        None if is_known(content_type) => content_type.to_owned(),
        None if is_list => "application/vnd.oci.image.index.v1+json".to_owned(),
        None if outline.config.is_some() => "application/vnd.oci.image.manifest.v1+json".to_owned(),
        None => content_type.to_owned(),
    };
    if !is_known(&media_type) {
        let media_type = excerpt(&media_type);
        return Err(Misfit::Error(Error::NotAnImage { what: what.to_owned(), media_type }));
    }
    if is_manifest_list(&media_type) != is_list {
        return Err(Misfit::Nonsense("it is not what its media type says"));
    }
    Ok(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

    #[test]
    fn what_a_document_is() {
        let typed = |media_type: &str, rest: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}"{rest}}}"#);
        let manifest = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
        let image = r#","config":{},"layers":[]"#;
        for (header, text, expected) in [
            (OCI, manifest, Ok(OCI)),
            (DOCKER, manifest, Ok(DOCKER)),
            ("application/json", manifest, Ok(OCI)),
            ("", &typed(DOCKER, image), Ok(DOCKER)),
            (DOCKER, &typed(DOCKER, image), Ok(DOCKER)),
            ("text/plain", r#"{"schemaVersion":2,"manifests":[]}"#, Ok(OCI_INDEX)),
            (OCI, &typed(DOCKER, image), Err("its media type is not")),
            (OCI, r#"{"schemaVersion":2,"manifests":[]}"#, Err("not what its media type says")),
            (OCI_INDEX, manifest, Err("not what its media type says")),
            (OCI, r#"{"schemaVersion":2,"config":{},"manifests":[]}"#, Err("at once")),
            (OCI, "<html>", Err("neither")),
            (OCI, "[]", Err("neither")),
            (OCI, r#"{"schemaVersion":1,"fsLayers":[]}"#, Err("schema 1")),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", manifest, Err("schema 1")),
            ("application/vnd.oci.artifact.manifest.v1+json", r#"{"schemaVersion":2,"blobs":[]}"#, Err("artifact")),
            ("", &typed("application/x", image), Err("`application/x`")),
        ] {
            match (media_type("x", header, text.as_bytes()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(Misfit::Nonsense(reason)), Err(expected)) => {
                    assert!(reason.contains(expected), "{text}: {reason}");
                }
                (Err(Misfit::Error(error)), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{text}: {error}");
                }
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
