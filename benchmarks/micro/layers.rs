//! Layers: a change set becomes a tar, a tar an index, a layer a directory.

use std::fs;
use std::io::{Cursor, Read as _};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use kiln_image::{Change, Content, Index, Layer, write_layer};

use crate::samples;

const SMALL_FILES: usize = 10_000;
const BIG: usize = 256 << 20;

/// From files of the host into a temporary file, which is what COPY does after it has looked at the context.
pub(crate) fn write(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let mut group = c.benchmark_group("write a layer");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    let mut measure = |name, throughput, changes: Vec<Change>| {
        group.throughput(throughput);
        group.bench_function(name, |b| {
            b.iter_batched(
                || (changes.clone(), tempfile::tempfile_in(&directory).unwrap()),
                |(changes, tar)| {
                    let written = write_layer(changes, &tar).unwrap();
                    // Its blocks are given back outside the time.
                    (written, tar)
                },
                BatchSize::PerIteration,
            );
        });
    };
    let files = samples::small_files(directory.path(), SMALL_FILES);
    measure("10,000 small files", Throughput::Elements(SMALL_FILES as u64), files);
    let big = samples::big_file(directory.path(), BIG);
    measure("one file of 256 MiB", Throughput::Bytes(BIG as u64), big);
}

/// 10,000 small files in memory: no file of the host is touched.
fn layer() -> Arc<Layer> {
    let directory = tempfile::tempdir().unwrap();
    samples::layer(samples::small_files(directory.path(), SMALL_FILES))
}

pub(crate) fn index(c: &mut Criterion) {
    let layer = layer();
    let mut tar = Vec::new();
    Content::range(layer.tar.clone(), 0, layer.size).open().unwrap().read_to_end(&mut tar).unwrap();
    let bytes = layer.index.to_bytes().unwrap();
    let paths: Vec<_> = layer.index.iter().map(|entry| entry.unwrap().path.to_vec()).collect();
    let mut group = c.benchmark_group("index of 10,000 files");
    group.sample_size(20);
    group.bench_function("from_tar", |b| b.iter(|| Index::from_tar(&tar[..]).unwrap()));
    group.bench_function("to_bytes", |b| b.iter(|| layer.index.to_bytes().unwrap()));
    group.bench_function("read", |b| b.iter(|| Index::read(Cursor::new(&bytes)).unwrap()));
    group.bench_function("read_header", |b| b.iter(|| Index::read_header(Cursor::new(&bytes)).unwrap()));
    group.bench_function("check_image", |b| b.iter(|| layer.index.check_image(Cursor::new(&bytes)).unwrap()));
    group.bench_function("look up all", |b| {
        b.iter(|| assert!(paths.iter().all(|path| layer.index.get(path).unwrap().is_some())));
    });
    group.bench_function("walk", |b| b.iter(|| assert_eq!(layer.index.iter().count(), paths.len())));
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unpack(_: &mut Criterion) {}

#[cfg(target_os = "linux")]
pub(crate) fn unpack(c: &mut Criterion) {
    let layer = layer();
    let directory = tempfile::tempdir().unwrap();
    // Nothing is removed before the end: ext4 is slow to take the inodes of files that were just removed.
    let mut number = 0;
    let mut group = c.benchmark_group("unpack");
    // Each iteration makes 10,000 files: no more of them than needed.
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(SMALL_FILES as u64));
    group.bench_function("10,000 small files", |b| {
        b.iter_batched(
            || {
                number += 1;
                let target = directory.path().join(number.to_string());
                fs::create_dir(&target).unwrap();
                target
            },
            |target| {
                let options = kiln_image::UnpackOptions { userxattr: false, single_id: true };
                kiln_image::unpack(&layer, &target, options).unwrap();
            },
            BatchSize::PerIteration,
        );
    });
}
