//! One stage: FROM, then each instruction with its variables expanded.

use kiln_dockerfile::{
    Command, Diagnostic, Dockerfile, Executor, Healthcheck, Instruction, Kind, ModeChange, Pair, Pragma, Program,
    Source, Span, Transfer, Word,
};
use kiln_exec::Network;
use kiln_image::ImageConfig;
use kiln_store::Store;
use kiln_types::{Platform, paths};

use super::scope::{self, Globals, Scope, bad_expansion};
use super::{Base, Chosen, Copy, CopyFrom, CopySource, Edit, Op, Run, find_stage, shell_of, words};
use crate::state::{KILN_CLOCK, State};
use crate::{ExecutorChoice, Request};

/// A stage before it has its numbers; stages are named by their place in the Dockerfile.
pub(super) struct Planned {
    pub(super) text: String,
    pub(super) span: Span,
    pub(super) base: Base,
    pub(super) platform: Platform,
    pub(super) triggers: usize,
    pub(super) steps: Vec<PlannedStep>,
    /// Earlier stages that it stands on or copies from.
    pub(super) needs: Vec<usize>,
    /// What a stage built upon this one begins with.
    scope: Scope,
    config: ImageConfig,
}

pub(super) struct PlannedStep {
    pub(super) text: String,
    pub(super) span: Span,
    pub(super) op: Op,
}

pub(super) fn plan(
    dockerfile: &Dockerfile,
    ordinal: usize,
    globals: &Globals,
    request: &Request,
    store: &Store,
    earlier: &[Result<Planned, Vec<Diagnostic>>],
) -> Result<Planned, Vec<Diagnostic>> {
    let stage = &dockerfile.stages[ordinal];
    let from = &stage.from;
    let platform = match &from.platform {
        None => request.platform.clone(),
        Some(word) => {
            let text = globals.expand(word).map_err(|problem| vec![problem])?;
            let wrong = |error: kiln_types::ParsePlatformError| {
                vec![Diagnostic::error("bad-platform", word.span, error.to_string())]
            };
            text.parse().map_err(wrong)?
        }
    };
    let image = globals.expand(&from.image).map_err(|problem| vec![problem])?;
    let mut needs = Vec::new();
    let (base, platform, config, scope) = if image == "scratch" {
        let config = State::scratch(&platform).config;
        (Base::Scratch, platform, config, Scope::default())
    } else if let Some(base) = find_stage(dockerfile, &image, ordinal).filter(|_| image.parse::<usize>().is_err()) {
        let Ok(base_stage) = &earlier[base] else {
            // What is wrong is told for that stage.
            return Err(Vec::new());
        };
        needs.push(base);
        let config = base_stage.config.clone();
        (Base::Stage(base), base_stage.platform.clone(), config, base_stage.scope.clone())
    } else {
        let image = find_image(store, &image, from.image.span).map_err(|problem| vec![problem])?;
        let found = image.config.platform();
        if from.platform.is_some() && found != platform {
            let message = format!("the image {} in the store is for {found}, not for {platform}", from.image.text);
            return Err(vec![
                Diagnostic::error("wrong-platform", from.image.span, message)
                    .hint("load or import the image for the platform that is wanted, under a name of its own"),
            ]);
        }
        let config = image.config.clone();
        (Base::Image(Box::new(image)), found, config, Scope::default())
    };
    let mut planner = Planner {
        dockerfile,
        ordinal,
        globals,
        request,
        store,
        chosen: chosen(request, stage.executor.or(dockerfile.executor), &platform),
        scope,
        config,
        cmd_set: false,
        needs,
        problems: Vec::new(),
        steps: Vec::new(),
    };
    let triggers = planner.begin();
    for instruction in &stage.instructions {
        planner.instruction(instruction);
    }
    let Planner { scope, config, needs, problems, steps, .. } = planner;
    if !problems.is_empty() {
        return Err(problems);
    }
    let text = stage.text.clone();
    Ok(Planned { text, span: stage.span, base, platform, triggers, steps, needs, scope, config })
}

fn find_image(store: &Store, name: &str, span: Span) -> Result<kiln_store::Image, Diagnostic> {
    store.resolve(name).map_err(|error| {
        Diagnostic::error("image-not-found", span, format!("base image `{name}`: {error}"))
            .hint("`kiln images` lists what the store has; `kiln load` and `kiln import` add to it")
    })
}

/// Rules 1 to 5 of the choice; the rest looks at what would be executed.
fn chosen(request: &Request, pragma: Option<Pragma>, platform: &Platform) -> Chosen {
    if request.executor != ExecutorChoice::Auto {
        return Chosen { executor: request.executor, by: "--executor" };
    }
    match pragma.map(|pragma| pragma.executor) {
        Some(Executor::Namespace) => Chosen { executor: ExecutorChoice::Namespace, by: "`# kiln:executor=`" },
        Some(Executor::Wasi) => Chosen { executor: ExecutorChoice::Wasi, by: "`# kiln:executor=`" },
        None if platform.is_wasi() => Chosen { executor: ExecutorChoice::Wasi, by: "the platform" },
        None => Chosen { executor: ExecutorChoice::Auto, by: "the program" },
    }
}

struct Planner<'a> {
    dockerfile: &'a Dockerfile,
    ordinal: usize,
    globals: &'a Globals,
    request: &'a Request,
    store: &'a Store,
    chosen: Chosen,
    scope: Scope,
    /// The configuration after the instructions so far.
    config: ImageConfig,
    cmd_set: bool,
    needs: Vec<usize>,
    problems: Vec<Diagnostic>,
    steps: Vec<PlannedStep>,
}

impl Planner<'_> {
    /// What FROM does to the configuration; returns how many triggers it added as steps.
    fn begin(&mut self) -> usize {
        State::settle(&mut self.config);
        let triggers = self.config.config.on_build.take().unwrap_or_default();
        let span = self.dockerfile.stages[self.ordinal].span;
        for trigger in &triggers {
            match kiln_dockerfile::parse_instruction(trigger) {
                // A trigger stands in no file of ours: problems point at FROM.
                Ok(instruction) => self.instruction_at(&instruction, Some(span)),
                Err(problems) => self.problems.extend(problems.into_iter().map(|problem| Diagnostic { span, ..problem })),
            }
        }
        triggers.len()
    }

    fn instruction(&mut self, instruction: &Instruction) {
        self.instruction_at(instruction, None);
    }

    fn instruction_at(&mut self, instruction: &Instruction, span: Option<Span>) {
        let shown_at = span.unwrap_or(instruction.span);
        match self.op(instruction) {
            Ok(op) => {
                if let Op::Metadata { edit, .. } | Op::Workdir { edit, .. } = &op {
                    edit.apply(&mut self.config);
                }
                self.steps.push(PlannedStep { text: instruction.text.clone(), span: shown_at, op });
            }
            Err(problem) => self.problems.push(Diagnostic { span: span.unwrap_or(problem.span), ..problem }),
        }
    }

    fn op(&mut self, instruction: &Instruction) -> Result<Op, Diagnostic> {
        Ok(match &instruction.kind {
            Kind::Run(run) => Op::Run(self.run(run, instruction)?),
            Kind::Copy(copy) => {
                if copy.parents {
                    return Err(not_yet("COPY --parents", instruction.span));
                }
                let from = copy.from.as_ref().map_or(Ok(CopyFrom::Context), |word| self.copy_from(word))?;
                Op::Copy(self.transfer("COPY", &copy.transfer, from, false)?)
            }
            Kind::Add(add) => {
                if let Some(word) = &add.checksum {
                    return Err(not_yet("ADD --checksum", word.span));
                }
                Op::Copy(self.transfer("ADD", &add.transfer, CopyFrom::Context, add.unpack != Some(false))?)
            }
            Kind::Workdir(word) => self.workdir(word)?,
            Kind::Env(list) => {
                let list = self.pairs(list)?;
                let comment = format!("ENV {}", words::pairs(&list));
                Op::Metadata { edit: Edit::Env(list), comment }
            }
            Kind::Label(list) => {
                let list = self.pairs(list)?;
                let comment = format!("LABEL {}", words::pairs(&list));
                Op::Metadata { edit: Edit::Label(list), comment }
            }
            Kind::Arg(arguments) => {
                let mut shown = Vec::new();
                for argument in arguments {
                    let default = argument.default.as_ref().map(|word| self.expand(word)).transpose()?;
                    shown.push(match &default {
                        Some(default) => format!("{}={default}", argument.name.text),
                        None => argument.name.text.clone(),
                    });
                    self.scope.declare(self.globals, &argument.name, default);
                }
                Op::Metadata { edit: Edit::Nothing, comment: format!("ARG {}", shown.join(" ")) }
            }
            Kind::Cmd(command) => {
                self.cmd_set = true;
                let argv = self.argv(command);
                let comment = format!("CMD {}", words::quoted_list(&argv));
                Op::Metadata { edit: Edit::Cmd(argv), comment }
            }
            Kind::Entrypoint(command) => {
                let argv = self.argv(command);
                let comment = format!("ENTRYPOINT {}", words::quoted_list(&argv));
                Op::Metadata { edit: Edit::Entrypoint { argv, reset_cmd: !self.cmd_set }, comment }
            }
            Kind::Expose(list) => {
                let ports = self.ports(list)?;
                let comment = format!("EXPOSE {}", ports.join(" "));
                Op::Metadata { edit: Edit::Expose(ports), comment }
            }
            Kind::Volume(list) => {
                let paths = list.iter().map(|word| self.expand(word)).collect::<Result<Vec<_>, _>>()?;
                let comment = format!("VOLUME [{}]", paths.join(" "));
                Op::Metadata { edit: Edit::Volume(paths), comment }
            }
            Kind::User(word) => {
                let user = self.expand(word)?;
                let comment = format!("USER {user}");
                Op::Metadata { edit: Edit::User(user), comment }
            }
            Kind::StopSignal(word) => {
                let signal = self.expand(word)?;
                let comment = format!("STOPSIGNAL {signal}");
                Op::Metadata { edit: Edit::StopSignal(signal), comment }
            }
            Kind::Shell(shell) => {
                Op::Metadata { comment: format!("SHELL [{}]", shell.join(" ")), edit: Edit::Shell(shell.clone()) }
            }
            Kind::Maintainer(word) => {
                Op::Metadata { comment: format!("MAINTAINER {word}"), edit: Edit::Author(word.text.clone()) }
            }
            Kind::Healthcheck(check) => {
                let check = self.healthcheck(check);
                let comment = format!("HEALTHCHECK {}", words::quoted_list(&check.test));
                Op::Metadata { edit: Edit::Healthcheck(check), comment }
            }
            Kind::OnBuild(on_build) => {
                let trigger = on_build.trigger.clone();
                Op::Metadata { comment: format!("ONBUILD {trigger}"), edit: Edit::OnBuild(trigger) }
            }
        })
    }

    fn expand(&self, word: &Word) -> Result<String, Diagnostic> {
        kiln_dockerfile::expand(word, &|name| self.lookup(name), self.globals.escape)
            .map_err(|error| bad_expansion(&error, word.span))
    }

    /// ENV wins over ARG.
    fn lookup(&self, name: &str) -> Option<String> {
        let env = self.config.config.env.as_deref().unwrap_or_default();
        scope::lookup(env, name).or_else(|| self.scope.get(name)).map(str::to_owned)
    }

    fn pairs(&self, pairs: &[Pair]) -> Result<Vec<(String, String)>, Diagnostic> {
        pairs.iter().map(|pair| Ok((self.expand(&pair.key)?, self.expand(&pair.value)?))).collect()
    }

    /// `80` → `80/tcp`; ranges one by one.
    fn ports(&self, list: &[Word]) -> Result<Vec<String>, Diagnostic> {
        let mut ports = Vec::new();
        for word in list {
            let expanded = kiln_dockerfile::expand_words(word, &|name| self.lookup(name), self.globals.escape)
                .map_err(|error| bad_expansion(&error, word.span))?;
            for text in expanded {
                let (range, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let wrong = || {
                    Diagnostic::error("bad-port", word.span, format!("`{text}` is not a port"))
                        .hint("write PORT, PORT/udp or FIRST-LAST, with numbers up to 65535")
                };
                let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else { return Err(wrong()) };
                if first > last || !matches!(&*protocol.to_ascii_lowercase(), "tcp" | "udp" | "sctp") {
                    return Err(wrong());
                }
                ports.extend((first..=last).map(|port| format!("{port}/{}", protocol.to_ascii_lowercase())));
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

    fn in_shell(&self, text: &str) -> Vec<String> {
        let mut argv = shell_of(&self.config.config);
        argv.push(text.to_owned());
        argv
    }

    fn healthcheck(&self, check: &Healthcheck) -> kiln_image::Healthcheck {
        let nanoseconds = |duration: &std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        match check {
            Healthcheck::None => {
                kiln_image::Healthcheck { test: vec!["NONE".to_owned()], ..Default::default() }
            }
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
                }
            }
        }
    }

    fn workdir(&self, word: &Word) -> Result<Op, Diagnostic> {
        let text = self.expand(word)?;
        let path = paths::join(&paths::clean(&self.config.config.working_dir), text.as_bytes());
        let absolute = format!("/{}", String::from_utf8_lossy(&path));
        let comment = format!("WORKDIR {absolute}");
        Ok(Op::Workdir { path, edit: Edit::Workdir(absolute), comment })
    }

    fn copy_from(&mut self, word: &Word) -> Result<CopyFrom, Diagnostic> {
        let name = self.expand(word)?;
        if let Some(stage) = find_stage(self.dockerfile, &name, self.ordinal) {
            self.needs.push(stage);
            return Ok(CopyFrom::Stage(stage));
        }
        let later = find_stage(self.dockerfile, &name, self.dockerfile.stages.len());
        if later.is_some() || name.parse::<usize>().is_ok() {
            return Err(Diagnostic::error("unknown-stage", word.span, format!("no stage `{name}` before this one"))
                .hint("stages can copy only from stages that stand above them"));
        }
        let known: Vec<_> = self.dockerfile.stages[..self.ordinal].iter().filter_map(|stage| stage.name()).collect();
        let close = kiln_dockerfile::closest(&name, known.iter().copied());
        let image = self.store.resolve(&name).map_err(|error| {
            let problem =
                Diagnostic::error("unknown-stage", word.span, format!("`{name}` is neither a stage nor an image: {error}"));
            match close {
                Some(close) => problem.hint(format!("did you mean the stage `{close}`?")),
                None => problem.hint("name a stage above with `FROM … AS name`, or load the image into the store"),
            }
        })?;
        Ok(CopyFrom::Image(Box::new(image)))
    }

    fn transfer(
        &self,
        keyword: &'static str,
        transfer: &Transfer,
        from: CopyFrom,
        unpack: bool,
    ) -> Result<Copy, Diagnostic> {
        if let Some(word) = transfer.exclude.first() {
            return Err(not_yet(&format!("{keyword} --exclude"), word.span));
        }
        let mut sources = Vec::new();
        for source in &transfer.sources {
            sources.push(match source {
                Source::Path(word) => {
                    let pattern = self.expand(word)?;
                    if keyword == "ADD" && is_remote(&pattern) {
                        return Err(not_yet("ADD from a URL", word.span)
                            .hint("download the file before the build, or in a RUN step"));
                    }
                    CopySource::Path { pattern, span: word.span }
                }
                Source::Inline(heredoc) => {
                    let content = if heredoc.expand {
                        kiln_dockerfile::expand_heredoc(&heredoc.content, &|name| self.lookup(name))
                            .map_err(|error| bad_expansion(&error, heredoc.span))?
                    } else {
                        heredoc.content.clone()
                    };
                    CopySource::Inline { name: heredoc.name.clone(), content: content.into_bytes() }
                }
            });
        }
        let destination = self.expand(&transfer.destination)?;
        let mut target = paths::join(&paths::clean(&self.config.config.working_dir), destination.as_bytes());
        target.insert(0, b'/');
        let names_directory = destination.ends_with('/') || matches!(paths::name(destination.as_bytes()), b"." | b".." | b"");
        if names_directory && !target.ends_with(b"/") {
            target.push(b'/');
        }
        let chown = transfer.chown.as_ref().map(|word| self.expand(word)).transpose()?;
        let chmod = transfer.chmod.as_ref().map(|word| {
            let text = self.expand(word)?;
            ModeChange::parse(&text).map_err(|error| Diagnostic::error("bad-chmod", word.span, error.to_string()))
        });
        let chmod = chmod.transpose()?;
        Ok(Copy { keyword, sources, from, destination, target, chown, chmod, unpack })
    }

    fn run(&self, run: &kiln_dockerfile::Run, instruction: &Instruction) -> Result<Run, Diagnostic> {
        if let Some(mount) = run.mounts.first() {
            return Err(not_yet("RUN --mount", mount.span));
        }
        if let Some(word) = run.devices.first() {
            return Err(not_yet("RUN --device", word.span));
        }
        if let Some(word) = run.security.as_ref().filter(|word| word.text == "insecure") {
            return Err(not_yet("RUN --security=insecure", word.span));
        }
        let network = match &run.network {
            None => Network::Host,
            Some(word) => match self.expand(word)?.as_str() {
                "default" | "host" => Network::Host,
                "none" => Network::None,
                other => {
                    return Err(Diagnostic::error("bad-network", word.span, format!("unknown network `{other}`"))
                        .hint("it is one of default, none and host"));
                }
            },
        };
        let (argv, shell_form) = match &run.program {
            Program::Exec(argv) => (argv.clone(), false),
            Program::Shell(text) => (self.in_shell(text), true),
            Program::Script(_) => return Err(not_yet("a RUN here-document that begins with `#!`", instruction.span)),
        };
        let env = self.config.config.env.as_deref().unwrap_or_default();
        let args = self.scope.visible(env);
        let command = words::command_line(&args, &argv);
        let mut variables: Vec<(String, String)> = env
            .iter()
            .map(|line| line.split_once('=').unwrap_or((line, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        variables.extend(args);
        let unkeyed = self.globals.proxies().into_iter().filter(|(name, _)| !self.scope.declares(name)).collect();
        let clock = if self.scope.declares("SOURCE_DATE_EPOCH") {
            self.scope.get("SOURCE_DATE_EPOCH").and_then(|epoch| epoch.parse().ok()).or(self.request.epoch)
        } else {
            None
        };
        let working_dir = &self.config.config.working_dir;
        Ok(Run {
            argv,
            shell_form,
            env: variables,
            unkeyed_env: unkeyed,
            cwd: if working_dir.is_empty() { "/".to_owned() } else { working_dir.clone() },
            user: self.config.config.user.clone(),
            network,
            executor: match instruction.executor {
                Some(_) if self.request.executor == ExecutorChoice::Auto => {
                    chosen(self.request, instruction.executor, &Platform::host())
                }
                _ => self.chosen,
            },
            clock: clock.unwrap_or(KILN_CLOCK),
            command,
        })
    }
}

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "git@", "ssh://"].iter().any(|scheme| source.starts_with(scheme))
}

fn not_yet(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error("not-supported", span, format!("{what} is not supported by this version of kiln"))
}
