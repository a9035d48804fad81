//! Runs WASI preview 1 programs under wasmtime, over kiln's own layered filesystem.
