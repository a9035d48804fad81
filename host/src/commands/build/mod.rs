//! `kiln build`: from the options to a request, from events to lines, from the result to an exit code.

mod call;
mod contexts;
mod failure;
mod given;
mod input;
mod listing;
mod output;

use std::io::{self, Write};
use std::process::ExitCode;

use kiln_build::{Built, Error, Request};
use kiln_types::Digest;

use crate::cli::build::{Build, Entitlement};
use crate::report::explanation::Format;
use crate::report::failure::Failure;
use crate::report::plain::Plain;
use crate::report::problem::Problem;
use crate::report::quiet::Quiet;
use crate::session::Session;

pub(super) fn run(options: &Build, session: &Session) -> anyhow::Result<ExitCode> {
    let piped = input::piped(options)?;
    let cancel = session.interrupts.cancel();
    let secrets = given::secrets(&options.secrets)?;
    let environment = session.environment(cancel.clone(), options.limits(), secrets.clone())?;
    // Downloads end in order by a signal. A read from a terminal or a pipe would only go on: it is left to the signal.
    if input::is_elsewhere(&options.context[0]) {
        session.interrupts.catch()?;
    }
    let input = input::read(options, piped, &environment)?;
    if !input::is_elsewhere(&options.context[0]) {
        session.interrupts.catch()?;
    }
    if let Some(form) = options.print_context {
        return listing::print(&input, form, &environment).map(|()| ExitCode::SUCCESS);
    }
    let request = Request {
        dockerfile: input.dockerfile,
        dockerfile_name: input.name,
        context: input.context,
        named_contexts: contexts::read(&options.build_contexts, &environment)?,
        ignore: input.ignore,
        tags: options.tags.iter().map(super::arguments::new_name).collect::<Result<_, _>>()?,
        target: options.target.clone(),
        build_args: super::arguments::read(&options.build_args)?,
        platform: super::arguments::platform(options.platform.as_ref()),
        secrets,
        agents: given::agents(&options.ssh)?,
        hosts: given::hosts(&options.add_hosts)?,
        network: options.network.network(),
        allow_insecure: options.allow.contains(&Entitlement::Insecure),
        no_cache: options.no_cache,
        explain: options.explain.is_some(),
        verify_cache: options.cache_verify,
        executor: options.executor.into(),
        untrusted: options.untrusted,
        epoch: options.epoch(),
    };
    if let Some(call) = options.instead() {
        return call::run(call, &request, &environment.store);
    }
    let checked = kiln_build::check(&request, &environment.store, false);
    if let Some(stopped) = call::stop(&checked, &request)? {
        return Ok(stopped);
    }
    let (result, failed_step) = if options.is_quiet() {
        let quiet = Quiet::default();
        let result = kiln_build::build(&request, &environment, &quiet);
        (result, quiet.finish(&mut io::stderr().lock())?)
    } else {
        let plain = Plain::new(io::stdout(), io::stderr(), options.explain.unwrap_or(Format::Text), cancel);
        let result = kiln_build::build(&request, &environment, &plain);
        (result, plain.finish()?)
    };
    let summarise = || if options.is_quiet() { Ok(()) } else { call::summarise(&checked, &request) };
    match result {
        Ok(built) => {
            for output in &options.outputs {
                output::write(output, &built.image, &request.tags, &environment.store, &environment.cancel)?;
            }
            tell(options, &request, &built)?;
            summarise()?;
            Ok(ExitCode::SUCCESS)
        }
        // The program as a whole knows which signal it was.
        Err(error @ Error::Cancelled) => Err(error.into()),
        Err(error) => {
            summarise()?;
            Ok(failure::show(&error, &request, failed_step, session.remedy_for_one_id()))
        }
    }
}

fn tell(options: &Build, request: &Request, built: &Built) -> anyhow::Result<()> {
    let image: Digest = built.image;
    if let Some(path) = &options.iidfile {
        std::fs::write(path, image.to_string()).map_err(|error| {
            Failure::new(format!("cannot write the image's id to {}", path.display())).because(error)
        })?;
    }
    if !built.unconsumed.is_empty() {
        let names = built.unconsumed.join(" ");
        let mut problem = Problem::warning(format!("one or more build-args [{names}] were not consumed"));
        problem.hints.push("no ARG of the Dockerfile has that name".to_owned());
        problem.show();
    }
    let mut out = super::stdout();
    if options.is_quiet() {
        writeln!(out, "{image}")?;
    } else {
        writeln!(out, "Successfully built {}", image.short())?;
        for tag in &request.tags {
            writeln!(out, "Successfully tagged {}", tag.familiar())?;
        }
    }
    Ok(out.flush()?)
}
