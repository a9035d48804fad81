//! `kiln inspect`: everything about containers, images and volumes, with the fields of Docker's.

mod container;
mod host_config;
mod image;
mod volume;

use std::io::Write;
use std::process::ExitCode;

use kiln_container::Container;
use kiln_store::{Error, Store};
use serde::Serialize;

use crate::cli::inspect::{Inspect, InspectType};
use crate::report::failure::FAILED;
use crate::report::format::Format;
use crate::report::problem::Problem;
use crate::session::Session;

#[derive(Serialize)]
#[serde(untagged)]
enum Inspected {
    Container(Box<container::Inspected>),
    Image(Box<image::Inspected>),
    Volume(Box<volume::Inspected>),
}

/// Tells about what exists, then fails if something did not.
pub(super) fn run(options: &Inspect, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store_to_read()?;
    let mut inspected = Vec::new();
    let mut problems = Vec::new();
    for name in &options.names {
        match find(&store, name, options) {
            Ok(Some(found)) => inspected.push(found),
            Ok(None) => problems.push(Problem::error(format!("no such object: {name}"))),
            Err(error) => problems.push(Problem::chain(error.as_ref())),
        }
    }
    let mut out = super::stdout();
    write(&inspected, options.format.as_ref().unwrap_or(&Format::Table), &mut out)?;
    out.flush()?;
    problems.iter().for_each(Problem::show);
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// A container of that name before an image, that before a volume. Where only one kind was asked for, its absence is an
/// error of its own.
fn find(store: &Store, name: &str, options: &Inspect) -> anyhow::Result<Option<Inspected>> {
    let wants = |kind| options.kind.is_none_or(|wanted| wanted == kind);
    let any = options.kind.is_none();
    if wants(InspectType::Container) {
        match store.container(name) {
            Ok(folder) => {
                let container = Container::open(folder)?;
                let inspected = container::inspect(store, &container, options.size)?;
                return Ok(Some(Inspected::Container(Box::new(inspected))));
            }
            Err(Error::NoSuchContainer { .. }) if any => {}
            Err(error) => return Err(error.into()),
        }
    }
    if wants(InspectType::Image) {
        match store.resolve(name) {
            Ok(found) => return Ok(Some(Inspected::Image(Box::new(image::inspect(store, found)?)))),
            Err(Error::NoSuchImage { .. } | Error::Name(_)) if any => {}
            Err(error) => return Err(error.into()),
        }
    }
    match store.volume(name) {
        Ok(found) => Ok(Some(Inspected::Volume(Box::new(volume::inspect(&found))))),
        Err(Error::NoSuchVolume { .. }) if any => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn write(inspected: &[Inspected], format: &Format, out: &mut impl Write) -> anyhow::Result<()> {
    match format {
        Format::Table => {
            let indented = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            inspected.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, indented))?;
            writeln!(out)?;
        }
        Format::Json => writeln!(out, "{}", serde_json::to_string(inspected)?)?,
        template => {
            for one in inspected {
                match one {
                    Inspected::Container(one) => {
                        template.write_one(&container::for_templates(one)?, &container::TYPES, out)?;
                    }
                    Inspected::Image(one) => template.write_one(&image::for_templates(one)?, &image::TYPES, out)?,
                    Inspected::Volume(one) => template.write_one(&serde_json::to_value(one)?, &volume::TYPES, out)?,
                }
            }
        }
    }
    Ok(())
}
