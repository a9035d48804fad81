//! Variables of a build: which names an instruction can use, and what they stand for.

use crate::{Diagnostic, Dockerfile, Instruction, Kind, Word};
use kiln_types::Platform;
use std::collections::{BTreeMap, BTreeSet};

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

/// Overrides `# syntax=`.
pub const SYNTAX_ARG: &str = "BUILDKIT_SYNTAX";
/// Overrides `# check=`.
pub const CHECK_ARG: &str = "BUILDKIT_DOCKERFILE_CHECK";
/// Goes before the ids of caches.
pub const CACHE_NAMESPACE_ARG: &str = "BUILDKIT_CACHE_MOUNT_NS";
/// Whether a build context that is a git repository has its `.git`.
pub const KEEP_GIT_DIR_ARG: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";
/// What RUN steps see as the name of their machine.
pub const HOSTNAME_ARG: &str = "BUILDKIT_SANDBOX_HOSTNAME";
/// The time of the image: <https://reproducible-builds.org/specs/source-date-epoch/>.
pub const EPOCH_ARG: &str = "SOURCE_DATE_EPOCH";
/// Arguments that mean something to the build itself: no ARG has to declare them.
const OPTIONS: [&str; 6] = [CACHE_NAMESPACE_ARG, KEEP_GIT_DIR_ARG, CHECK_ARG, HOSTNAME_ARG, SYNTAX_ARG, EPOCH_ARG];

/// Why an argument that means something to BuildKit means nothing to kiln; `None` for all others.
pub fn without_effect(name: &str) -> Option<&'static str> {
    match name {
        "BUILDKIT_BUILD_NAME" => Some("kiln keeps no list of builds that could be named"),
        "BUILDKIT_INLINE_CACHE" => Some("images hold no cache: kiln's store does"),
        "BUILDKIT_MULTI_PLATFORM" => Some("kiln builds for one platform at a time"),
        "BUILDKIT_SBOM_SCAN_CONTEXT" | "BUILDKIT_SBOM_SCAN_STAGE" => Some("kiln makes no list of an image's packages"),
        name if name.starts_with("BUILDKIT_ATTEST_") => Some("kiln makes no attestations"),
        _ => None,
    }
}

/// Values can double from line to line: what they grow to must end somewhere.
const MOST_BYTES: usize = 16 << 20;

/// What the user gives to a build beside the Dockerfile.
#[derive(Clone, Debug)]
pub struct Given {
    /// `--build-arg`, in order: of several values of one name the last one counts.
    pub build_args: Vec<(String, String)>,
    pub target_platform: Platform,
    pub build_platform: Platform,
    /// `--target`.
    pub target: Option<String>,
}

impl Given {
    pub fn build_arg(&self, name: &str) -> Option<&str> {
        self.build_args.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// What is known before the first stage.
#[derive(Clone, Debug, Default)]
pub struct Globals {
    build_args: BTreeMap<String, String>,
    /// `TARGETPLATFORM` and its kin.
    automatic: BTreeMap<String, String>,
    /// ARG before the first FROM.
    args: BTreeMap<String, Option<String>>,
    /// The escape character; a backslash where the Dockerfile does not say otherwise.
    escape: Option<u8>,
}

impl Globals {
    /// What is wrong with the defaults of ARG before FROM is returned beside.
    pub fn new(dockerfile: &Dockerfile, given: &Given) -> (Self, Vec<Diagnostic>) {
        let build_args: BTreeMap<_, _> = given.build_args.iter().cloned().collect();
        let mut automatic = automatic_args(dockerfile, given);
        for (name, value) in &mut automatic {
            if let Some(given) = build_args.get(name) {
                value.clone_from(given);
            }
        }
        let escape = Some(dockerfile.directives.escape);
        let mut globals = Self { build_args, automatic, args: BTreeMap::new(), escape };
        let mut problems = Vec::new();
        let mut bytes = 0;
        for Instruction { kind, .. } in &dockerfile.global_args {
            let Kind::Arg(arguments) = kind else { continue };
            for argument in arguments {
                let name = &*argument.name;
                let value = match (globals.build_args.get(name), &argument.default) {
                    (Some(given), _) => Some(given.clone()),
                    (None, Some(default)) => match globals.expand(default) {
                        Ok(default) => Some(default),
                        Err(problem) => {
                            problems.push(problem);
                            continue;
                        }
                    },
                    (None, None) => globals.get(name).map(str::to_owned),
                };
                bytes += value.as_ref().map_or(0, String::len);
                if bytes > MOST_BYTES {
                    let message = "the values of ARG before the first FROM are too long together";
                    problems.push(Diagnostic::error("variables-too-long", argument.name.span, message));
                    return (globals, problems);
                }
                globals.args.insert(name.to_owned(), value);
            }
        }
        (globals, problems)
    }

    pub fn escape(&self) -> u8 {
        self.escape.unwrap_or(b'\\')
    }

    /// The value of a variable in FROM.
    pub fn get(&self, name: &str) -> Option<&str> {
        match self.args.get(name) {
            Some(value) => value.as_deref(),
            None => self.automatic.get(name).map(String::as_str),
        }
    }

    /// Is there an ARG of that name before the first FROM?
    pub fn declares(&self, name: &str) -> bool {
        self.args.contains_key(name)
    }

    /// Can FROM use that name, whether or not it has a value?
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.args.contains_key(name) || self.automatic.contains_key(name)
    }

    /// The names that FROM can use.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.args.keys().chain(self.automatic.keys()).map(String::as_str)
    }

    /// Expands a word of FROM.
    pub fn expand(&self, word: &Word) -> Result<String, Diagnostic> {
        crate::expand(word, &|name| self.get(name).map(str::to_owned), self.escape())
            .map_err(|error| error.diagnostic(word.span))
    }

    /// The value of a `--build-arg`.
    pub fn build_arg(&self, name: &str) -> Option<&str> {
        self.build_args.get(name).map(String::as_str)
    }

    /// Does a value given to the build make the default of this ARG needless?
    pub fn is_given(&self, name: &str) -> bool {
        self.build_args.contains_key(name)
    }

    /// The value of `ARG name[=default]` in a stage.
    pub(crate) fn value(&self, name: &str, default: Option<String>) -> Option<String> {
        self.build_args.get(name).cloned().or(default).or_else(|| self.get(name).map(str::to_owned))
    }

    /// Names of `--build-arg` that mean nothing to this Dockerfile.
    pub fn unconsumed(&self, dockerfile: &Dockerfile) -> Vec<String> {
        let instructions =
            dockerfile.stages.iter().flat_map(|stage| &stage.instructions).chain(&dockerfile.global_args);
        let declared: BTreeSet<&str> = instructions
            .filter_map(|instruction| match &instruction.kind {
                Kind::Arg(arguments) => Some(arguments.iter().map(|argument| argument.name.text.as_str())),
                _ => None,
            })
            .flatten()
            .collect();
        let known = |name: &str| declared.contains(name) || PROXIES.contains(&name) || OPTIONS.contains(&name);
        let known = |name: &str| known(name) || self.automatic.contains_key(name) || without_effect(name).is_some();
        self.build_args.keys().filter(|name| !known(name)).cloned().collect()
    }

    /// Proxies given to the build, in capitals and in small letters: programs differ in which of them they read.
    pub fn proxies(&self) -> Vec<(String, String)> {
        let other = |name: &str| match name.to_ascii_uppercase() {
            upper if upper != name => upper,
            _ => name.to_ascii_lowercase(),
        };
        let given = |name: &str| self.build_args.get(name).or_else(|| self.build_args.get(&other(name)));
        PROXIES.iter().filter_map(|&name| Some((name.to_owned(), given(name)?.clone()))).collect()
    }
}

/// `TARGET…` and `BUILD…` of the reference's "Automatic platform ARGs", and the stage that is built.
fn automatic_args(dockerfile: &Dockerfile, given: &Given) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (prefix, platform) in [("TARGET", &given.target_platform), ("BUILD", &given.build_platform)] {
        args.insert(format!("{prefix}PLATFORM"), platform.to_string());
        args.insert(format!("{prefix}OS"), platform.os.clone());
        args.insert(format!("{prefix}OSVERSION"), String::new());
        args.insert(format!("{prefix}ARCH"), platform.architecture.clone());
        args.insert(format!("{prefix}VARIANT"), platform.variant.clone().unwrap_or_default());
    }
    let last = dockerfile.stages.last().and_then(|stage| stage.name());
    let target = given.target.as_deref().or(last).unwrap_or("default");
    args.insert("TARGETSTAGE".to_owned(), target.to_owned());
    args
}

/// The ARGs that a stage has declared so far.
///
/// Of ARG and ENV the later one counts, as in BuildKit: an ARG with a value hides an ENV before it for the rest of the
/// stage, and an ENV hides an ARG before it. A stage that is built upon this one begins with ENV in force.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    args: BTreeMap<String, Arg>,
}

#[derive(Clone, Debug)]
struct Arg {
    value: Option<String>,
    /// An ENV of the same name came later.
    hidden: bool,
}

impl Scope {
    pub fn declare(&mut self, globals: &Globals, name: &str, default: Option<String>) {
        let value = globals.value(name, default);
        match (self.args.get_mut(name), value) {
            // Without a value it keeps the one of the stage that this one is built upon.
            (Some(_), None) => {}
            (_, value) => {
                self.args.insert(name.to_owned(), Arg { value, hidden: false });
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.args.len()
    }

    /// ENV of that name.
    pub fn hide(&mut self, name: &str) {
        if let Some(arg) = self.args.get_mut(name) {
            arg.hidden = true;
        }
    }

    /// Is there an ARG of that name, with or without a value?
    pub fn declares(&self, name: &str) -> bool {
        self.args.contains_key(name)
    }

    /// The value of an ARG that no ENV hides.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.args.get(name).filter(|arg| !arg.hidden)?.value.as_deref()
    }

    /// The value of an ARG, whatever ENV says.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.args.get(name)?.value.as_deref()
    }

    /// ARGs that have a value and that no ENV hides, sorted by name.
    pub fn visible(&self) -> impl Iterator<Item = (&str, &str)> {
        self.args.keys().filter_map(|name| Some((name.as_str(), self.get(name)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn globals(text: &str, build_args: &[(&str, &str)]) -> Globals {
        let given = Given {
            build_args: build_args.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            target_platform: Platform::new("linux", "arm64"),
            build_platform: Platform::new("linux", "amd64"),
            target: None,
        };
        let (globals, problems) = Globals::new(&parse(text.as_bytes(), "Dockerfile").unwrap(), &given);
        assert_eq!(problems, []);
        globals
    }

    #[test]
    fn global_args() {
        let text = "ARG A=1 B=$A$A\nARG C\nARG A=${A}2\nARG TARGETARCH\nARG TARGETOS=other\nFROM x AS last\n";
        let none = globals(text, &[]);
        let values = ["A", "B", "C", "TARGETARCH", "TARGETOS", "BUILDPLATFORM", "TARGETSTAGE", "D"];
        let expected =
            [Some("12"), Some("11"), None, Some("arm64"), Some("other"), Some("linux/amd64"), Some("last"), None];
        assert_eq!(values.map(|name| none.get(name)), expected);
        let given = globals(text, &[("A", "x"), ("TARGETOSVERSION", "v"), ("X", ""), ("HTTP_PROXY", "p")]);
        assert_eq!(["A", "B", "TARGETOSVERSION"].map(|name| given.get(name)), [Some("x"), Some("xx"), Some("v")]);
        assert_eq!(given.proxies(), ["HTTP_PROXY", "http_proxy"].map(|name| (name.to_owned(), "p".to_owned())));
        let dockerfile = parse(text.as_bytes(), "Dockerfile").unwrap();
        assert_eq!(given.unconsumed(&dockerfile), ["X"]);
    }

    /// A value that is given makes what is wrong with the default harmless.
    #[test]
    fn defaults_are_expanded_only_when_used() {
        assert_eq!(globals("ARG A=${B:?}\nFROM x\n", &[("A", "1")]).get("A"), Some("1"));
    }

    #[test]
    fn the_later_of_arg_and_env_counts() {
        let globals = globals("ARG G=g\nFROM x\n", &[("given", "1")]);
        let mut scope = Scope::default();
        for (name, default) in [("given", Some("2")), ("G", None), ("none", None), ("own", Some("o"))] {
            scope.declare(&globals, name, default.map(str::to_owned));
        }
        assert_eq!(["given", "G", "none", "own"].map(|name| scope.get(name)), [Some("1"), Some("g"), None, Some("o")]);
        assert!(scope.declares("none") && !scope.declares("other"));
        scope.hide("own");
        assert_eq!((scope.get("own"), scope.value("own")), (None, Some("o")));
        scope.declare(&globals, "own", None);
        assert_eq!(scope.get("own"), None);
        scope.declare(&globals, "own", Some("again".to_owned()));
        assert_eq!(scope.get("own"), Some("again"));
        assert_eq!(scope.visible().map(|(name, _)| name).collect::<Vec<_>>(), ["G", "given", "own"]);
    }
}
