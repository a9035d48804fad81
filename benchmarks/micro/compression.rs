//! gzip and zstd, both ways.

use std::io::{self, Read as _};

use criterion::{Criterion, Throughput};
use kiln_image::Compression;
use kiln_image::compress::{gzip, zstd};

use crate::samples::noise;

const SIZE: usize = 64 << 20;

pub(crate) fn compress(c: &mut Criterion) {
    let bytes = noise(SIZE);
    let mut group = c.benchmark_group("compress 64 MiB");
    group.sample_size(10).throughput(Throughput::Bytes(SIZE as u64));
    group.bench_function("gzip", |b| b.iter(|| gzip(&bytes[..], io::sink()).unwrap()));
    group.bench_function("zstd", |b| b.iter(|| zstd(&bytes[..], io::sink()).unwrap()));
}

pub(crate) fn decompress(c: &mut Criterion) {
    let bytes = noise(SIZE);
    let (mut gzipped, mut zstandard) = (Vec::new(), Vec::new());
    gzip(&bytes[..], &mut gzipped).unwrap();
    zstd(&bytes[..], &mut zstandard).unwrap();
    let mut group = c.benchmark_group("decompress 64 MiB");
    group.sample_size(10).throughput(Throughput::Bytes(SIZE as u64));
    for (name, compressed) in [("gzip", &gzipped), ("zstd", &zstandard)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut decoder = Compression::detect(compressed).decoder(&compressed[..]).unwrap();
                let mut buffer = vec![0; 256 << 10];
                let mut left = SIZE;
                while left > 0 {
                    left -= decoder.read(&mut buffer).unwrap();
                }
            });
        });
    }
}
