//! How long layers take: writing, indexing, compressing and unpacking, of many small files and of a big one.
//!
//! `cargo bench -p kiln-image`; the files are made below the folder for temporary files first. Each time is the best of
//! [`RUNS`], with everything in the page cache.
#![expect(clippy::print_stdout, reason = "it tells what it measured")]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln_image::{Change, Content, Index, Layer, Meta, Node, Source, Written, write_layer};

const RUNS: usize = 3;
const SMALL_FILES: usize = 50_000;
const DIRECTORIES: usize = 1_000;
const BIG: usize = 1 << 30;

struct HostFile(PathBuf);

impl Source for HostFile {
    fn open(&self) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(Box::new(File::open(&self.0)?))
    }
}

fn main() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    measure("50,000 small files", small_files, &directory.path().join("small"))?;
    measure("one file of 1 GiB", big_file, &directory.path().join("big"))
}

fn measure(subject: &str, make: fn(&Path) -> io::Result<Vec<Change>>, directory: &Path) -> io::Result<()> {
    fs::create_dir(directory)?;
    let changes = make(directory)?;
    let (written, tar) = best(subject, "write_layer", |_| {
        let tar = tempfile::tempfile_in(directory)?;
        let written = write_layer(changes.clone(), &tar).map_err(io::Error::other)?;
        Ok((written, tar))
    })?;
    let Written { diff_id, size, index } = written;
    let layer = Layer { diff_id, size, tar: Arc::new(tar), index };
    let tar = || Content::range(layer.tar.clone(), 0, size).open();
    best(subject, "Index::from_tar", |_| Index::from_tar(tar()?).map_err(io::Error::other))?;
    best(subject, "Index::to_bytes", |_| Ok(layer.index.to_bytes()))?;
    #[cfg(target_os = "linux")]
    best(subject, "unpack", |run| {
        // None is removed before the end: ext4 is slow to take the inodes of files that were just removed.
        let target = directory.join(format!("unpacked-{run}"));
        fs::create_dir(&target)?;
        let options = kiln_image::UnpackOptions { userxattr: false, single_id: false };
        kiln_image::unpack(&layer, &target, options).map_err(io::Error::other)
    })?;
    Ok(())
}

fn best<T>(subject: &str, what: &str, mut run: impl FnMut(usize) -> io::Result<T>) -> io::Result<T> {
    let (mut shortest, mut last) = (Duration::MAX, None);
    for number in 0..RUNS {
        let start = Instant::now();
        let value = run(number)?;
        shortest = shortest.min(start.elapsed());
        last = Some(value);
    }
    println!("{subject:<20} {what:<16} {:>8.1} ms", shortest.as_secs_f64() * 1000.0);
    Ok(last.expect("it ran at least once"))
}

/// Of 0 to 8 KiB each.
fn small_files(root: &Path) -> io::Result<Vec<Change>> {
    let mut changes = Vec::new();
    let text = noise(8 << 10);
    for directory in 0..DIRECTORIES {
        let path = format!("d{directory:04}");
        fs::create_dir(root.join(&path))?;
        let meta = Meta { mode: 0o755, ..Meta::default() };
        changes.push(Change { path: path.clone().into(), meta, node: Node::Directory { opaque: false } });
        for file in 0..SMALL_FILES / DIRECTORIES {
            let path = format!("{path}/f{file:03}");
            let size = (directory * 37 + file * 163) % text.len();
            fs::write(root.join(&path), &text[..size])?;
            changes.push(from_host(root, &path, size as u64));
        }
    }
    Ok(changes)
}

fn big_file(root: &Path) -> io::Result<Vec<Change>> {
    fs::write(root.join("big"), noise(BIG))?;
    Ok(vec![from_host(root, "big", BIG as u64)])
}

fn from_host(root: &Path, path: &str, size: u64) -> Change {
    let node = Node::File(Content::new(size, HostFile(root.join(path))));
    Change { path: path.into(), meta: Meta { mode: 0o644, ..Meta::default() }, node }
}

/// Bytes that compress about as well as programs do.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        [(state >> 60) as u8, (state >> 56) as u8 & 0x3f, b'a', 0]
    });
    words.flatten().take(length).collect()
}
