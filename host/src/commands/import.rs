//! `kiln import`: a root filesystem as an image of one layer.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use jiff::Timestamp;
use kiln_dockerfile::Diagnostic;
use kiln_image::{History, ImageConfig};
use kiln_types::Platform;

use crate::cli::import::Import;
use crate::commands::cancellable::Cancellable;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Import, session: &Session) -> anyhow::Result<()> {
    let platform = super::arguments::platform(options.platform.as_ref()).unwrap_or_else(Platform::host);
    let mut config = ImageConfig {
        created: Some(Timestamp::now().to_string()),
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        ..ImageConfig::default()
    };
    apply(&options.changes, &mut config)?;

    let name = options.name.as_ref().map(super::arguments::new_name).transpose()?;
    let store = session.store()?;
    let archive = not_empty(open(&options.file)?)?;
    let layer = store.add_tar(Cancellable::new(archive, session.interrupts.catch()?))?;
    config.rootfs.diff_ids = vec![layer.diff_id];
    let source = options.file.display();
    config.history = vec![History {
        created: config.created.clone(),
        comment: Some(options.message.clone().unwrap_or_else(|| format!("Imported from {source}"))),
        ..History::default()
    }];
    let id = store.add_image(&config, None, false)?;
    if let Some(name) = name {
        store.tag(&id, &name)?;
    }
    let mut out = super::stdout();
    writeln!(out, "{id}")?;
    Ok(out.flush()?)
}

fn open(path: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if path.as_os_str() != "-" {
        let failure = |error| Failure::new(format!("cannot read {}", path.display())).because(error);
        return Ok(Box::new(File::open(path).map_err(|error: io::Error| failure(error))?));
    }
    if io::stdin().is_terminal() {
        return Err(Failure::new("an archive is expected on standard input").hint("redirect it, or name a file"));
    }
    Ok(Box::new(io::stdin()))
}

/// No archive has no bytes at all; a download that failed may have none.
fn not_empty(mut archive: impl Read + Send) -> Result<impl Read + Send, Failure> {
    let mut first = Vec::new();
    let read = archive.by_ref().take(1).read_to_end(&mut first);
    match read.map_err(|error| Failure::new("cannot read the archive").because(error))? {
        0 => Err(Failure::new("the archive is empty")
            .hint("look whether its download or the command before the pipe failed")),
        _ => Ok(io::Cursor::new(first).chain(archive)),
    }
}

/// All of them together, as the lines of one Dockerfile: an ENTRYPOINT forgets only a CMD that was there before.
fn apply(changes: &[String], config: &mut ImageConfig) -> Result<(), Failure> {
    let failure = |what: String, problem: Diagnostic| {
        let failure = Failure::new(format!("cannot apply {what}: {}", problem.message));
        if let Some(hint) = problem.hint { failure.hint(hint) } else { failure }
    };
    let mut instructions = Vec::new();
    for change in changes {
        let instruction = kiln_dockerfile::parse_instruction(change).map_err(|problems| {
            let first = problems.into_iter().next().expect("what cannot be parsed has a problem");
            failure(format!("the change `{change}`"), first)
        })?;
        instructions.push(instruction);
    }
    kiln_build::change_config(config, &instructions).map_err(|problem| failure("the changes".to_owned(), problem))
}
