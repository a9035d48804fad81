//! SHA-256, alone and as kiln uses it.

use std::hint::black_box;
use std::io::Cursor;

use criterion::{Criterion, Throughput};
use kiln_types::Hasher;
use sha2::{Digest as _, Sha256};

use crate::samples::noise;

/// kiln's hasher beside the bare one, and a copy with a digest, which is to cost little more than the digest.
pub(crate) fn hash(c: &mut Criterion) {
    let bytes = noise(64 << 20);
    let mut group = c.benchmark_group("hash 64 MiB");
    group.sample_size(20).throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("sha2", |b| b.iter(|| Sha256::digest(black_box(&bytes))));
    group.bench_function("Digest::of", |b| b.iter(|| kiln_types::Digest::of(black_box(&bytes))));
    group.bench_function("Hasher, blocks of 256 KiB", |b| {
        b.iter(|| {
            let mut hasher = Hasher::new();
            bytes.chunks(256 << 10).for_each(|block| hasher.update(block));
            hasher.finish()
        });
    });
    group.bench_function("copy_digesting", |b| {
        b.iter(|| kiln_image::copy_digesting(&mut Cursor::new(&bytes), &mut std::io::sink()).unwrap());
    });
}

/// What the key of a RUN step with twenty variables hashes.
pub(crate) fn key(c: &mut Criterion) {
    let names = ["kind", "parent", "platform", "argv", "cwd", "user", "shell", "network", "executor"];
    let mut fields: Vec<_> =
        names.iter().map(|name| ((*name).to_owned(), "a value of usual length".repeat(2))).collect();
    fields.extend((0..20).map(|number| (format!("env {number}"), format!("VARIABLE_{number}=/some/path/{number}"))));
    c.bench_function("key/29 components", |b| {
        b.iter(|| {
            let mut hasher = Hasher::new();
            for (name, value) in black_box(&fields) {
                hasher.field(name);
                hasher.field(value);
            }
            hasher.finish()
        });
    });
}
