//! `kiln system fsck`: is the store whole?

use std::io::Write;
use std::process::ExitCode;

use kiln_store::{CheckOptions, Checked, Damage};
use serde::Serialize;

use crate::cli::system::Fsck;
use crate::report::failure::FAILED;
use crate::report::problem::Problem;
use crate::report::size;
use crate::session::Session;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    what: &'a str,
    problem: &'a str,
    images: &'a [String],
    repair: &'a str,
}

pub(super) fn run(options: &Fsck, session: &Session) -> anyhow::Result<ExitCode> {
    let store = if options.repair { session.store()? } else { session.store_to_read()? };
    let checked = store.check(CheckOptions { quick: options.quick, repair: options.repair })?;
    let mut out = super::stdout();
    for Damage { what, problem, images, repair } in &checked.damages {
        if options.json {
            writeln!(out, "{}", serde_json::to_string(&Row { what, problem, images, repair })?)?;
        } else {
            let needed = if images.is_empty() { String::new() } else { format!("; needed by {}", images.join(", ")) };
            writeln!(out, "{what}: {problem}{needed}; {repair}")?;
        }
    }
    if !options.json {
        writeln!(out, "{}", summary(&checked))?;
    }
    out.flush()?;
    if checked.busy {
        let mut problem = Problem::error("another kiln is at work: nothing was repaired");
        problem.hints.push("try again when it has ended".to_owned());
        problem.show();
    }
    Ok(if checked.left > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn summary(checked: &Checked) -> String {
    let Checked { damages, images, blobs, bytes, left, .. } = checked;
    let (images, blobs) = (counted(*images, "image"), counted(*blobs, "blob"));
    let sound = format!("{images} and {blobs} ({}) are as they should be", size::exact(*bytes));
    let all = counted(damages.len(), "damaged thing");
    match (damages.len(), left) {
        (0, _) => sound,
        (1, 0) => format!("{all}, repaired; {sound}"),
        (_, 0) => format!("{all}, all repaired; {sound}"),
        (_, 1) => format!("{all}, 1 is left; {sound}"),
        _ => format!("{all}, {left} are left; {sound}"),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
