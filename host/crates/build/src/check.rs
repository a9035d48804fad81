//! Looks at a Dockerfile in place of building it: what the rules say, what is wrong, what can be given to it.

use kiln_dockerfile::{
    BaseImage, Diagnostic, Dockerfile, Facts, Findings, Given, IgnoreFile, Outline, Target, check_syntax, lint,
};
use kiln_store::Store;
use kiln_types::Platform;

use crate::images::{Images, NOT_FOUND};
use crate::plan::{self, given, named_context};
use crate::{Error, Request};

/// What a look at a Dockerfile brought to light.
#[derive(Debug)]
pub struct Checked {
    pub findings: Findings,
    /// What would keep it from being built.
    pub errors: Vec<Diagnostic>,
}

/// What the rules say of the stages that would be built; of all stages if there is no target and `all_stages` is set.
/// Only images in the store are looked at.
pub fn check(request: &Request, store: &Store, all_stages: bool) -> Checked {
    let (dockerfile, mut errors) = kiln_dockerfile::parse_all(&request.dockerfile, &request.dockerfile_name);
    let given = given(request);
    // What is wrong with the ignore file is told when the context is opened.
    let ignore = request.ignore.as_deref().and_then(|text| IgnoreFile::parse(text).ok());
    let bases = |name: &str, platform: Option<&Platform>| base(request, store, name, platform);
    let facts = Facts { given: &given, bases: &bases, ignore: ignore.as_ref(), all_stages };
    let findings = lint(&dockerfile, &facts).unwrap_or_else(|error| {
        errors.push(error);
        Findings { warnings: Vec::new(), fatal: Vec::new() }
    });
    Checked { findings, errors }
}

/// As [`check`], and what planning finds wrong as well.
///
/// # Errors
/// A target that is not there, a store that cannot be read.
pub fn check_plan(request: &Request, store: &Store) -> Result<Checked, Error> {
    let mut checked = check(request, store, true);
    if checked.errors.is_empty() {
        let images = Images::of_store(request, store);
        let problems = match parse(request).and_then(|(dockerfile, _)| plan::plan(&dockerfile, request, &images)) {
            Ok(_) => Vec::new(),
            Err(Error::Dockerfile(problems)) => problems,
            Err(error) => return Err(error),
        };
        checked.errors.extend(problems.into_iter().filter(|problem| problem.code != NOT_FOUND));
    }
    Ok(checked)
}

/// What can be given to a build of the target.
///
/// # Errors
/// A Dockerfile that cannot be read, a target that is not there.
pub fn outline(request: &Request, store: &Store) -> Result<Outline, Error> {
    let (dockerfile, given) = parse(request)?;
    let target = plan::target(&dockerfile, request)?;
    let bases = |name: &str, platform: Option<&Platform>| base(request, store, name, platform);
    Ok(kiln_dockerfile::outline(&dockerfile, &given, &bases, target))
}

/// The stages that can be built.
///
/// # Errors
/// A Dockerfile that cannot be read.
pub fn targets(request: &Request) -> Result<Vec<Target>, Error> {
    parse(request).map(|(dockerfile, _)| kiln_dockerfile::targets(&dockerfile))
}

/// The Dockerfile, if kiln has the language that it is written in.
pub(crate) fn parse(request: &Request) -> Result<(Dockerfile, Given), Error> {
    let dockerfile =
        kiln_dockerfile::parse(&request.dockerfile, &request.dockerfile_name).map_err(Error::Dockerfile)?;
    let given = given(request);
    check_syntax(&dockerfile, &given).map_err(|problem| Error::Dockerfile(vec![problem]))?;
    Ok((dockerfile, given))
}

pub(crate) fn base(request: &Request, store: &Store, name: &str, _: Option<&Platform>) -> Option<BaseImage> {
    if named_context(request, name).is_some() {
        return None;
    }
    let config = store.resolve_written(name).ok()?.config.config;
    Some(BaseImage {
        env: config.env.unwrap_or_default(),
        shell: config.shell.is_some(),
        triggers: config.on_build.unwrap_or_default(),
    })
}
