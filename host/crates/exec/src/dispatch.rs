//! Tells WebAssembly programs from native ones by their first bytes.
