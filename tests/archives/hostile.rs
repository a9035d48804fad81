//! Archives that strangers made to harm: an error that says why, and the store as it was.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use kiln_types::Digest;
use tar::{Builder, EntryType, Header};

use crate::kiln::Kiln;
use crate::work::Work;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A tar that is put together name by name, whatever the names.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn member(mut self, name: &str, kind: EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.member(name, EntryType::Regular, "", content)
    }

    fn blob(self, content: &[u8]) -> Self {
        self.file(&blob_name(content), content)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn blob_name(content: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(content).hex())
}

fn descriptor(media_type: &str, content: &[u8]) -> String {
    described(media_type, content, content.len())
}

fn described(media_type: &str, content: &[u8], size: usize) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":{size}}}"#, Digest::of(content))
}

fn list(descriptors: &[String]) -> Vec<u8> {
    format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, descriptors.join(",")).into_bytes()
}

/// A layer, its configuration, and their manifest.
fn image() -> [Vec<u8>; 3] {
    let mut layer = Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.set_size(4);
    layer.append_data(&mut header, "file", &b"text"[..]).expect("append");
    let layer = layer.into_inner().expect("finish");
    let config = config(&layer);
    let manifest = manifest(&config, &layer);
    [layer, config, manifest]
}

fn config(layer: &[u8]) -> Vec<u8> {
    let id = Digest::of(layer);
    format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{id}"]}}}}"#).into_bytes()
}

fn manifest(config: &[u8], layer: &[u8]) -> Vec<u8> {
    let (config, layer) = (descriptor(CONFIG, config), descriptor(LAYER, layer));
    format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layer}]}}"#).into_bytes()
}

/// Every file of the store with its size, but for locks.
fn content(root: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        for entry in std::fs::read_dir(&path).expect("ours") {
            let entry = entry.expect("ours");
            let name = entry.path().strip_prefix(root).expect("below").to_string_lossy().into_owned();
            if name.starts_with("locks") || name.starts_with("tmp/") {
                continue;
            }
            let metadata = entry.metadata().expect("ours");
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                found.insert(name, metadata.len());
            }
        }
    }
    found
}

fn root(kiln: &Kiln) -> std::path::PathBuf {
    let command = kiln.command();
    let root = command.get_envs().find(|(name, _)| *name == "KILN_ROOT").and_then(|(_, value)| value);
    root.expect("a store").into()
}

fn attacks() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let [layer, config_bytes, manifest_bytes] = image();
    let (layer, config_bytes, manifest_bytes) = (&layer[..], &config_bytes[..], &manifest_bytes[..]);
    let index = list(&[descriptor(MANIFEST, manifest_bytes)]);
    let whole = || Archive::default().blob(layer).blob(config_bytes).blob(manifest_bytes);
    let docker = br#"[{"Config":"c.json","RepoTags":["evil:1"],"Layers":["l/layer.tar"]}]"#;
    let docker_with = |layer_name: &str| format!(r#"[{{"Config":"c.json","Layers":["{layer_name}"]}}]"#).into_bytes();
    let nested = |depth: usize| {
        let mut archive = whole();
        let mut inner = list(&[descriptor(MANIFEST, manifest_bytes)]);
        for _ in 0..depth {
            archive = archive.blob(&inner);
            inner = list(&[descriptor(INDEX, &inner)]);
        }
        archive.file("index.json", &inner).end()
    };
    let lies = config(b"another layer");
    let two_layers = manifest_bytes.to_vec();
    let two_layers = String::from_utf8(two_layers)
        .expect("text")
        .replace(&descriptor(LAYER, layer), &[descriptor(LAYER, layer), descriptor(LAYER, layer)].join(","));
    vec![
        (
            "a name that leaves",
            whole().file("../../../etc/cron.d/x", b"x").file("index.json", &index).end(),
            "its name leaves the root",
        ),
        (
            "a link out in place of a layer",
            Archive::default()
                .file("manifest.json", docker)
                .file("c.json", config_bytes)
                .member("l/layer.tar", EntryType::Symlink, "/etc/passwd", b"")
                .end(),
            "it has no file `l/layer.tar`",
        ),
        (
            "a hard link out",
            Archive::default()
                .file("manifest.json", docker)
                .file("c.json", config_bytes)
                .member("l/layer.tar", EntryType::Link, "../../etc/passwd", b"")
                .end(),
            "its name leaves the root",
        ),
        (
            "a path out in manifest.json",
            Archive::default()
                .file("manifest.json", &docker_with("../../../../etc/passwd"))
                .file("c.json", config_bytes)
                .end(),
            "it has no file `../../../../etc/passwd`",
        ),
        (
            "a link in place of a blob",
            Archive::default()
                .blob(config_bytes)
                .blob(manifest_bytes)
                .member(&blob_name(layer), EntryType::Symlink, &Digest::of(config_bytes).hex(), b"")
                .file("index.json", &index)
                .end(),
            "has the digest sha256:",
        ),
        (
            "a device in place of a blob",
            Archive::default()
                .blob(config_bytes)
                .blob(manifest_bytes)
                .member(&blob_name(layer), EntryType::Char, "", b"")
                .file("index.json", &index)
                .end(),
            "the archive lacks the layer",
        ),
        (
            "two indexes",
            whole().file("index.json", &index).file("index.json", &index).end(),
            "the archive has it twice",
        ),
        (
            "two files of one name",
            Archive::default()
                .file("manifest.json", docker)
                .file("c.json", config_bytes)
                .file("l/layer.tar", layer)
                .file("l/layer.tar", b"other")
                .end(),
            "the archive has it twice",
        ),
        (
            "another content under a digest",
            Archive::default()
                .file(&blob_name(layer), b"another")
                .blob(config_bytes)
                .blob(manifest_bytes)
                .file("index.json", &index)
                .end(),
            "the archive is damaged: the content of `blobs/sha256/",
        ),
        (
            "a layer that the configuration does not know",
            Archive::default()
                .blob(layer)
                .blob(&lies)
                .blob(&manifest(&lies, layer))
                .file("index.json", &list(&[descriptor(MANIFEST, &manifest(&lies, layer))]))
                .end(),
            "its image names the layer sha256:",
        ),
        (
            "more layers than the configuration knows",
            Archive::default()
                .blob(layer)
                .blob(config_bytes)
                .blob(two_layers.as_bytes())
                .file("index.json", &list(&[descriptor(MANIFEST, two_layers.as_bytes())]))
                .end(),
            "2 layers, but its configuration 1",
        ),
        (
            "a lost layer",
            Archive::default().blob(config_bytes).blob(manifest_bytes).file("index.json", &index).end(),
            "the archive lacks the layer",
        ),
        (
            "a lost configuration",
            Archive::default().blob(layer).blob(manifest_bytes).file("index.json", &index).end(),
            "the archive lacks the configuration",
        ),
        (
            "a lost manifest",
            Archive::default().blob(layer).blob(config_bytes).file("index.json", &index).end(),
            "the archive lacks the manifest",
        ),
        (
            "a wrong size",
            whole().file("index.json", &list(&[described(MANIFEST, manifest_bytes, 7)])).end(),
            "its descriptor says 7",
        ),
        (
            "an endless manifest",
            whole().file("index.json", &vec![b' '; (4 << 20) + 1]).end(),
            "longer than 4194304 bytes",
        ),
        (
            "an endless manifest as blob",
            Archive::default()
                .blob(&vec![b' '; (4 << 20) + 1])
                .file("index.json", &list(&[descriptor(MANIFEST, &vec![b' '; (4 << 20) + 1])]))
                .end(),
            "longer than 4194304 bytes",
        ),
        (
            "deep JSON",
            Archive::default().file("index.json", "[".repeat(1 << 20).as_bytes()).end(),
            "its image index is wrong",
        ),
        ("indexes in indexes", nested(9), "nested too deeply"),
        (
            "an index of nothing",
            whole().blob(&list(&[])).file("index.json", &list(&[descriptor(INDEX, &list(&[]))])).end(),
            "has no image",
        ),
        ("no image at all", Archive::default().file("manifest.json", b"[]").end(), "it names no image"),
        (
            "a manifest of unknown type",
            whole().file("index.json", &list(&[descriptor("application/x", manifest_bytes)])).end(),
            "no image but a document of the unknown type `application/x`",
        ),
        (
            "a name that is none",
            {
                let named =
                    format!(r#"[{{"Config":"c.json","RepoTags":["../x:1"],"Layers":["{}"]}}]"#, blob_name(layer));
                Archive::default()
                    .file("manifest.json", named.as_bytes())
                    .file("c.json", config_bytes)
                    .blob(layer)
                    .end()
            },
            "invalid image name `../x:1`",
        ),
        (
            "a reserved name",
            {
                let named = format!(
                    r#"[{{"Config":"c.json","RepoTags":["fine:1","scratch:1"],"Layers":["{}"]}}]"#,
                    blob_name(layer)
                );
                Archive::default()
                    .file("manifest.json", named.as_bytes())
                    .file("c.json", config_bytes)
                    .blob(layer)
                    .end()
            },
            "`scratch` is a reserved name",
        ),
        (
            "the end cut off",
            {
                let mut bytes = whole().file("index.json", &index).end();
                bytes.truncate(2000);
                bytes
            },
            "the archive is damaged",
        ),
        (
            "a size beyond everything",
            {
                let mut archive = whole();
                let start = archive.0.len();
                archive = archive.file("index.json", b"");
                archive.0[start + 124..start + 136].copy_from_slice(b"77777777777\0");
                let sum: u32 = archive.0[start..start + 512]
                    .iter()
                    .enumerate()
                    .map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) })
                    .sum();
                archive.0[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                archive.0
            },
            "",
        ),
        (
            "random bytes",
            (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
            "it is not a tar",
        ),
    ]
}

#[test]
fn nothing_of_what_is_wrong_stays() {
    let work = Work::new();
    work.build("good:1", &[]);
    let store = root(&work.kiln);
    let before = content(&store);
    let program = work.kiln.command().get_program().to_owned();
    for (what, bytes, reason) in attacks() {
        std::fs::write(work.path("attack.tar"), &bytes).expect("ours");
        for from_file in [true, false] {
            let mut command = std::process::Command::new(&program);
            command.arg("load").env("KILN_ROOT", &store).stdout(Stdio::piped()).stderr(Stdio::piped());
            if from_file {
                command.arg("-i").arg(work.path("attack.tar"));
            }
            let mut child = command.stdin(Stdio::piped()).spawn().expect("kiln starts");
            let mut input = child.stdin.take().expect("a pipe");
            if !from_file {
                // It may stop reading as soon as it knows enough.
                drop(input.write_all(&bytes));
            }
            drop(input);
            let output = child.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{what}: {said}");
            assert!(said.starts_with("error: ") && said.contains(reason), "{what}: {said}");
            assert!(output.stdout.is_empty(), "{what}");
            assert_eq!(content(&store), before, "{what}");
        }
    }
}

#[test]
fn what_repeats_itself_ends() {
    // Each index lists the next one many times: whoever follows all of them never comes back.
    let [layer, config, manifest] = image();
    let mut archive = Archive::default().blob(&layer).blob(&config).blob(&manifest);
    let mut inner = list(&vec![descriptor(MANIFEST, &manifest); 2000]);
    for _ in 0..3 {
        archive = archive.blob(&inner);
        inner = list(&vec![descriptor(INDEX, &inner); 2000]);
    }
    let work = Work::new();
    std::fs::write(work.path("a.tar"), archive.file("index.json", &inner).end()).expect("ours");
    assert!(work.kiln(&["load", "-i", "a.tar"]).starts_with("Loaded image ID: sha256:"));
    assert_eq!(work.kiln(&["images", "-q"]).lines().count(), 1);
}

#[test]
fn more_images_than_files_may_be_open() {
    let mut archive = Archive::default();
    let mut listed = Vec::new();
    for number in 0..1500 {
        let config =
            format!(r#"{{"os":"linux","architecture":"amd64","author":"{number}","rootfs":{{"type":"layers"}}}}"#);
        let config = config.as_bytes();
        let config_descriptor = descriptor(CONFIG, config);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config_descriptor},"layers":[]}}"#);
        archive = archive.blob(config).blob(manifest.as_bytes());
        listed.push(descriptor(MANIFEST, manifest.as_bytes()));
    }
    let work = Work::new();
    std::fs::write(work.path("a.tar"), archive.file("index.json", &list(&listed)).end()).expect("ours");
    let kiln = work.kiln.command();
    let program = kiln.get_program().to_str().expect("text");
    let store = root(&work.kiln);
    let store = store.to_str().expect("text");
    for way in ["-i a.tar", "< a.tar"] {
        let said = work.run(&format!("ulimit -n 256; KILN_ROOT={store} {program} load {way} | wc -l"));
        assert_eq!(said.trim(), "1500", "{way}");
        work.run(&format!("rm -rf {store}"));
    }
}
