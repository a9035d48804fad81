//! `kiln build`: from the options to a request, from events to lines, from the result to an exit code.

mod call;
mod contexts;
mod failure;
pub(super) mod given;
mod input;
mod listing;
mod metadata;
mod output;
mod platforms;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use kiln_build::{Amendments, Environment, Error, Request};
use kiln_image::Compression;
use kiln_registry::PushOptions;
use kiln_types::{Digest, Reference};

use self::platforms::{Failed, Results};
use crate::cli::build::{Build, Entitlement};
use crate::cli::output::OutputOption;
use crate::report::failure::Failure;
use crate::report::problem::Problem;
use crate::report::transfer::Stream;
use crate::session::Session;

pub(super) fn run(options: &Build, session: &Session) -> anyhow::Result<ExitCode> {
    let platforms = super::arguments::platforms(&options.platforms);
    output::check(&options.outputs, &platforms)?;
    let piped = input::piped(options)?;
    let cancel = session.interrupts.cancel();
    let secrets = given::secrets(&options.secrets)?;
    let only_looks = options.print_context.is_some() || !matches!(options.instead(), Ok(None));
    let store = if only_looks { session.store_to_read()? } else { session.store()? };
    let environment = session.environment(store, cancel, options.limits(), secrets.clone())?;
    // Downloads end in order by a signal. A read from a terminal or a pipe would only go on: it is left to the signal.
    if input::is_elsewhere(&options.context[0]) {
        session.interrupts.catch()?;
    }
    let build_args = given::build_args(options)?;
    let input = input::read(options, &build_args, piped, &environment)?;
    let ignore_name = input.ignore_name.clone();
    if !input::is_elsewhere(&options.context[0]) {
        session.interrupts.catch()?;
    }
    if let Some(form) = options.print_context {
        let printed = listing::print(&input, form, options.context_mode.into(), &environment);
        return match printed.as_ref().err().and_then(|error| error.downcast_ref()) {
            Some(Error::Ignore(reason)) => Err(input::bad_ignore_file(&ignore_name, reason).into()),
            _ => printed.map(|()| ExitCode::SUCCESS),
        };
    }
    let request = Request {
        dockerfile: input.dockerfile,
        dockerfile_name: input.name,
        context: input.context,
        named_contexts: contexts::read(&options.build_contexts, &environment)?,
        ignore: input.ignore,
        context_mode: options.context_mode.into(),
        tags: options.tags.iter().map(super::arguments::new_name).collect::<Result<_, _>>()?,
        target: options.target.clone(),
        build_args,
        platform: platforms.first().cloned(),
        pull: options.pull(),
        secrets,
        agents: given::agents(&options.ssh)?,
        hosts: given::hosts(&options.add_hosts)?,
        network: options.network.network(),
        allow_insecure: options.allow.contains(&Entitlement::Insecure),
        allow_secret_in_layer: options.allow_secret_in_layer,
        no_cache: options.no_cache,
        no_cache_filter: options.no_cache_filter.clone(),
        explain: options.explain.is_some(),
        verify_cache: options.cache_verify,
        executor: options.executor.into(),
        untrusted: options.untrusted,
        keep_failure: Some(super::debug::here()),
        epoch: options.source_date_epoch.clone(),
        reproducible: options.reproducible,
        amendments: Amendments { unset: options.unset.clone(), labels: given::labels(&options.labels)? },
    };
    if let Some(call) = options.instead().map_err(Failure::new)? {
        return call::run(call, &request, &environment.store);
    }
    let checked = kiln_build::check(&request, &environment.store, false);
    if let Some(stopped) = call::stop(&checked, &request)? {
        return Ok(stopped);
    }
    let result = platforms::build(options, &request, &platforms, &environment)?;
    let summarise = || if options.is_quiet() { Ok(()) } else { call::summarise(&checked, &request) };
    match result {
        Ok(results) => {
            for output in &options.outputs {
                output::write(output, &results, &request.tags, &environment.store, &environment.cancel)?;
            }
            tell(options, &request, &results)?;
            let pushed = push(options, &request, &environment)?;
            if let Some(path) = &options.metadata_file {
                metadata::write(path, &results, &request.tags, pushed, &environment.store)?;
            }
            summarise()?;
            super::limit::obey(&environment.store, session)?;
            Ok(ExitCode::SUCCESS)
        }
        // The program as a whole knows which signal it was.
        Err(Failed { error: error @ Error::Cancelled, .. }) => Err(error.into()),
        // Of the build's own context: those of others were looked at when they were read.
        Err(Failed { error: Error::Ignore(reason), .. }) => Err(input::bad_ignore_file(&ignore_name, &reason).into()),
        Err(failed) => {
            summarise()?;
            super::limit::obey(&environment.store, session)?;
            let code = failure::show(&failed, &request, session.remedy_for_one_id());
            if let Some(platform) = &failed.platform {
                Stream::Err.say(&format!("note: this was the build for {platform}; nothing is tagged"))?;
            }
            Ok(code)
        }
    }
}

/// Where the build is told: standard output, unless that is to take an archive.
fn words(options: &Build) -> Box<dyn Write + Send> {
    let taken = options.outputs.iter().any(OutputOption::is_stdout);
    if taken { Box::new(io::stderr()) } else { Box::new(io::stdout()) }
}

/// Pushes the image under the names that were asked for; its digest there, if there were any.
fn push(options: &Build, request: &Request, environment: &Environment) -> anyhow::Result<Option<Digest>> {
    let Some(registries) = &environment.registries else { return Ok(None) };
    let mut names: Vec<Reference> = if options.push { request.tags.clone() } else { Vec::new() };
    for output in &options.outputs {
        if let OutputOption::Image { names: own, push: true } = output {
            let own = own.iter().map(super::arguments::new_name).collect::<Result<Vec<_>, _>>()?;
            names.extend(if own.is_empty() { request.tags.clone() } else { own });
        }
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let what = PushOptions { compression: Compression::Gzip, platform: None };
    let taken = options.outputs.iter().any(OutputOption::is_stdout);
    let stream = (!options.is_quiet()).then_some(if taken { Stream::Err } else { Stream::Out });
    let mut digest = None;
    for name in &names {
        if let Some(stream) = stream {
            stream.say(&super::push::refers_to(name))?;
        }
        digest = Some(super::push::push(registries, &environment.store, name, &what, stream)?);
    }
    Ok(digest)
}

fn tell(options: &Build, request: &Request, results: &Results) -> anyhow::Result<()> {
    let id = results.id();
    if let Some(path) = &options.iidfile {
        std::fs::write(path, id.to_string()).map_err(|error| {
            Failure::new(format!("cannot write the image's id to {}", path.display())).because(error)
        })?;
    }
    if !results.unconsumed.is_empty() {
        let names = results.unconsumed.join(" ");
        let mut problem = Problem::warning(format!("one or more build-args [{names}] were not consumed"));
        problem.hints.push("no ARG of the Dockerfile has that name".to_owned());
        problem.show();
    }
    for text in options.legacy.idle().iter().chain(&results.idle) {
        Problem::warning(text.as_str()).show();
    }
    let mut out = words(options);
    if options.is_quiet() {
        writeln!(out, "{id}")?;
    } else {
        for built in results.told() {
            writeln!(out, "Successfully built {built}")?;
        }
        for tag in &request.tags {
            writeln!(out, "Successfully tagged {}", tag.familiar())?;
        }
    }
    Ok(out.flush()?)
}
