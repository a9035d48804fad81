//! Folds instructions into a configuration: variables expanded, ENV, CMD, LABEL and the like as [`Edit`]s.

use kiln_dockerfile::{Command, Diagnostic, Exposed, Globals, Healthcheck, Instruction, Kind, Pair, Scope, Word};
use kiln_image::{Edit, ImageConfig};
use kiln_types::paths;

use super::{shell_of, words};

/// Far more than a process could be given.
const MOST_VARIABLES: usize = 10_000;

/// The configuration and the variables after the instructions so far.
pub(super) struct Fold<'a> {
    pub(super) globals: &'a Globals,
    pub(super) scope: Scope,
    pub(super) config: ImageConfig,
    cmd_set: bool,
}

/// Applies instructions that change only the configuration: what `import -c` does.
///
/// # Errors
/// Instructions that change files, and those that only a build can do.
pub fn change_config(config: &mut ImageConfig, instructions: &[Instruction]) -> Result<(), Diagnostic> {
    let globals = Globals::default();
    let mut fold = Fold::new(&globals, Scope::default(), std::mem::take(config));
    let result = instructions.iter().try_for_each(|instruction| match instruction.kind {
        Kind::Add(_) | Kind::Arg(_) | Kind::Copy(_) | Kind::Maintainer(_) | Kind::Run(_) | Kind::Shell(_) => {
            let message = format!("{} cannot change an image without a build", instruction.keyword());
            Err(Diagnostic::error("not-a-change", instruction.span, message).hint(
                "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR can",
            ))
        }
        _ => fold.metadata(&instruction.kind).map(|_| ()),
    });
    *config = fold.config;
    result
}

impl<'a> Fold<'a> {
    pub(super) fn new(globals: &'a Globals, mut scope: Scope, config: ImageConfig) -> Self {
        for line in config.config.env.as_deref().unwrap_or_default() {
            scope.hide(line.split_once('=').map_or(line, |(name, _)| name));
        }
        Self { globals, scope, config, cmd_set: false }
    }

    /// What an instruction changes, already applied here, and how history calls it.
    pub(super) fn metadata(&mut self, kind: &Kind) -> Result<(Edit, String), Diagnostic> {
        let (edit, comment) = self.edit(kind)?;
        edit.apply(&mut self.config);
        Ok((edit, comment))
    }

    fn edit(&mut self, kind: &Kind) -> Result<(Edit, String), Diagnostic> {
        Ok(match kind {
            Kind::Env(list) => {
                if self.config.config.env.as_ref().is_some_and(|env| env.len() > MOST_VARIABLES) {
                    let message = format!("there are more than {MOST_VARIABLES} variables");
                    return Err(Diagnostic::error("too-many-variables", list[0].key.span, message));
                }
                let list = self.pairs(list)?;
                list.iter().for_each(|(name, _)| self.scope.hide(name));
                let comment = format!("ENV {}", words::pairs(&list));
                (Edit::Env(list), comment)
            }
            Kind::Label(list) => {
                let list = self.pairs(list)?;
                let comment = format!("LABEL {}", words::pairs(&list));
                (Edit::Label(list), comment)
            }
            Kind::Arg(arguments) => {
                let mut shown = Vec::new();
                for argument in arguments {
                    let given = self.globals.is_given(&argument.name);
                    let default = match argument.default.as_ref().map(|word| (word, self.expand(word))) {
                        // A default that is not used may be wrong.
                        Some((word, Err(_))) if given => Some(word.text.clone()),
                        Some((_, expanded)) => Some(expanded?),
                        None => None,
                    };
                    shown.push(match &default {
                        Some(default) => format!("{}={default}", argument.name.text),
                        None => argument.name.text.clone(),
                    });
                    self.scope.declare(self.globals, &argument.name, default);
                }
                (Edit::Nothing, format!("ARG {}", shown.join(" ")))
            }
            Kind::Cmd(command) => {
                self.cmd_set = true;
                let argv = self.argv(command);
                let comment = format!("CMD {}", words::quoted_list(&argv));
                (Edit::Cmd(argv), comment)
            }
            Kind::Entrypoint(command) => {
                let argv = self.argv(command);
                let comment = format!("ENTRYPOINT {}", words::quoted_list(&argv));
                (Edit::Entrypoint { argv, reset_cmd: !self.cmd_set }, comment)
            }
            Kind::Expose(list) => {
                let ports = self.ports(list)?;
                let comment = format!("EXPOSE {}", ports.join(" "));
                (Edit::Expose(ports), comment)
            }
            Kind::Volume(list) => {
                let paths = list.iter().map(|word| self.expand(word)).collect::<Result<Vec<_>, _>>()?;
                let comment = format!("VOLUME [{}]", paths.join(" "));
                (Edit::Volume(paths), comment)
            }
            Kind::User(word) => {
                let user = self.expand(word)?;
                let comment = format!("USER {user}");
                (Edit::User(user), comment)
            }
            Kind::StopSignal(word) => {
                let signal = self.expand(word)?;
                if !words::is_signal(&signal) {
                    return Err(Diagnostic::error("bad-signal", word.span, format!("`{signal}` is not a signal"))
                        .hint("write a name such as SIGTERM or SIGRTMIN+3, or a number from 1 to 64"));
                }
                let comment = format!("STOPSIGNAL {signal}");
                (Edit::StopSignal(signal), comment)
            }
            Kind::Shell(shell) => (Edit::Shell(shell.clone()), format!("SHELL [{}]", shell.join(" "))),
            Kind::Maintainer(word) => (Edit::Author(word.text.clone()), format!("MAINTAINER {word}")),
            Kind::Healthcheck(check) => {
                let check = self.healthcheck(check);
                let comment = format!("HEALTHCHECK {}", words::quoted_list(&check.test));
                (Edit::Healthcheck(check), comment)
            }
            Kind::OnBuild(on_build) => {
                let trigger = on_build.trigger.clone();
                (Edit::OnBuild(trigger.clone()), format!("ONBUILD {trigger}"))
            }
            Kind::Workdir(word) => {
                let text = self.expand(word)?;
                // As BuildKit has it: an absolute path stays as it is written.
                let absolute = if text.starts_with('/') {
                    text
                } else {
                    let path = paths::join(&paths::clean(&self.config.config.working_dir), text.as_bytes());
                    format!("/{}", String::from_utf8_lossy(&path))
                };
                let comment = format!("WORKDIR {absolute}");
                (Edit::Workdir(absolute), comment)
            }
            Kind::Add(_) | Kind::Copy(_) | Kind::Run(_) => unreachable!("they change files"),
        })
    }

    pub(super) fn expand(&self, word: &Word) -> Result<String, Diagnostic> {
        kiln_dockerfile::expand(word, &|name| self.lookup(name), self.globals.escape())
            .map_err(|error| error.diagnostic(word.span))
    }

    /// `--from` can use an ARG before the first FROM without declaring it again: its value is known before any stage.
    pub(super) fn expand_from(&self, word: &Word) -> Result<String, Diagnostic> {
        let lookup = |name: &str| self.lookup(name).or_else(|| self.globals.get(name).map(str::to_owned));
        kiln_dockerfile::expand(word, &lookup, self.globals.escape()).map_err(|error| error.diagnostic(word.span))
    }

    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        self.scope.get(name).or_else(|| self.env(name)).map(str::to_owned)
    }

    fn env(&self, name: &str) -> Option<&str> {
        let env = self.config.config.env.as_deref().unwrap_or_default();
        env.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    fn pairs(&self, pairs: &[Pair]) -> Result<Vec<(String, String)>, Diagnostic> {
        pairs.iter().map(|pair| Ok((self.expand(&pair.key)?, self.expand(&pair.value)?))).collect()
    }

    /// `80` → `80/tcp`; ranges one by one.
    fn ports(&self, list: &[Word]) -> Result<Vec<String>, Diagnostic> {
        let mut ports = Vec::new();
        for word in list {
            let expanded = kiln_dockerfile::expand_words(word, &|name| self.lookup(name), self.globals.escape())
                .map_err(|error| error.diagnostic(word.span))?;
            for text in expanded {
                let Exposed { ports: range, protocol, .. } = Exposed::parse(&text).map_err(|error| {
                    Diagnostic::error("bad-port", word.span, error.to_string())
                        .hint("write PORT, PORT/udp or FIRST-LAST, with numbers up to 65535")
                })?;
                ports.extend(range.map(|port| format!("{port}/{protocol}")));
            }
        }
        Ok(ports)
    }

    /// The command line of a shell or exec form.
    fn argv(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(argv) => argv.clone(),
            Command::Shell(text) => self.in_shell(text),
        }
    }

    pub(super) fn in_shell(&self, text: &str) -> Vec<String> {
        let mut argv = shell_of(&self.config.config);
        argv.push(text.to_owned());
        argv
    }

    fn healthcheck(&self, check: &Healthcheck) -> kiln_image::Healthcheck {
        let nanoseconds = |duration: &std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        match check {
            Healthcheck::None => kiln_image::Healthcheck { test: vec!["NONE".to_owned()], ..Default::default() },
            Healthcheck::Check { command, interval, timeout, start_period, start_interval, retries } => {
                let test = match command {
                    Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
                    Command::Exec(argv) => std::iter::once("CMD".to_owned()).chain(argv.iter().cloned()).collect(),
                };
                kiln_image::Healthcheck {
                    test,
                    interval: nanoseconds(interval),
                    timeout: nanoseconds(timeout),
                    start_period: nanoseconds(start_period),
                    start_interval: nanoseconds(start_interval),
                    retries: i64::from(*retries),
                    ..Default::default()
                }
            }
        }
    }
}
