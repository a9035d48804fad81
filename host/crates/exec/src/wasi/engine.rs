//! How WebAssembly is compiled and run: the same results on every host.

use wasmtime::{Config, Engine, OptLevel};

use super::limits;

/// An engine whose programs compute the same on every processor and can be stopped from outside. With `fuel` it counts
/// instructions, which makes other code: an eighth slower.
pub(crate) fn new(fuel: bool) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    // Determinism: what the specification leaves to the processor is fixed. Threads are not compiled in.
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    // Exceptions live in the collected heap.
    config.wasm_gc(true);
    config.wasm_function_references(true);
    config.wasm_exceptions(true);
    // A process that is to end reaches its callback at the next loop or call.
    config.epoch_interruption(true);
    config.consume_fuel(fuel);
    config.max_wasm_stack(limits::STACK);
    // Unused, but checked against the other.
    config.async_stack_size(limits::STACK);
    // Instances are made on demand. Pooled ones take a quarter less of the 0.14 ms of processor time that a child costs,
    // but make the first step 15 ms slower and each later one 10 %, and need a terabyte of addresses.
    config.memory_init_cow(true);
    config.cranelift_opt_level(OptLevel::Speed);
    // Compiled files get a third smaller; backtraces name functions, not offsets, and nobody unwinds natively.
    config.generate_address_map(false);
    if !cfg!(windows) {
        config.native_unwind_info(false);
    }
    Engine::new(&config)
}
