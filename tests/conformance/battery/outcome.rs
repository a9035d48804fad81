//! What a line leaves behind, in a form in which two runs can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;

use kiln_image::{Compression, Node, View};

/// Path to a description of what is there.
type Files = BTreeMap<String, String>;

pub(super) struct Outcome {
    pub(super) status: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) files: Files,
}

impl Outcome {
    /// The parts that differ, each with words to show it.
    pub(super) fn differences(&self, found: &Outcome) -> Vec<(&'static str, String)> {
        let mut differences = Vec::new();
        let (expected_status, found_status) = (self.status.to_string(), found.status.to_string());
        for (part, expected, found) in [
            ("status", expected_status.as_bytes(), found_status.as_bytes()),
            ("stdout", &self.stdout, &found.stdout),
            ("stderr", &self.stderr, &found.stderr),
        ] {
            if expected != found {
                let text = String::from_utf8_lossy;
                differences.push((part, format!("--- {part}\n{}\n--- but\n{}\n", text(expected), text(found))));
            }
        }
        let mut words = String::new();
        let paths = self.files.keys().chain(found.files.keys().filter(|path| !self.files.contains_key(*path)));
        for path in paths {
            let nothing = "nothing".to_owned();
            let (expected, found) =
                (self.files.get(path).unwrap_or(&nothing), found.files.get(path).unwrap_or(&nothing));
            if expected != found {
                let _ = writeln!(words, "--- file {path}\n{expected}\n--- but\n{found}");
            }
        }
        if !words.is_empty() {
            differences.push(("files", words));
        }
        differences
    }
}

/// Everything but programs and devices. Times are left out: native steps have a clock.
pub(super) fn files(view: &View) -> Files {
    let mut files = Files::new();
    for found in view.walk(b"") {
        let found = found.expect("a whole layer");
        let path = String::from_utf8_lossy(&found.path).into_owned();
        let top = path.split('/').next().unwrap_or_default();
        if ["", "bin", "dev", "lib", "lib64", "proc", "sys", "usr"].contains(&top) {
            continue;
        }
        let node = match &found.node {
            Node::Directory { .. } => "directory".to_owned(),
            Node::Symlink(target) => format!("link to {}", target.escape_ascii()),
            Node::File(content) => {
                let mut bytes = Vec::new();
                content.open().and_then(|mut file| file.read_to_end(&mut bytes)).expect("a readable file");
                format!("file {}", meaning(&bytes))
            }
            other => format!("{other:?}"),
        };
        // A link's own mode means nothing.
        let mode = if matches!(found.node, Node::Symlink(_)) { 0 } else { found.meta.mode };
        files.insert(path, format!("{mode:o} {}:{} {node}", found.meta.uid, found.meta.gid));
    }
    files
}

/// What a file says: a compressed one what it holds, since there are many ways to compress; an archive its entries in
/// order of their names and without times, since directories are not sorted natively.
fn meaning(bytes: &[u8]) -> String {
    if Compression::detect(bytes) == Compression::Gzip {
        let mut inner = Vec::new();
        let whole = Compression::Gzip.decoder(bytes).and_then(|mut decoder| decoder.read_to_end(&mut inner));
        return match whole {
            Ok(_) => format!("gzip of {}", meaning(&inner)),
            Err(error) => format!("damaged gzip: {error}"),
        };
    }
    if bytes.get(257..262) != Some(b"ustar") {
        return bytes.escape_ascii().to_string();
    }
    let mut entries = Vec::new();
    for entry in tar::Archive::new(bytes).entries().expect("an archive") {
        let mut entry = entry.expect("a whole entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("a whole entry");
        let header = entry.header();
        entries.push(format!(
            "{} {:?} {:o} {}:{} {:?} {}",
            entry.path_bytes().escape_ascii(),
            header.entry_type(),
            header.mode().expect("a mode"),
            header.uid().expect("an owner"),
            header.gid().expect("a group"),
            entry.link_name_bytes().map(|target| target.escape_ascii().to_string()),
            meaning(&content),
        ));
    }
    entries.sort();
    format!("tar of {} bytes:\n{}", bytes.len(), entries.join("\n"))
}
