//! `kiln logs`.

use std::io::{self, Write as _};

use kiln_container::{Container, Entry, LogOptions, read_log};

use crate::cli::logs::Logs;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Logs, session: &Session) -> anyhow::Result<()> {
    let tail =
        match options.tail.as_str() {
            "all" | "-1" => None,
            text => Some(text.parse::<u64>().map_err(|_| {
                Failure::new(format!("`{text}` is no number of lines")).hint("write a number, or `all`")
            })?),
        };
    let container = Container::find(&session.store_to_read()?, &options.container)?;
    let wanted = LogOptions { tail, since: options.since, until: options.until, follow: options.follow };
    // Lines come in bursts; who follows sees each burst at once.
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut write = |entry: &Entry| {
        let mut line = String::new();
        if options.timestamps {
            line = format!("{:.9} ", entry.time);
        }
        line.push_str(&entry.log);
        match entry.stream.as_str() {
            "stderr" => err.write_all(line.as_bytes()),
            _ => out.write_all(line.as_bytes()),
        }
    };
    match read_log(&container, &wanted, &mut write) {
        Err(kiln_container::Error::Output { source }) => return Err(source.into()),
        read => read?,
    }
    Ok(out.flush()?)
}
