//! The utilities as one program: argv[0] chooses.

use std::io::{BufWriter, Write};
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
    tool!("awk", awk::awk),
    tool!("base64", base64::base64),
    tool!("basename", names::basename),
    tool!("cat", cat::cat),
    tool!("chgrp", ownership::chgrp),
    tool!("chmod", chmod::chmod),
    tool!("chown", ownership::chown),
    tool!("cksum", checksum::cksum),
    tool!("cmp", compare::cmp),
    tool!("column", column::column),
    tool!("comm", compare::comm),
    tool!("cp", cp::cp),
    tool!("curl", small::no_network),
    tool!("cut", cut::cut),
    tool!("date", system::date),
    tool!("dd", blocks::dd),
    tool!("diff", diff::diff),
    tool!("dirname", names::dirname),
    tool!("du", ls::du),
    tool!("echo", echo::echo),
    tool!("egrep", grep::grep),
    tool!("env", system::env),
    tool!("envsubst", envsubst::envsubst),
    tool!("expand", tabs::expand),
    tool!("expr", expr::expr),
    tool!("false", small::false_),
    tool!("fgrep", grep::grep),
    tool!("find", find::find),
    tool!("fold", lines::fold),
    tool!("grep", grep::grep),
    tool!("gunzip", gzip::gzip),
    tool!("gzip", gzip::gzip),
    tool!("head", head::head),
    tool!("hostname", system::hostname),
    tool!("id", system::id),
    tool!("install", ownership::install),
    tool!("join", compare::join),
    tool!("ln", ln::ln),
    tool!("ls", ls::ls),
    tool!("md5sum", checksum::md5sum),
    tool!("mkdir", mkdir::mkdir),
    tool!("mktemp", paths::mktemp),
    tool!("mv", mv::mv),
    tool!("nl", lines::nl),
    tool!("nproc", system::nproc),
    tool!("od", od::od),
    tool!("paste", lines::paste),
    tool!("patch", patch::patch),
    tool!("printenv", system::printenv),
    tool!("printf", printf::printf),
    tool!("pwd", small::pwd),
    tool!("readlink", paths::readlink),
    tool!("realpath", paths::realpath),
    tool!("rev", lines::rev),
    tool!("rm", rm::rm),
    tool!("rmdir", rm::rmdir),
    tool!("sed", sed::sed),
    tool!("seq", seq::seq),
    tool!("sha1sum", checksum::sha1sum),
    tool!("sha256sum", checksum::sha256sum),
    tool!("sha512sum", checksum::sha512sum),
    tool!("sleep", small::sleep),
    tool!("sort", sort::sort),
    tool!("split", split::split),
    tool!("stat", ls::stat),
    tool!("sync", small::true_),
    tool!("tac", lines::tac),
    tool!("tail", head::tail),
    tool!("tar", tar::tar),
    tool!("tee", lines::tee),
    tool!("test", expression::test),
    tool!("touch", touch::touch),
    tool!("tr", tr::tr),
    tool!("true", small::true_),
    tool!("truncate", blocks::truncate),
    tool!("uname", system::uname),
    tool!("unexpand", tabs::unexpand),
    tool!("uniq", lines::uniq),
    tool!("unzip", unzip::unzip),
    tool!("wc", wc::wc),
    tool!("wget", small::no_network),
    tool!("which", paths::which),
    tool!("whoami", system::whoami),
    tool!("xargs", xargs::xargs),
    tool!("xxd", xxd::xxd),
    tool!("yes", small::yes),
    tool!("zcat", gzip::gzip),
];

/// For these even `--version` is an operand.
const TAKES_EVERYTHING: [&str; 8] = ["[", "echo", "expr", "false", "printf", "test", "true", "yes"];

fn main() {
    kiln_guest::start();
    let mut args: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
    let env: Vec<Vec<u8>> =
        std::env::vars_os().map(|(name, value)| [&name.into_vec()[..], b"=", &value.into_vec()].concat()).collect();
    let base = |arg: &[u8]| String::from_utf8_lossy(names::base_of(arg)).into_owned();
    let mut name = args.first().map(|arg| base(arg)).unwrap_or_default();
    if name == "tools" && args.get(1).is_some_and(|arg| arg == b"--list") {
        let names: Vec<&str> = TOOLS.iter().map(|(name, _)| *name).collect();
        let printed = writeln!(standard_file(1), "{}", names.join("\n"));
        exit(i32::from(printed.is_err()));
    }
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
    let says_version = arguments == [b"--version"] && !TAKES_EVERYTHING.contains(&name.as_str());
    if says_version {
        // If it cannot be written there is nobody to tell.
        let _ = writeln!(context.stdout, "{name} (kiln guest tools) {}", env!("CARGO_PKG_VERSION"));
        let _ = context.stdout.flush();
        exit(0);
    }
    exit(i32::from(context::run(TOOLS[index].1, &mut context)));
}
