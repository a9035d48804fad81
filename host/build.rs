//! Links the unwinder into the program. The shared one, libgcc_s, asks the processor for its features whenever it is
//! loaded, and in a virtual machine each such question is answered by the hypervisor: a sixth of the time in which kiln
//! starts.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
