//! The merged view of a stack of layers, as WASI steps and COPY --from see it.

use criterion::{BenchmarkId, Criterion, Throughput};
use kiln_image::{Node, View};

use crate::samples::{change, file, layer};

/// A base of 1,000 files, and layers above that each add one to one of its directories.
fn view(layers: usize) -> View {
    let mut base = Vec::new();
    for directory in 0..10 {
        base.push(change(&format!("d{directory}"), Node::Directory { opaque: false }));
        base.extend((0..100).map(|number| file(&format!("d{directory}/f{number:02}"), "x")));
    }
    let above = (1..layers).map(|number| layer(vec![file(&format!("d0/new{number:03}"), "x")]));
    View::new(std::iter::once(layer(base)).chain(above).collect())
}

const DEPTHS: [usize; 3] = [1, 20, 127];

/// The worst case: what lies in the lowest layer, and what is in none.
pub(crate) fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("look up 1,000 paths");
    group.throughput(Throughput::Elements(1_000));
    let paths =
        |directory| move |number: usize| format!("{directory}{}/f{:02}", number / 100, number % 100).into_bytes();
    let there: Vec<_> = (0..1_000).map(paths("d")).collect();
    let absent: Vec<_> = (0..1_000).map(paths("no")).collect();
    for layers in DEPTHS {
        let view = view(layers);
        group.bench_function(BenchmarkId::new("in the lowest of layers", layers), |b| {
            b.iter(|| assert!(there.iter().all(|path| view.lookup(path).unwrap().is_some())));
        });
        group.bench_function(BenchmarkId::new("in none of layers", layers), |b| {
            b.iter(|| assert!(absent.iter().all(|path| view.lookup(path).unwrap().is_none())));
        });
    }
}

pub(crate) fn walk(c: &mut Criterion) {
    let mut group = c.benchmark_group("walk 1,000 files");
    for layers in DEPTHS {
        let view = view(layers);
        let count = 1_010 + layers - 1;
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("layers", layers), |b| {
            b.iter(|| assert!(view.walk(b"").count().abs_diff(count) <= 1));
        });
    }
}
