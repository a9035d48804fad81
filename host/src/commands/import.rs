//! `kiln import`: a root filesystem as an image of one layer.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, Write};
use std::path::Path;

use jiff::Timestamp;
use kiln_dockerfile::Diagnostic;
use kiln_fetch::{Client, Download, Url};
use kiln_image::{History, ImageConfig};
use kiln_store::{Error, Store};
use kiln_types::Platform;

use crate::cli::import::Import;
use crate::commands::cancellable::Cancellable;
use crate::report::failure::Failure;
use crate::session::Session;

/// Most bytes that are downloaded.
const LARGEST: u64 = 64 << 30;

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
    let cancel = session.interrupts.catch()?;
    let archive = not_empty(open(&options.source, &store, &session.client(&cancel))?)?;
    let source = options.source.display();
    let layer = store.add_tar(Cancellable::new(archive, cancel)).map_err(|error| match error {
        Error::Image(error) => Failure::new(format!("cannot import {}", shown(&options.source))).because(error).into(),
        error => anyhow::Error::from(error),
    })?;
    config.rootfs.diff_ids = vec![layer.diff_id];
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
    out.flush()?;
    super::limit::obey(&store, session)
}

fn shown(source: &Path) -> String {
    if source == "-" { "standard input".to_owned() } else { source.display().to_string() }
}

fn open(source: &Path, store: &Store, client: &Client) -> anyhow::Result<Box<dyn Read + Send>> {
    let failure = |error| Failure::new(format!("cannot read {}", shown(source))).because(error);
    match source.to_str() {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            let url: Url = url.parse().map_err(|error| Failure::new(format!("{url} is not a URL: {error}")))?;
            download(&url, store, client)
        }
        Some("-") if io::stdin().is_terminal() => {
            Err(Failure::new("an archive is expected on standard input").hint("redirect it, or name a file").into())
        }
        Some("-") => Ok(Box::new(io::stdin())),
        _ => Ok(Box::new(File::open(source).map_err(|error: io::Error| failure(error))?)),
    }
}

/// The whole file first: a connection that breaks is gone on with, a tar could not be.
fn download(url: &Url, store: &Store, client: &Client) -> anyhow::Result<Box<dyn Read + Send>> {
    let failure = |error: anyhow::Error| Failure::new(format!("cannot download {url}")).because(error);
    let scratch = store.scratch()?;
    let mut file = tempfile::tempfile_in(scratch.path()).map_err(|error| failure(error.into()))?;
    let download = Download { url, authorization: None, known: None, limit: LARGEST };
    client.download(&download, &mut file).map_err(|error| failure(error.into()))?;
    file.rewind().map_err(|error| failure(error.into()))?;
    Ok(Box::new(file))
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
pub(super) fn apply(changes: &[String], config: &mut ImageConfig) -> Result<(), Failure> {
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
