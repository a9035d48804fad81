//! Archives: what is saved is loaded, by kiln and by others; damaged and foreign ones.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use kiln_image::archive::{
    ArchiveFormat, BlobSink, BlobSource, LoadedImage, SavedImage, SavedIndex, load, load_directory, load_file, save,
    save_directory,
};
use kiln_image::compress;
use kiln_image::config::{Config, History};
use kiln_image::{
    Change, Compression, Content, Descriptor, Error, ImageConfig, Manifest, Meta, Node, Result, manifest, write_layer,
};
use kiln_types::{Digest, Platform};
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

#[derive(Default)]
struct Memory(Mutex<BTreeMap<Digest, Arc<Vec<u8>>>>);

impl Memory {
    fn blobs(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<Vec<u8>>>> {
        self.0.lock().expect("no test panics with it")
    }

    fn put(&self, bytes: Vec<u8>) -> (Digest, u64) {
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        self.blobs().insert(digest, Arc::new(bytes));
        (digest, size)
    }

    fn has(&self, digest: &Digest) -> bool {
        self.blobs().contains_key(digest)
    }

    fn get(&self, digest: &Digest) -> Result<Vec<u8>> {
        let bytes = self.blobs().get(digest).cloned();
        Ok(bytes.ok_or_else(|| Error::Store(format!("no blob {digest}").into()))?.to_vec())
    }

    /// As members of an archive.
    fn members(&self) -> Vec<(String, Vec<u8>)> {
        let blobs = self.blobs();
        blobs.iter().map(|(digest, bytes)| (format!("blobs/sha256/{}", digest.hex()), bytes.to_vec())).collect()
    }
}

impl BlobSource for Memory {
    fn open(&self, digest: &Digest) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(std::io::Cursor::new(self.get(digest)?)))
    }
}

impl BlobSink for Memory {
    fn blob(&self, content: &mut dyn Read, _: u64, _: Option<&Digest>) -> Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|source| Error::Io { action: "read", source })?;
        Ok(self.put(bytes))
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let bytes = self.get(digest)?;
        assert!(bytes.len() as u64 <= limit);
        Ok(bytes)
    }
}

fn layer(name: &str) -> Vec<u8> {
    let node = Node::File(Content::bytes(name.repeat(2000)));
    let file = tempfile::tempfile().expect("temporary file");
    let written =
        write_layer(vec![Change { path: name.into(), meta: Meta { mode: 0o644, ..Meta::default() }, node }], &file)
            .expect("write");
    let mut bytes = vec![0; written.size as usize];
    Content::range(Arc::new(file), 0, written.size).read_at(&mut bytes, 0).expect("read");
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress::gzip(bytes, &mut out).expect("compress");
    out
}

/// An image of one plain and one gzipped layer.
fn image(blobs: &Memory, names: &[&str]) -> SavedImage {
    let (plain, packed) = (layer("one"), layer(names.first().unwrap_or(&"two")));
    let mut config = ImageConfig {
        created: Some("1970-01-01T00:00:00Z".to_owned()),
        config: Config { cmd: Some(vec!["/bin/true".to_owned()]), ..Config::default() },
        history: vec![History { created_by: Some("COPY".to_owned()), ..History::default() }; 2],
        ..ImageConfig::default()
    };
    (config.os, config.architecture) = (Platform::host().os, Platform::host().architecture);
    config.rootfs.diff_ids = vec![Digest::of(&plain), Digest::of(&packed)];
    let described = |bytes, media_type: String| {
        let (digest, size) = blobs.put(bytes);
        Descriptor::new(media_type, digest, size)
    };
    let layers = vec![
        described(plain, manifest::layer_media_type(Compression::None)),
        described(gzip(&packed), manifest::layer_media_type(Compression::Gzip)),
    ];
    let config = described(config.to_json(), "application/vnd.oci.image.config.v1+json".to_owned());
    let names = names.iter().map(|name| name.parse().expect("a name")).collect();
    SavedImage { names, manifest: Manifest::new(config, layers).to_json(), index: None }
}

fn archive(images: &[SavedImage], blobs: &Memory, format: ArchiveFormat) -> Vec<u8> {
    let mut out = Vec::new();
    save(images, blobs, format, &mut out).expect("save");
    out
}

fn layers(image: &LoadedImage) -> Vec<Descriptor> {
    Manifest::parse(&image.manifest).expect("a manifest").layers
}

#[test]
fn what_is_saved_is_loaded() {
    let blobs = Memory::default();
    let images = [image(&blobs, &["a:1", "localhost/b:2"]), image(&blobs, &[]), image(&blobs, &["c:latest"])];
    for format in [ArchiveFormat::Docker, ArchiveFormat::Oci] {
        let bytes = archive(&images, &blobs, format);
        assert!(bytes == archive(&images, &blobs, format), "the same every time");
        for bytes in [gzip(&bytes), bytes] {
            let sink = Memory::default();
            let loaded = load(&bytes[..], &sink).expect("load");
            assert_eq!(loaded.len(), 3);
            for (saved, loaded) in images.iter().zip(loaded) {
                assert_eq!((&loaded.names, &loaded.manifest), (&saved.names, &saved.manifest));
                assert!(sink.has(&loaded.config));
                assert!(layers(&loaded).iter().all(|layer| sink.has(&layer.digest)));
            }
        }
    }
}

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = Header::new_ustar();
        header.set_mode(0o644);
        if let Some(target) = content.strip_prefix(b"-> ") {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, std::str::from_utf8(target).expect("text")).expect("append");
            continue;
        }
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, *content).expect("append");
    }
    builder.into_inner().expect("finish")
}

fn config_for(layers: &[&[u8]]) -> Vec<u8> {
    let mut config = ImageConfig { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..ImageConfig::default() };
    config.rootfs.diff_ids = layers.iter().map(Digest::of).collect();
    config.to_json()
}

#[test]
fn archives_of_old_dockers() {
    let (one, two) = (layer("one"), layer("two"));
    let config = config_for(&[&one, &two, &one]);
    let manifest =
        br#"[{"Config":"c.json","RepoTags":["app:1","x/y"],"Layers":["l1/layer.tar","l2/layer.tar","l3/layer.tar"]}]"#;
    let bytes = tar_of(&[
        ("l3/layer.tar", b"-> ../l1/layer.tar"),
        ("manifest.json", manifest),
        ("l1/VERSION", b"1.0"),
        ("l1/json", b"{}"),
        ("l1/layer.tar", &one),
        ("l2/layer.tar", &gzip(&two)),
        ("c.json", &config),
        ("repositories", b"{}"),
    ]);
    let loaded = load(&bytes[..], &Memory::default()).expect("load");
    let names: Vec<_> = loaded[0].names.iter().map(|name| name.familiar()).collect();
    assert_eq!(names, ["app:1", "x/y:latest"]);
    assert_eq!(loaded[0].config, Digest::of(&config));
    let layers = layers(&loaded[0]);
    assert_eq!([&layers[0], &layers[2]].map(|layer| layer.digest), [Digest::of(&one); 2]);
    assert!(layers[1].media_type.ends_with("tar+gzip"));
}

#[test]
fn indexes_in_indexes() {
    let blobs = Memory::default();
    let saved = image(&blobs, &["a:1"]);
    let described = |bytes: Vec<u8>, kind: &str, platform: Option<Platform>| {
        let (digest, size) = blobs.put(bytes);
        Descriptor { platform, ..Descriptor::new(format!("application/vnd.oci.image.{kind}.v1+json"), digest, size) }
    };
    let own = described(saved.manifest.clone(), "manifest", Some(Platform::host()));
    let absent = Descriptor {
        platform: Some(Platform::new("linux", "s390x")),
        ..Descriptor::new(&own.media_type, Digest::of("absent"), 6)
    };
    let inner = described(manifest::ManifestList::new(vec![absent.clone(), own]).to_json(), "index", None);
    let outer = described(manifest::ManifestList::new(vec![inner]).to_json(), "index", None);
    let index = |manifests: Vec<Descriptor>| manifest::ManifestList::new(manifests).to_json();
    let pack = |index: Vec<u8>| {
        let blobs = blobs.members();
        let mut members: Vec<(&str, &[u8])> = vec![("index.json", &index)];
        members.extend(blobs.iter().map(|(name, bytes)| (&name[..], &bytes[..])));
        tar_of(&members)
    };
    let loaded = load(&pack(index(vec![outer]))[..], &Memory::default()).expect("load");
    assert_eq!(loaded[0].manifest, saved.manifest);
    assert!(loaded[0].names.is_empty());
    let error = load(&pack(index(vec![absent]))[..], &Memory::default()).expect_err("absent").to_string();
    assert!(error.contains("lacks the manifest"), "{error}");
}

#[test]
fn artifacts_are_no_images() {
    let blobs = Memory::default();
    let (digest, size) = blobs.put(b"{}".to_vec());
    let config = Descriptor::new("application/vnd.wasm.config.v0+json", digest, size);
    let saved = SavedImage { names: Vec::new(), manifest: Manifest::new(config, Vec::new()).to_json(), index: None };
    let bytes = archive(&[saved], &blobs, ArchiveFormat::Oci);
    let error = load(&bytes[..], &Memory::default()).expect_err("no image").to_string();
    assert!(error.ends_with("no image but an artifact of type `application/vnd.wasm.config.v0+json`"), "{error}");
}

#[test]
fn a_directory_holds_what_the_archive_holds() {
    let blobs = Memory::default();
    let saved = [image(&blobs, &["a:1"])];
    let place = tempfile::tempdir().expect("a temporary directory");
    let directory = place.path().join("new/layout");
    for _ in 0..2 {
        save_directory(&saved, &blobs, &directory).expect("save");
    }
    let mut members = 0;
    let bytes = archive(&saved, &blobs, ArchiveFormat::Oci);
    for member in tar::Archive::new(&bytes[..]).entries().expect("a tar") {
        let mut member = member.expect("a member");
        let path = directory.join(member.path().expect("a name"));
        if member.header().entry_type().is_file() {
            let mut content = Vec::new();
            member.read_to_end(&mut content).expect("read");
            assert!(fs::read(&path).expect("there") == content, "{}", path.display());
            members += 1;
        }
    }
    assert_eq!(members, 6);
    assert_eq!(fs::read_dir(directory.join("blobs/sha256")).expect("there").count(), 4);

    fs::write(place.path().join("file"), "").expect("write");
    let error = save_directory(&saved, &blobs, place.path()).expect_err("not a layout").to_string();
    assert!(error.ends_with("is not empty and no OCI image layout; name a new directory"), "{error}");
    blobs.blobs().clear();
    save_directory(&saved, &blobs, &place.path().join("other")).expect_err("no blobs");
    assert!(!place.path().join("other/index.json").exists());
}

#[test]
fn what_is_wrong_is_said() {
    let blobs = Memory::default();
    let bytes = archive(&[image(&blobs, &["a:1"])], &blobs, ArchiveFormat::Docker);
    let flip = |needle: &[u8], by: u8| {
        let at = bytes.windows(needle.len()).position(|window| window == needle).expect("needle");
        let mut bytes = bytes.clone();
        bytes[at] ^= by;
        bytes
    };
    let one = layer("one");
    let list = |json: &str| json.as_bytes().to_vec();
    for (bytes, message) in [
        (
            tar_of(&[("etc/passwd", b"root")]),
            "`/etc/passwd` does not belong into one; a tar of a root filesystem is imported",
        ),
        (tar_of(&[("data.json", b"{}"), ("etc/passwd", b"root")]), "`/etc/passwd` does not belong"),
        (tar_of(&[("data.json", b"{}")]), "neither manifest.json nor index.json"),
        (tar_of(&[("repositories", b"{}"), ("a/layer.tar", b"x")]), "a Docker older than 1.10 wrote it"),
        (Vec::new(), "it has no files"),
        (b"garbage".repeat(100), "it is not a tar"),
        (bytes[..bytes.len() / 2].to_vec(), "the archive is damaged: "),
        (gzip(&bytes)[..200].to_vec(), "the archive is damaged: "),
        (flip(b"oneoneone", 1), "the archive is damaged: the content of `blobs/sha256/"),
        (flip(b"/bin/true", 1), "the archive is damaged: the content of `blobs/sha256/"),
        (tar_of(&[("manifest.json", b"[{}]")]), "its manifest.json is wrong"),
        (tar_of(&[("manifest.json", &list(r#"[{"Config":"../c","Layers":[]}]"#))]), "no file `../c`"),
        (
            tar_of(&[("manifest.json", &list(r#"[{"Config":"a","Layers":[]}]"#)), ("a", b"-> b"), ("b", b"-> a")]),
            "no file `a`",
        ),
        (
            tar_of(&[
                ("manifest.json", &list(r#"[{"Config":"c","Layers":["l"]}]"#)),
                ("c", &config_for(&[])),
                ("l", &one),
            ]),
            "1 layers, but its configuration 0",
        ),
        (
            tar_of(&[
                ("manifest.json", &list(r#"[{"Config":"c","Layers":["l"]}]"#)),
                ("c", &config_for(&[b"x"])),
                ("l", &one),
            ]),
            "the archive is damaged: its image names the layer sha256:",
        ),
        (
            tar_of(&[
                ("manifest.json", &list(r#"[{"Config":"c","Layers":[],"RepoTags":["A B"]}]"#)),
                ("c", &config_for(&[])),
            ]),
            "invalid image name `A B`",
        ),
        (tar_of(&[("manifest.json", &vec![b' '; 5 << 20])]), "longer than"),
    ] {
        let streamed = load(&bytes[..], &Memory::default());
        for loaded in [streamed, load_file(file_of(&bytes), &Memory::default())] {
            let error = loaded.expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("temporary file");
    file.write_all(bytes).expect("write");
    file.rewind().expect("rewind");
    file
}

/// The same image for two platforms, with a statement about one of them.
fn index(blobs: &Memory, name: &str) -> SavedImage {
    let own = image(blobs, &[name]);
    let attestation = blobs.put(br#"{"predicate":{}}"#.to_vec());
    let config = blobs.put(config_for(&[b"x"]));
    let statement = Manifest::new(
        Descriptor::new("application/vnd.oci.image.config.v1+json", config.0, config.1),
        vec![Descriptor::new("application/vnd.in-toto+json", attestation.0, attestation.1)],
    );
    let foreign_layer = layer("foreign");
    let foreign_config = blobs.put(config_for(&[&foreign_layer]));
    let foreign_layer = blobs.put(foreign_layer);
    let foreign = Manifest::new(
        Descriptor::new("application/vnd.oci.image.config.v1+json", foreign_config.0, foreign_config.1),
        vec![Descriptor::new(manifest::layer_media_type(Compression::None), foreign_layer.0, foreign_layer.1)],
    );
    let manifests = [foreign.to_json(), own.manifest.clone(), statement.to_json()];
    let platforms = [Platform::new("linux", "s390x"), Platform::host(), Platform::new("unknown", "unknown")];
    let described = manifests.iter().zip(platforms).map(|(bytes, platform)| {
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        Descriptor { platform: Some(platform), ..Descriptor::new(media_type, digest, size) }
    });
    let bytes = manifest::ManifestList::new(described.collect()).to_json();
    SavedImage { index: Some(SavedIndex { bytes, within: Vec::new(), manifests: manifests.to_vec() }), ..own }
}

#[test]
fn all_platforms_of_an_image_go_and_come() {
    let blobs = Memory::default();
    let saved = index(&blobs, "multi:1");
    let saved_index = saved.index.as_ref().expect("an index");
    let place = tempfile::tempdir().expect("a temporary directory");
    save_directory(std::slice::from_ref(&saved), &blobs, &place.path().join("layout")).expect("save");
    let bytes = archive(std::slice::from_ref(&saved), &blobs, ArchiveFormat::Oci);
    let sinks = [Memory::default(), Memory::default(), Memory::default()];
    let ways = [
        load(&bytes[..], &sinks[0]),
        load_file(file_of(&bytes), &sinks[1]),
        load_directory(&place.path().join("layout"), &sinks[2]),
    ];
    for (loaded, sink) in ways.into_iter().zip(&sinks) {
        let [loaded] = &loaded.expect("load")[..] else { panic!("one name") };
        assert_eq!((&loaded.names, &loaded.manifest), (&saved.names, &saved.manifest));
        let index = loaded.index.as_ref().expect("an index");
        assert_eq!(index.digest, Digest::of(&saved_index.bytes));
        assert_eq!(index.others, [saved_index.manifests[0].clone()]);
        let statement = Manifest::parse(&saved_index.manifests[2]).expect("a manifest");
        assert!(sink.has(&index.digest) && sink.has(&statement.layers[0].digest));
    }
    // Docker's archives know one platform.
    let bytes = archive(&[saved], &blobs, ArchiveFormat::Docker);
    let loaded = load(&bytes[..], &Memory::default()).expect("load");
    assert!(loaded.len() == 1 && loaded[0].index.is_none());
}

#[test]
fn a_layout_keeps_its_other_images() {
    let blobs = Memory::default();
    let place = tempfile::tempdir().expect("a temporary directory");
    for (name, expected) in [("a:1", &["a:1"][..]), ("b:1", &["a:1", "b:1"]), ("a:1", &["b:1", "a:1"])] {
        save_directory(&[image(&blobs, &[name])], &blobs, place.path()).expect("save");
        let loaded = load_directory(place.path(), &Memory::default()).expect("load");
        let names: Vec<_> = loaded.iter().flat_map(|image| &image.names).map(|name| name.familiar()).collect();
        assert_eq!(names, expected);
    }
    let bare = place.path().join("bare");
    fs::create_dir(&bare).expect("create");
    let error = load_directory(&bare, &Memory::default()).expect_err("no layout").to_string();
    assert!(error.contains("no OCI image layout"), "{error}");
}

#[test]
fn what_is_no_archive_is_not_read_to_its_end() {
    struct Endless(std::io::Cursor<Vec<u8>>);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => panic!("it was read on"),
                read => Ok(read),
            }
        }
    }
    let mut bytes = tar_of(&[("bin/sh", b"x")]);
    bytes.truncate(1024);
    assert!(load(Endless(std::io::Cursor::new(bytes)), &Memory::default()).is_err());
}

#[test]
fn whole_references_are_names() {
    let blobs = Memory::default();
    let saved = image(&blobs, &[]);
    let key = "org.opencontainers.image.ref.name";
    for (reference, expected) in
        [("docker.io/library/x:1", Some("x:1")), ("localhost/app", Some("localhost/app:latest")), ("1", None)]
    {
        let digest = Digest::of(&saved.manifest);
        blobs.put(saved.manifest.clone());
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let mut descriptor = Descriptor::new(media_type, digest, saved.manifest.len() as u64);
        descriptor.annotations.insert(key.to_owned(), reference.to_owned());
        let index = manifest::ManifestList::new(vec![descriptor]).to_json();
        let blobs = blobs.members();
        let mut members: Vec<(&str, &[u8])> = vec![("index.json", &index)];
        members.extend(blobs.iter().map(|(name, bytes)| (&name[..], &bytes[..])));
        let loaded = load(&tar_of(&members)[..], &Memory::default()).expect("load");
        let names: Vec<_> = loaded[0].names.iter().map(|name| name.familiar()).collect();
        assert_eq!(names.first().map(String::as_str), expected, "{reference}");
    }
}

#[test]
fn blobs_whose_names_have_an_ending() {
    let one = layer("one");
    let (config, packed) = (config_for(&[&one]), gzip(&one));
    let [config_name, layer_name] =
        [&config, &packed].map(|bytes: &Vec<u8>| format!("blobs/sha256/{}", Digest::of(bytes).hex()));
    let layer_name = layer_name + ".tar.gz";
    let manifest = format!(r#"[{{"Config":"{config_name}","RepoTags":["a:1"],"Layers":["{layer_name}"]}}]"#);
    let bytes = tar_of(&[(&config_name, &config), (&layer_name, &packed), ("manifest.json", manifest.as_bytes())]);
    assert_eq!(load(&bytes[..], &Memory::default()).expect("load").len(), 1);
}

#[test]
fn damaged_blobs_are_not_saved() {
    let blobs = Memory::default();
    let saved = [image(&blobs, &["a:1"])];
    let layer = Manifest::parse(&saved[0].manifest).expect("manifest").layers[0].digest;
    let whole = blobs.get(&layer).expect("layer");
    for damaged in [whole[..100].to_vec(), [b"X", &whole[1..]].concat()] {
        blobs.blobs().insert(layer, Arc::new(damaged));
        let error = save(&saved, &blobs, ArchiveFormat::Oci, &mut Vec::new()).expect_err("damaged");
        assert!(matches!(error, Error::DamagedBlob { digest, .. } if digest == layer), "{error}");
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn have(tool: &str) -> bool {
    if Command::new(tool).arg("--version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none(), "this test needs {tool}");
    eprintln!("skipped: needs {tool}");
    false
}

fn skopeo(arguments: &[&str], directory: &Path) -> String {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("skopeo");
    assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn skopeo_reads_and_writes_the_same() {
    if !have("skopeo") {
        return;
    }
    let directory = tempfile::tempdir().expect("directory");
    let blobs = Memory::default();
    let saved = image(&blobs, &["app:1"]);
    let config = Manifest::parse(&saved.manifest).expect("own manifest").config.digest;
    fs::write(directory.path().join("kiln.tar"), archive(std::slice::from_ref(&saved), &blobs, ArchiveFormat::Docker))
        .expect("write");

    let inspected = skopeo(&["inspect", "--raw", "oci-archive:kiln.tar:1"], directory.path());
    assert_eq!(inspected.as_bytes(), saved.manifest);
    for source in ["docker-archive:kiln.tar:app:1", "oci-archive:kiln.tar:1"] {
        for (target, file) in
            [("docker-archive:docker.tar:app:2", "docker.tar"), ("oci-archive:oci.tar:localhost/app:2", "oci.tar")]
        {
            drop(fs::remove_file(directory.path().join(file)));
            skopeo(&["copy", source, target], directory.path());
            let sink = Memory::default();
            let loaded = load(File::open(directory.path().join(file)).expect("open"), &sink).expect(file);
            assert_eq!(loaded[0].names[0].tag.as_deref(), Some("2"), "{source} {target}");
            let diff_ids = |bytes: &[u8]| ImageConfig::parse(bytes).expect("config").rootfs.diff_ids;
            assert_eq!(
                diff_ids(&sink.get(&loaded[0].config).expect("config")),
                diff_ids(&blobs.get(&config).expect("config")),
                "{source} {target}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Names may get lost with a document that no digest guards, but images are what they were, or there are none.
    #[test]
    fn damage_is_an_error_or_changes_no_image(at in any::<prop::sample::Index>(), bit in 0..8u8, oci in any::<bool>()) {
        let blobs = Memory::default();
        let saved = [index(&blobs, "multi:1"), image(&blobs, &["a:1", "b:2"])];
        let format = if oci { ArchiveFormat::Oci } else { ArchiveFormat::Docker };
        let mut bytes = archive(&saved, &blobs, format);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        for loaded in [load(&bytes[..], &Memory::default()), load_file(file_of(&bytes), &Memory::default())] {
            for image in loaded.unwrap_or_default() {
                let known = |bytes: &Vec<u8>| {
                    saved.iter().any(|saved| saved.manifest == *bytes)
                        || saved[0].index.as_ref().is_some_and(|index| index.manifests.contains(bytes))
                };
                prop_assert!(known(&image.manifest));
                prop_assert!(image.index.iter().flat_map(|index| &index.others).all(known));
            }
        }
    }

    /// The documents stand last, and the first of them is enough.
    #[test]
    fn what_is_cut_off_is_an_error_or_whole(at in any::<prop::sample::Index>(), packed in any::<bool>()) {
        let blobs = Memory::default();
        let saved = image(&blobs, &["a:1"]);
        let whole = archive(std::slice::from_ref(&saved), &blobs, ArchiveFormat::Docker);
        let bytes = if packed { gzip(&whole) } else { whole };
        let bytes = &bytes[..at.index(bytes.len())];
        let ways = [load(bytes, &Memory::default()), load_file(file_of(bytes), &Memory::default())];
        for loaded in ways.into_iter().flatten() {
            prop_assert!(!packed && loaded.len() == 1);
            prop_assert_eq!((&loaded[0].manifest, &loaded[0].names), (&saved.manifest, &saved.names));
        }
    }
}
