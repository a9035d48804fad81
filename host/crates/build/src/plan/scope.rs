//! Variables: which names an instruction can use, and what they stand for.

use std::collections::{BTreeMap, BTreeSet};

use kiln_dockerfile::{Diagnostic, Dockerfile, Instruction, Kind, Span, Word};
use kiln_types::Platform;

use crate::{Error, Request};

/// Usable in RUN without an ARG, and never part of a key (BuildKit's reference, "Predefined ARGs").
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What is known before the first stage.
#[derive(Default)]
pub(super) struct Globals {
    build_args: BTreeMap<String, String>,
    platform: BTreeMap<String, String>,
    /// ARG before the first FROM.
    args: BTreeMap<String, Option<String>>,
    /// The escape character; a backslash where the Dockerfile does not say otherwise.
    escape: Option<u8>,
}

impl Globals {
    pub(super) fn new(dockerfile: &Dockerfile, request: &Request) -> Result<Self, Error> {
        let mut globals = Self {
            build_args: request.build_args.iter().cloned().collect(),
            platform: platform_args(&request.platform.clone().unwrap_or_else(Platform::host)),
            args: BTreeMap::new(),
            escape: Some(dockerfile.directives.escape),
        };
        let mut problems = Vec::new();
        for Instruction { kind, .. } in &dockerfile.global_args {
            let Kind::Arg(arguments) = kind else { continue };
            for argument in arguments {
                let default = argument.default.as_ref().map(|word| globals.expand(word)).transpose();
                match default {
                    Ok(default) => {
                        let value = globals.build_args.get(&*argument.name).cloned().or(default);
                        let value = value.or_else(|| globals.platform.get(&*argument.name).cloned());
                        globals.args.insert(argument.name.text.clone(), value);
                    }
                    Err(problem) => problems.push(problem),
                }
            }
        }
        if problems.is_empty() { Ok(globals) } else { Err(Error::Dockerfile(problems)) }
    }

    pub(super) fn escape(&self) -> u8 {
        self.escape.unwrap_or(b'\\')
    }

    /// Expands a word of FROM.
    pub(super) fn expand(&self, word: &Word) -> Result<String, Diagnostic> {
        let lookup = |name: &str| match self.args.get(name) {
            Some(value) => value.clone(),
            None => self.platform.get(name).cloned(),
        };
        kiln_dockerfile::expand(word, &lookup, self.escape()).map_err(|error| bad_expansion(&error, word.span))
    }

    /// The value of `ARG name[=default]` in a stage.
    fn value(&self, name: &str, default: Option<String>) -> Option<String> {
        let given = self.build_args.get(name).cloned().or(default);
        given.or_else(|| self.args.get(name).cloned().flatten()).or_else(|| self.platform.get(name).cloned())
    }

    /// Names of `--build-arg` that mean nothing to this Dockerfile.
    pub(super) fn unconsumed(&self, dockerfile: &Dockerfile) -> Vec<String> {
        let instructions =
            dockerfile.stages.iter().flat_map(|stage| &stage.instructions).chain(&dockerfile.global_args);
        let declared: BTreeSet<&str> = instructions
            .filter_map(|instruction| match &instruction.kind {
                Kind::Arg(arguments) => Some(arguments.iter().map(|argument| argument.name.text.as_str())),
                _ => None,
            })
            .flatten()
            .collect();
        let known = |name: &str| declared.contains(name) || PROXIES.contains(&name) || name.starts_with("BUILDKIT_");
        self.build_args.keys().filter(|name| !known(name)).cloned().collect()
    }

    /// Proxies given to the build.
    pub(super) fn proxies(&self) -> Vec<(String, String)> {
        PROXIES.iter().filter_map(|&name| Some((name.to_owned(), self.build_args.get(name)?.clone()))).collect()
    }
}

/// `TARGET…` and `BUILD…` of the reference's "Automatic platform ARGs".
fn platform_args(target: &Platform) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (prefix, platform) in [("TARGET", target), ("BUILD", &Platform::host())] {
        args.insert(format!("{prefix}PLATFORM"), platform.to_string());
        args.insert(format!("{prefix}OS"), platform.os.clone());
        args.insert(format!("{prefix}ARCH"), platform.architecture.clone());
        args.insert(format!("{prefix}VARIANT"), platform.variant.clone().unwrap_or_default());
    }
    args
}

/// The ARGs that a stage has declared so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    args: BTreeMap<String, Option<String>>,
}

impl Scope {
    pub(super) fn declare(&mut self, globals: &Globals, name: &str, default: Option<String>) {
        // Without a value it keeps the one of the stage that this one is built upon.
        let inherited = || self.args.get(name).cloned().flatten();
        let value = globals.value(name, default).or_else(inherited);
        self.args.insert(name.to_owned(), value);
    }

    pub(super) fn declares(&self, name: &str) -> bool {
        self.args.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.args.get(name)?.as_deref()
    }

    /// Declared names that have a value and that `env` does not define, sorted.
    pub(super) fn visible<'a>(&'a self, env: &[String]) -> Vec<(String, String)> {
        let defined = |name: &str| lookup(env, name).is_some();
        let visible = |(name, value): (&'a String, &'a Option<String>)| Some((name.clone(), value.clone()?));
        self.args.iter().filter(|(name, _)| !defined(name)).filter_map(visible).collect()
    }
}

/// The value of a variable in `NAME=value` lines.
pub(super) fn lookup<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

pub(super) fn bad_expansion(error: &kiln_dockerfile::ExpandError, span: Span) -> Diagnostic {
    Diagnostic::error("bad-expansion", span, error.to_string())
}
