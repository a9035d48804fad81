//! Any file of the store may be cut off, overwritten or replaced: no panic, and what is made again works again.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

use kiln_image::{Change, Content, ImageConfig, Manifest, Meta, Node};
use kiln_store::{CheckOptions, Error, RemoveOptions, Stat, Store};
use kiln_types::Digest;

const NAME: &str = "team/app:1";

fn build(store: &Store) -> Result<Digest, Error> {
    let meta = Meta { mode: 0o644, ..Meta::default() };
    let file = Change { path: b"file".to_vec(), meta, node: Node::File(Content::bytes(b"content".to_vec())) };
    let layer = store.add_layer(vec![file])?;
    let mut config = ImageConfig::default();
    config.rootfs.diff_ids.push(layer.diff_id);
    let parent = store.add_image(&config, None, true)?;
    config.author = "somebody".to_owned();
    let id = store.add_image(&config, Some(&parent), false)?;
    store.put_record(&Digest::of("key"), &[layer.diff_id], &id)?;
    store.context_hashes().insert(&Stat { device: 1, inode: 1, size: 1, mtime: (1, 1), ctime: (1, 1) }, id);
    store.context_hashes().save()?;
    store.tag(&id, &NAME.parse()?)?;
    // Received images have sources.
    let (_, manifest) = store.manifest(&id)?;
    store.add_received(&manifest)
}

/// Everything that reads; errors are fine.
fn use_everything(store: &Store) {
    let _ = store.images();
    let _ = store.usage();
    let _ = store.record::<Digest>(&Digest::of("key"));
    let _ = store.context_hashes().get(&Stat { device: 1, inode: 1, size: 1, mtime: (1, 1), ctime: (1, 1) });
    if let Ok(image) = store.resolve(NAME) {
        let _ = store.manifest(&image.id);
        let _ = store.size(&image.id);
        for diff_id in &image.config.rootfs.diff_ids {
            let _ = store.layer_content(diff_id);
            if let Ok(layer) = store.layer(diff_id) {
                let _ = store.directory(&layer);
            }
        }
    }
}

fn repair(store: &Store, shown: &str) {
    let found = store.check(CheckOptions::default()).unwrap_or_else(|error| panic!("{shown}: {error}"));
    let repaired = store.check(CheckOptions { repair: true, quick: false });
    let repaired = repaired.unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert_eq!((repaired.left, repaired.busy), (0, false), "{shown}: {repaired:?}");
    assert_eq!(found.damages.len(), repaired.damages.len(), "{shown}");
    assert_eq!(store.check(CheckOptions::default()).unwrap().damages, [], "{shown}");
    for image in store.images().unwrap() {
        let (_, bytes) = store.manifest(&image.id).unwrap_or_else(|error| panic!("{shown}: {error}"));
        let config = store.image(&image.id).unwrap().unwrap().config;
        for diff_id in &config.rootfs.diff_ids {
            store.layer(diff_id).unwrap_or_else(|error| panic!("{shown}: {error}"));
        }
        for layer in Manifest::parse(&bytes).unwrap().layers {
            store.verify_blob(&layer.digest).unwrap_or_else(|error| panic!("{shown}: {error}"));
        }
        for (name, _) in image.names {
            assert_eq!(store.resolve(&name.familiar()).unwrap().id, image.id);
        }
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn damage(path: &Path, kind: usize) {
    let bytes = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    let damaged = match kind {
        0 => return,
        1 => Vec::new(),
        2 => bytes[..bytes.len() / 2].to_vec(),
        3 => vec![0; bytes.len()],
        4 => b"{\"garbage\": [1, 2".repeat(100),
        5 => bytes.iter().map(|byte| byte ^ 0x55).collect(),
        _ => return fs::create_dir_all(path.join("a directory")).unwrap(),
    };
    fs::write(path, damaged).unwrap();
}

#[test]
fn every_file_damaged_in_every_way() {
    // Hundreds of stores: in memory where that is possible, so that none of them waits for a disk.
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let count = {
        let store = Store::open(&directory.path().join("count")).unwrap();
        build(&store).unwrap();
        use_everything(&store);
        let mut found = Vec::new();
        files(store.root(), &mut found);
        found.len()
    };
    assert!(count > 10);
    for at in 0..count {
        for kind in 0..7 {
            let root = directory.path().join(format!("{at}-{kind}"));
            let id = {
                let store = Store::open(&root).unwrap();
                let id = build(&store).unwrap();
                use_everything(&store);
                id
            };
            let mut found = Vec::new();
            files(&root, &mut found);
            found.sort();
            let Some(path) = found.get(at) else { continue };
            damage(path, kind);
            let shown = format!("{} {kind}", path.strip_prefix(&root).unwrap().display());

            let store = match Store::open(&root) {
                Ok(store) => store,
                // Then it says what is in the way, and it is not ours to remove.
                Err(error) => {
                    let top = path.parent() == Some(&root) || path.parent() == Some(&root.join("locks"));
                    assert!(top, "{shown}: {error}");
                    continue;
                }
            };
            // Whatever it was, a repair leaves only images that work, and nothing that is wrong.
            // Nothing can be done about a lock that is a folder.
            if at % 2 == 0 && !shown.starts_with("locks") {
                repair(&store, &shown);
            }
            use_everything(&store);
            let again = build(&store).or_else(|_| build(&store));
            if kind == 6 {
                // A directory where a file belongs is nobody's accident; an error will do.
                continue;
            }
            assert_eq!(again.unwrap_or_else(|error| panic!("{shown}: {error}")), id);
            let image = store.resolve(NAME).unwrap_or_else(|error| panic!("{shown}: {error}"));
            drop(store);
            let store = Store::open(&root).unwrap();
            for diff_id in &image.config.rootfs.diff_ids {
                let layer = store.layer(diff_id).unwrap_or_else(|error| panic!("{shown}: {error}"));
                assert_eq!(layer.index.files_size(), 7);
            }
            store.remove_image(NAME, RemoveOptions::default()).unwrap_or_else(|error| panic!("{shown}: {error}"));
            store.collect().unwrap_or_else(|error| panic!("{shown}: {error}"));
            drop(store);
            fs::remove_dir_all(root).unwrap();
        }
    }
}
