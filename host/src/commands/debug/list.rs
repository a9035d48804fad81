//! `kiln debug --list`: the failed steps that are kept, the latest first.

use jiff::Timestamp;
use kiln_build::FailedStep;
use kiln_store::Failed;
use serde::Serialize;

use crate::cli::debug::Debug;
use crate::commands::listing;
use crate::report::format::Columns;
use crate::report::table::ellipsis;

const INSTRUCTION_WIDTH: usize = 45;

const COLUMNS: Columns = Columns {
    row: "failed step",
    table: "{{.ID}}\t{{.CreatedSince}}\t{{.Step}}\t{{.Code}}\t{{.Instruction}}\t{{.Directory}}",
    headers: &[
        ("ID", "ID"),
        ("CreatedSince", "FAILED"),
        ("CreatedAt", "FAILED AT"),
        ("Step", "STEP"),
        ("Code", "CODE"),
        ("Instruction", "INSTRUCTION"),
        ("Directory", "DIRECTORY"),
        ("Dockerfile", "DOCKERFILE"),
        ("Target", "TARGET"),
        ("Platform", "PLATFORM"),
    ],
    maps: &[],
};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "ID")]
    id: String,
    created_since: String,
    created_at: String,
    step: String,
    /// Docker's lists have numbers as texts.
    code: String,
    instruction: String,
    directory: String,
    dockerfile: String,
    target: String,
    platform: String,
}

pub(super) fn write(options: &Debug, kept: &[Failed<FailedStep>]) -> anyhow::Result<()> {
    listing::write(&COLUMNS, &options.listing.format(), kept.iter().map(|failed| row(options, failed)))
}

fn row(options: &Debug, Failed { name, when, record }: &Failed<FailedStep>) -> Row {
    let when = Timestamp::try_from(*when).ok();
    Row {
        id: if options.no_trunc { name.hex() } else { name.short() },
        created_since: listing::since(when),
        created_at: when.map(|when| when.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default(),
        step: record.number.map(|number| format!("{number}/{}", record.total)).unwrap_or_default(),
        code: record.code.map(|code| code.to_string()).unwrap_or_default(),
        instruction: if options.no_trunc { record.text.clone() } else { ellipsis(&record.text, INSTRUCTION_WIDTH) },
        directory: record.directory.clone(),
        dockerfile: record.dockerfile.clone(),
        target: record.target.clone().unwrap_or_default(),
        platform: record.platform.clone().unwrap_or_default(),
    }
}
