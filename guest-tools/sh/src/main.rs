//! `sh`.

use kiln_guest::OsStringExt;

fn main() {
    kiln_guest::start();
    let args = std::env::args_os().map(OsStringExt::into_vec).collect();
    let env = std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect();
    std::process::exit(i32::from(kiln_sh::main(args, env)));
}
