//! What of Docker's own configuration says how registries are reached: kiln uses it as it stands.
//!
//! ```text
//! daemon.json                  registry-mirrors, insecure-registries
//! certs.d/<registry>/          *.crt to trust; *.cert with *.key to show
//! DOCKER_OPTS                  --registry-mirror, --insecure-registry; from the environment or /etc/default/docker
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use kiln_registry::Host;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Config, add_mirrors, read_file};
use crate::report::failure::Failure;
use crate::session::{root, variable};

const DAEMON_JSON: &str = "KILN_DAEMON_JSON";
const OPTIONS: &str = "DOCKER_OPTS";

#[derive(Debug)]
pub(super) struct Places {
    /// Folders like /etc/docker, what comes first counts more.
    folders: Vec<PathBuf>,
    /// In place of those of the folders.
    daemon_json: Option<PathBuf>,
    defaults: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Daemon {
    registry_mirrors: Vec<String>,
    /// What people write by mistake, and Docker refuses to start with.
    registry_mirror: Vec<String>,
    insecure_registries: Vec<String>,
}

impl Places {
    pub(super) fn find() -> Self {
        let daemon_json = std::env::var_os(DAEMON_JSON).filter(|path| !path.is_empty()).map(PathBuf::from);
        // The certificates are beside it, wherever it is.
        let own = daemon_json.as_deref().and_then(Path::parent).map(|folder| vec![folder.to_owned()]);
        Self {
            folders: own.unwrap_or_else(root::docker_folders),
            daemon_json,
            defaults: PathBuf::from("/etc/default/docker"),
        }
    }

    /// What cannot be read is Docker's business, unless the user named it: a warning then.
    pub(super) fn read(&self, config: &mut Config) -> Result<(), Failure> {
        if let Some(path) = &self.daemon_json {
            daemon_file(path, true, config)?;
        } else {
            for folder in &self.folders {
                if let Err(failure) = daemon_file(&folder.join("daemon.json"), false, config) {
                    config.warnings.push(format!("{failure}: it is left out"));
                }
            }
            self.options(config);
        }
        for folder in &self.folders {
            certificates(&folder.join("certs.d"), config);
        }
        Ok(())
    }

    fn options(&self, config: &mut Config) {
        let file = || Some(options_of(&read_file(&self.defaults, false).ok()??)?.to_owned());
        if let Some(options) = variable(OPTIONS).or_else(file) {
            let daemon = of_options(&options);
            add(daemon, OPTIONS, config);
        }
    }
}

fn daemon_file(path: &Path, named: bool, config: &mut Config) -> Result<(), Failure> {
    let Some(text) = read_file(path, named)? else { return Ok(()) };
    if text.trim().is_empty() {
        return Ok(());
    }
    let wrong = |error| Failure::new(format!("cannot understand {}: {error}", path.display()));
    // Of a list serde would take the fields in their order.
    let document: Map<String, Value> = serde_json::from_str(&text).map_err(wrong)?;
    let daemon = Daemon::deserialize(Value::Object(document)).map_err(wrong)?;
    if !daemon.registry_mirror.is_empty() {
        config.warnings.push(format!("{}: the key is called registry-mirrors, not registry-mirror", path.display()));
    }
    add(daemon, &path.display().to_string(), config);
    Ok(())
}

fn add(daemon: Daemon, source: &str, config: &mut Config) {
    let mut mirrors = Vec::new();
    for text in daemon.registry_mirrors.iter().chain(&daemon.registry_mirror) {
        match super::mirror(text) {
            Ok(mirror) => mirrors.push(mirror),
            Err(message) => config.warnings.push(format!("{source}: {message}")),
        }
    }
    add_mirrors(&mut config.registries, &mirrors);
    for text in daemon.insecure_registries {
        // Docker allows a scheme here, though it says that it is deprecated.
        let name = text.trim_start_matches("http://").trim_start_matches("https://");
        match name.parse() {
            Ok(network) => config.registries.insecure_networks.push(network),
            Err(_) => config.registries.by_name.entry(name.to_owned()).or_default().insecure = true,
        }
    }
}

/// Folders of registries, with files as Docker names them.
fn certificates(folder: &Path, config: &mut Config) {
    for (name, directory) in files_of(folder) {
        let files = files_of(&directory);
        let host = config.registries.by_name.entry(name).or_default();
        add_certificates(files.into_iter().map(|(_, path)| path).collect(), host);
    }
}

fn add_certificates(files: Vec<PathBuf>, host: &mut Host) {
    let is = |path: &Path, extension: &str| path.extension().is_some_and(|found| found == extension);
    for path in &files {
        if is(path, "crt") && !host.certificates.contains(path) {
            host.certificates.push(path.clone());
        }
        let key = path.with_extension("key");
        if is(path, "cert") && files.contains(&key) && host.client_certificate.is_none() {
            host.client_certificate = Some((path.clone(), key));
        }
    }
}

/// In order of their names; none where the folder cannot be read.
fn files_of(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect();
    files.sort();
    files
}

/// The value of the last line `DOCKER_OPTS="…"` of a file for shells.
fn options_of(text: &str) -> Option<&str> {
    let value = text.lines().rev().find_map(|line| line.trim().strip_prefix(OPTIONS)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']))
}

/// The options that matter here, as `--name=value` or `--name value`.
fn of_options(text: &str) -> Daemon {
    let mut daemon = Daemon::default();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let list = match name {
            "--registry-mirror" => &mut daemon.registry_mirrors,
            "--insecure-registry" => &mut daemon.insecure_registries,
            _ => continue,
        };
        list.extend(value.or_else(|| words.next()).map(|value| value.trim_matches(['"', '\'']).to_owned()));
    }
    daemon
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_s_configuration() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("daemon.json");
        let text = r#"{"registry-mirror": ["https://b/"], "registry-mirrors": ["https://a", "nothing"],
                       "insecure-registries": ["10.0.0.0/8", "host:5000"], "log-level": "debug"}"#;
        fs::write(&path, text).expect("ours");
        let mut config = Config::default();
        daemon_file(&path, true, &mut config).expect("valid");
        assert_eq!(config.registries.of("docker.io").mirrors, ["https://a", "https://b"]);
        assert!(config.registries.of("10.1.1.1").insecure && config.registries.of("host:5000").insecure);
        assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);

        fs::write(&path, "\n").expect("ours");
        daemon_file(&path, true, &mut config).expect("as good as none");
        for wrong in ["{", "[]", r#"[["https://c"]]"#, r#"{"registry-mirrors": "https://c"}"#] {
            fs::write(&path, wrong).expect("ours");
            assert!(daemon_file(&path, true, &mut config).is_err(), "{wrong}");
        }
        assert!(daemon_file(Path::new("/no/such/file"), true, &mut config).is_err());
    }

    #[test]
    fn options_of_old() {
        let file = "# comment\nDOCKER_OPTS=\"--dns 8.8.8.8 --registry-mirror=http://m --insecure-registry h:1\"\n";
        let daemon = of_options(options_of(file).expect("there"));
        assert_eq!(daemon.registry_mirrors, ["http://m"]);
        assert_eq!(daemon.insecure_registries, ["h:1"]);
        assert_eq!(options_of("#DOCKER_OPTS=\"x\"\nDOCKER_OPTSX=1\n"), None);
        assert!(of_options("--registry-mirror").registry_mirrors.is_empty());
    }

    #[test]
    fn certificates_by_their_names() {
        let place = tempfile::tempdir().expect("a directory");
        let folder = place.path().join("host:5000");
        fs::create_dir(&folder).expect("ours");
        for name in ["ca.crt", "client.cert", "client.key", "other.cert", "readme"] {
            fs::write(folder.join(name), "").expect("ours");
        }
        let mut config = Config::default();
        certificates(place.path(), &mut config);
        let host = &config.registries.by_name["host:5000"];
        assert_eq!(host.certificates, [folder.join("ca.crt")]);
        assert_eq!(host.client_certificate, Some((folder.join("client.cert"), folder.join("client.key"))));
    }
}
