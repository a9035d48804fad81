//! Credentials in files: Docker's `config.json` and podman's `auth.json`, which have the same form.
//!
//! ```json
//! { "auths": { "https://index.docker.io/v1/": { "auth": "<base64 of user:password>" } },
//!   "credsStore": "secretservice", "credHelpers": { "host:5000": "pass" } }
//! ```
//! Whatever else stands in such a file stays in it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::helper::Helper;
use super::{Credential, Credentials, is_key_of, key_of};
use crate::{Error, Result};

/// No file of credentials comes near.
const LONGEST: u64 = 16 << 20;

/// Files that are asked in order; the first one is written.
#[derive(Debug, Clone)]
pub struct CredentialFiles {
    files: Vec<PathBuf>,
    /// For credential helpers.
    environment: Vec<(OsString, OsString)>,
}

/// Where a credential went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptIn {
    /// As it is, readable by whoever can read the file.
    File(PathBuf),
    /// A credential helper.
    Helper(String),
}

type Document = Map<String, Value>;

impl CredentialFiles {
    /// `files` need not exist. `environment` is what credential helpers run in, and find themselves by its PATH.
    pub fn new(files: Vec<PathBuf>, environment: Vec<(OsString, OsString)>) -> Self {
        Self { files, environment }
    }

    /// Keeps a credential in the first file, or with the helper that it names.
    pub fn keep(&self, registry: &str, credential: &Credential) -> Result<KeptIn> {
        let path = self.first();
        let mut document = read(path)?.unwrap_or_default();
        if let Some(helper) = self.helper(&document, registry) {
            helper.store(key_of(registry), credential)?;
            return Ok(KeptIn::Helper(helper.program()));
        }
        let entry = if credential.is_identity_token {
            json!({ "auth": STANDARD.encode(format!("{}:", credential.user)), "identitytoken": credential.secret })
        } else {
            json!({ "auth": STANDARD.encode(format!("{}:{}", credential.user, credential.secret)) })
        };
        let auths = document.entry("auths").or_insert_with(|| json!({}));
        let Some(auths) = auths.as_object_mut() else { return Err(unreadable(path, "`auths` is no object")) };
        auths.retain(|key, _| !is_key_of(key, registry));
        auths.insert(key_of(registry).to_owned(), entry);
        write(path, &document)?;
        Ok(KeptIn::File(path.clone()))
    }

    /// Removes what the first file, or its helper, has for a registry; `false` where that is nothing.
    pub fn forget(&self, registry: &str) -> Result<bool> {
        let path = self.first();
        let Some(mut document) = read(path)? else { return Ok(false) };
        let mut known = false;
        if let Some(helper) = self.helper(&document, registry)
            && helper.get(key_of(registry))?.is_some()
        {
            helper.erase(key_of(registry))?;
            known = true;
        }
        if let Some(auths) = document.get_mut("auths").and_then(Value::as_object_mut) {
            let before = auths.len();
            auths.retain(|key, _| !is_key_of(key, registry));
            if auths.len() < before {
                known = true;
                write(path, &document)?;
            }
        }
        Ok(known)
    }

    fn first(&self) -> &PathBuf {
        self.files.first().expect("whoever makes it names at least one file")
    }

    fn helper(&self, document: &Document, registry: &str) -> Option<Helper<'_>> {
        let own = document.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
            let found = helpers.iter().find(|(key, _)| is_key_of(key, registry));
            found.map(|(_, name)| name)
        });
        let name = own.or_else(|| document.get("credsStore"))?.as_str().filter(|name| !name.is_empty())?;
        Some(Helper::new(name, &self.environment))
    }
}

impl Credentials for CredentialFiles {
    fn of(&self, registry: &str) -> Result<Option<Credential>> {
        for path in &self.files {
            let Some(document) = read(path)? else { continue };
            if let Some(helper) = self.helper(&document, registry)
                && let Some(credential) = helper.get(key_of(registry))?
            {
                return Ok(Some(credential));
            }
            let auths = match document.get("auths") {
                None | Some(Value::Null) => continue,
                Some(auths) => auths.as_object().ok_or_else(|| unreadable(path, "`auths` is no object"))?,
            };
            for (key, entry) in auths.iter().filter(|(key, _)| is_key_of(key, registry)) {
                let found = credential(entry)
                    .ok_or_else(|| unreadable(path, format!("`auth` of `{key}` is not user:password in base64")))?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }
}

/// `None` where `auth` cannot be decoded. Entries without a secret say only that a helper has it.
fn credential(entry: &Value) -> Option<Option<Credential>> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (user, password) = match text("auth") {
        Some(auth) => decoded(auth)?,
        None => (text("username").unwrap_or_default().to_owned(), text("password").unwrap_or_default().to_owned()),
    };
    if let Some(token) = text("identitytoken") {
        return Some(Some(Credential { user, secret: token.to_owned(), is_identity_token: true }));
    }
    Some((!user.is_empty() && !password.is_empty()).then(|| Credential::password(user, password)))
}

/// User and password.
fn decoded(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    // As Docker: some tools write it with an end as of C.
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// `None` where there is no such file.
fn read(path: &Path) -> Result<Option<Document>> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    match read {
        Ok(_) if text.trim().is_empty() => Ok(Some(Document::new())),
        Ok(_) => serde_json::from_str(&text).map(Some).map_err(|error| unreadable(path, error)),
        // A file where a folder should be is as good as none.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// Replaces the file as a whole, and lets nobody else read it. Where it is a link, what the link leads to is replaced.
fn write(path: &Path, document: &Document) -> Result<()> {
    let failed = |source: std::io::Error| Error::KeepCredentials { path: path.to_owned(), source };
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(failed)?;
    // Docker indents with tabs.
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    document
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    // Temporary files are made with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".kiln-").tempfile_in(folder).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error))?;
    Ok(())
}

fn unreadable(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Credentials { path: path.to_owned(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().expect("a directory");
            fs::write(folder.path().join("config.json"), text).expect("ours");
            Self { folder }
        }

        fn files(&self) -> CredentialFiles {
            let path = std::env::join_paths([self.folder.path(), Path::new("/usr/bin"), Path::new("/bin")]);
            let environment =
                vec![("PATH".into(), path.expect("no colon")), ("PLACE".into(), self.folder.path().into())];
            let names = ["config.json", "auth.json"];
            CredentialFiles::new(names.map(|name| self.folder.path().join(name)).to_vec(), environment)
        }

        fn document(&self) -> Value {
            let text = fs::read_to_string(self.folder.path().join("config.json")).expect("ours");
            serde_json::from_str(&text).expect("JSON")
        }
    }

    #[test]
    fn what_docker_and_podman_keep_is_found() {
        let auth = |text: &str| STANDARD.encode(text);
        let place = Place::new(
            &json!({ "auths": {
                "https://index.docker.io/v1/": { "auth": auth("joe:a:b\0") },
                "host:5000": {},
                "https://other/v2/": { "username": "ann", "password": "c" },
                "token": { "auth": auth("<token>:"), "identitytoken": "t" },
                "bad": { "auth": "!" },
            } })
            .to_string(),
        );
        let second = json!({ "auths": { "host:5000": { "auth": auth("pod:man") } } });
        fs::write(place.folder.path().join("auth.json"), second.to_string()).expect("ours");
        let files = place.files();
        for (registry, expected) in [
            ("docker.io", Some(("joe", "a:b", false))),
            ("host:5000", Some(("pod", "man", false))),
            ("other", Some(("ann", "c", false))),
            ("token", Some(("<token>", "t", true))),
            ("unknown", None),
        ] {
            let found = files.of(registry).expect("readable");
            let found = found.as_ref().map(|found| (&*found.user, &*found.secret, found.is_identity_token));
            assert_eq!(found, expected, "{registry}");
        }
        let Err(Error::Credentials { path, source }) = files.of("bad") else { panic!("it is not base64") };
        assert_eq!(path, place.folder.path().join("config.json"));
        assert_eq!(source.to_string(), "`auth` of `bad` is not user:password in base64");
    }

    #[test]
    fn keeping_and_forgetting_leaves_the_rest() {
        let place = Place::new(r#"{"auths":{"a":{"auth":"eA=="},"https://b/":{"auth":"eDp5"}},"proxies":{"x":1}}"#);
        let files = place.files();
        let credential = Credential::password("joe", "se:cret");
        assert!(matches!(files.keep("b", &credential), Ok(KeptIn::File(_))));
        assert_eq!(files.of("b").expect("readable"), Some(credential.clone()));
        let expected = json!({ "auths": { "a": { "auth": "eA==" }, "b": { "auth": STANDARD.encode("joe:se:cret") } },
                               "proxies": { "x": 1 } });
        assert_eq!(place.document(), expected);
        files.keep("docker.io", &credential).expect("kept");
        assert!(place.document()["auths"]["https://index.docker.io/v1/"].is_object());
        assert!(files.forget("b").expect("writable") && !files.forget("b").expect("writable"));
        assert_eq!(place.document()["auths"]["b"], Value::Null);
        assert_eq!(place.document()["proxies"], json!({ "x": 1 }));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_the_file_and_links_stay_links() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().expect("a directory");
        let (real, link) = (place.path().join("real.json"), place.path().join("new/config.json"));
        fs::write(&real, "{}").expect("ours");
        fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).expect("ours");
        let files = CredentialFiles::new(vec![link.clone()], Vec::new());
        files.keep("a", &Credential::password("u", "p")).expect("the folder is made");
        assert_eq!(fs::metadata(&link).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(link.parent().expect("new")).expect("there").permissions().mode() & 0o777, 0o700);
        fs::remove_file(&link).expect("ours");
        std::os::unix::fs::symlink(&real, &link).expect("ours");
        files.keep("a", &Credential::password("u", "p")).expect("kept");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::metadata(&real).expect("there").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_file_of_credentials_says_so() {
        for text in ["{", "[]", r#"{"auths":1}"#] {
            let place = Place::new(text);
            assert!(place.files().keep("a", &Credential::password("u", "p")).is_err(), "{text}");
            assert!(place.files().of("a").is_err(), "{text}");
            assert_eq!(fs::read_to_string(place.folder.path().join("config.json")).expect("ours"), text);
        }
        assert!(Place::new("").files().of("a").expect("as good as none").is_none());
    }

    #[cfg(unix)]
    #[test]
    fn helpers_keep_what_is_theirs() {
        use std::os::unix::fs::PermissionsExt;
        let place = Place::new(r#"{"credsStore":"none","credHelpers":{"host:5000":"test"}}"#);
        let script = "#!/bin/sh\ncd \"$PLACE\"\ncase $1 in\nstore) cat > kept ;;\n\
                      get) read key; [ -e kept ] && cat kept && exit 0\n\
                      echo credentials not found in native keychain; exit 1 ;;\nerase) rm kept ;;\nesac\n";
        let program = place.folder.path().join("docker-credential-test");
        fs::write(&program, script).expect("ours");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
        let files = place.files();
        assert_eq!(files.of("host:5000").expect("it answers"), None);
        let credential = Credential::password("joe", "secret");
        let kept = files.keep("host:5000", &credential).expect("kept");
        assert_eq!(kept, KeptIn::Helper("docker-credential-test".to_owned()));
        let sent: Value =
            serde_json::from_slice(&fs::read(place.folder.path().join("kept")).expect("kept")).expect("JSON");
        assert_eq!(sent, json!({ "ServerURL": "host:5000", "Username": "joe", "Secret": "secret" }));
        assert_eq!(files.of("host:5000").expect("it answers"), Some(credential));
        assert!(files.forget("host:5000").expect("erased") && !files.forget("host:5000").expect("nothing"));
        let missing = files.of("elsewhere").expect_err("there is no such helper").to_string();
        assert!(missing.contains("docker-credential-none"), "{missing}");
        fs::write(&program, "#!/bin/sh\ncat > /dev/null; exit 1\n").expect("ours");
        let silent = files.of("host:5000").expect_err("it fails").to_string();
        assert_eq!(silent, "docker-credential-test fails: it does not say why on its standard output (exit status: 1)");
    }
}
