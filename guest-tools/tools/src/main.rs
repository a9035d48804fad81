//! The utilities as one program: argv[0] chooses.

use std::io::BufWriter;
use std::process::exit;

use kiln_guest::{OsStringExt, standard_file};
use kiln_tools::tools::*;
use kiln_tools::{Context, Tool, context, expression, printf};

macro_rules! tool {
    ($name:literal, $function:path) => {
        ($name, $function as Tool)
    };
}

/// In byte order. `build` reads the names out of this table.
#[rustfmt::skip]
static TOOLS: &[(&str, Tool)] = &[
    tool!("[", expression::test),
    tool!("basename", names::basename),
    tool!("cat", cat::cat),
    tool!("chmod", chmod::chmod),
    tool!("cp", cp::cp),
    tool!("dirname", names::dirname),
    tool!("echo", echo::echo),
    tool!("false", small::false_),
    tool!("ln", ln::ln),
    tool!("mkdir", mkdir::mkdir),
    tool!("mv", mv::mv),
    tool!("printf", printf::printf),
    tool!("pwd", small::pwd),
    tool!("rm", rm::rm),
    tool!("rmdir", rm::rmdir),
    tool!("sleep", small::sleep),
    tool!("test", expression::test),
    tool!("touch", touch::touch),
    tool!("true", small::true_),
    tool!("yes", small::yes),
];

fn main() {
    let mut args: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    let env: Vec<Vec<u8>> = std::env::vars_os()
        .map(|(name, value)| [&name.into_vec()[..], b"=", &value.into_vec()].concat())
        .collect();
    let base = |arg: &[u8]| String::from_utf8_lossy(names::base_of(arg)).into_owned();
    let mut name = args.first().map(|arg| base(arg)).unwrap_or_default();
    if name == "tools" && args.len() > 1 {
        args.remove(0);
        name = base(&args[0]);
    }
    let (mut stdin, mut stderr) = (standard_file(0), standard_file(2));
    let mut stdout = BufWriter::with_capacity(32 * 1024, standard_file(1));
    let cwd = kiln_guest::working_directory();
    let arguments = args.get(1..).unwrap_or_default();
    let mut context = Context {
        name: &name,
        args: arguments,
        env: &env,
        cwd: &cwd,
        stdin: &mut stdin,
        stdout: &mut stdout,
        stderr: &mut stderr,
    };
    let Ok(index) = TOOLS.binary_search_by(|(known, _)| (*known).cmp(&name)) else {
        context.complain("no such tool");
        exit(127);
    };
    exit(i32::from(context::run(TOOLS[index].1, &mut context)));
}
