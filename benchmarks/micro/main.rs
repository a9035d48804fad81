//! How long the parts of kiln take, one by one: `cargo bench -p kiln-benchmarks [-- FILTER]`.
//!
//! Inputs are made in memory or below the folder for temporary files, and lie in the page cache when time is taken. Whole
//! builds, beside other programs, are `../scenarios`.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to measure")]

mod compression;
mod hashing;
mod layers;
mod samples;
mod store;
mod text;
mod views;
mod wasi;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

// The whole set in two to three minutes.
criterion_group! {
    name = all;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = text::parse, text::expand, text::ignore, text::template, hashing::hash, hashing::key, layers::write, layers::index, layers::unpack, compression::compress, compression::decompress, views::lookup, views::walk, wasi::filesystem, store::listing, store::records
}
criterion_main!(all);
