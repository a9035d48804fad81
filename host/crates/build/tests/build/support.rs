//! A store, a context and an executor that only interprets a few words.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Barrier, Mutex};

use kiln_build::{
    Built, ContextSource, Environment, Error, Event, PullPolicy, Remote, Reporter, Request, StepId, build,
};
use kiln_exec::{Cancel, Executor, Finished, Io, Output, Process, Root, Status, Stream, Unavailable, Wanted};
use kiln_image::{Change, Content, ImageConfig, Meta, Node, View};
use kiln_store::Store;
use kiln_types::{Digest, Platform};

/// Interprets the text given to the shell: `write PATH TEXT`, `env NAME PATH`, `say TEXT`, `fail CODE [PATH]`, `meet WORD`, `nothing`.
struct Words {
    /// Where so many steps wait for each other.
    meeting: Barrier,
    /// How often something was executed.
    runs: Mutex<Vec<String>>,
}

impl Executor for Words {
    fn abi(&self) -> &'static str {
        "words.v1"
    }

    fn preflight(&self) -> Result<(), Unavailable> {
        Ok(())
    }

    fn run(&self, _: &Root<'_>, process: &Process, io: &Io<'_>) -> Result<Finished, kiln_exec::Error> {
        let text = process.argv.last().expect("argv is never empty");
        self.runs.lock().expect("no panic").push(text.clone());
        let words: Vec<&str> = text.splitn(3, ' ').collect();
        let variable = |name: &str| process.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let mut status = 0;
        let mut changes = Vec::new();
        let mut write = |path: &str, text: String| {
            let meta = Meta { mode: 0o644, uid: process.user.uid, gid: process.user.gid, ..Meta::default() };
            let path = kiln_types::paths::join(&kiln_types::paths::clean(&process.cwd), path.as_bytes());
            changes.push(Change { path, meta, node: Node::File(Content::bytes(text.into_bytes())) });
        };
        match words[..] {
            ["write", path, text] => write(path, text.to_owned()),
            ["env", name, path] => write(path, variable(name).unwrap_or_else(|| "(unset)".to_owned())),
            ["say", ..] => {
                if let Output::Each(each) = io.output {
                    each(Stream::Out, format!("{}\n", &text[4..]).as_bytes());
                }
            }
            ["meet", ..] => drop(self.meeting.wait()),
            ["fail", code] => status = code.parse().expect("a number"),
            ["fail", code, path] => {
                write(path, "what a command left".to_owned());
                status = code.parse().expect("a number");
            }
            _ => {}
        }
        Ok(Finished { status: Status::Exited(status), changes, kept: Vec::new(), directory: None })
    }
}

/// One line for each step, in the order of the Dockerfile: `hit`, `done` or `failed`, and the instruction.
#[derive(Default)]
struct Log {
    steps: Mutex<BTreeMap<StepId, (String, &'static str)>>,
    output: Mutex<Vec<u8>>,
}

impl Reporter for Log {
    fn event(&self, event: Event<'_>) {
        let mut steps = self.steps.lock().expect("no panic");
        match event {
            Event::Started { step, text, .. } => {
                steps.insert(step, (text.to_owned(), "done"));
            }
            Event::Cached { step } => steps.get_mut(&step).expect("started").1 = "hit",
            Event::Failed { step } => steps.get_mut(&step).expect("started").1 = "failed",
            Event::Output { bytes, .. } => self.output.lock().expect("no panic").extend_from_slice(bytes),
            _ => {}
        }
    }
}

/// More than there are processors on the machines that test this.
pub(crate) const MEETING: usize = 40;

pub(crate) struct Bench {
    _directory: tempfile::TempDir,
    pub(crate) context: PathBuf,
    environment: Environment,
    words: Arc<Words>,
}

pub(crate) struct Outcome {
    pub(crate) result: Result<Built, Error>,
    /// `hit RUN …`
    pub(crate) steps: Vec<String>,
    pub(crate) output: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let downloads = directory.path().join("downloads");
        Self::made(directory, &downloads)
    }

    /// Another process that has the same downloads.
    pub(crate) fn with_downloads(downloads: &std::path::Path) -> Self {
        Self::made(tempfile::tempdir().expect("a temporary directory"), downloads)
    }

    fn made(directory: tempfile::TempDir, downloads: &std::path::Path) -> Self {
        let context = directory.path().join("context");
        std::fs::create_dir(&context).expect("a new directory");
        let words = Arc::new(Words { meeting: Barrier::new(MEETING), runs: Mutex::default() });
        let environment = Environment {
            remote: remote(downloads),
            registries: None,
            store: Store::open(&directory.path().join("store")).expect("a new store"),
            namespace: words.clone(),
            wasi: words.clone(),
            cancel: Cancel::new(),
            now: || "2023-11-14T22:13:20Z".parse().expect("a time"),
        };
        Self { _directory: directory, context, environment, words }
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn store(&self) -> &Store {
        &self.environment.store
    }

    pub(crate) fn file(&self, path: &str, text: &str) {
        let path = self.context.join(path);
        std::fs::create_dir_all(path.parent().expect("below the context")).expect("can be made");
        std::fs::write(path, text).expect("can be written");
    }

    pub(crate) fn request(&self, dockerfile: &str) -> Request {
        Request {
            dockerfile: dockerfile.as_bytes().to_vec(),
            dockerfile_name: "Dockerfile".to_owned(),
            context: Some(ContextSource::Directory(self.context.clone())),
            named_contexts: Vec::new(),
            ignore: None,
            context_mode: kiln_build::ContextMode::Posix,
            tags: Vec::new(),
            target: None,
            build_args: Vec::new(),
            platform: Some(Platform::new("linux", "amd64")),
            pull: PullPolicy::Missing,
            secrets: kiln_build::Secrets::new(),
            agents: kiln_build::Agents::new(),
            hosts: Vec::new(),
            network: kiln_exec::Network::Host,
            allow_insecure: false,
            allow_secret_in_layer: false,
            no_cache: false,
            no_cache_filter: Vec::new(),
            explain: false,
            verify_cache: false,
            executor: Wanted::Auto,
            untrusted: false,
            keep_failure: None,
            epoch: None,
            reproducible: false,
            amendments: kiln_build::Amendments::default(),
        }
    }

    pub(crate) fn run(&self, request: &Request) -> Outcome {
        let log = Log::default();
        let result = build(request, &self.environment, &log);
        let steps = log.steps.into_inner().expect("no panic");
        let output = String::from_utf8(log.output.into_inner().expect("no panic")).expect("UTF-8");
        Outcome { result, steps: steps.into_values().map(|(text, how)| format!("{how} {text}")).collect(), output }
    }

    pub(crate) fn build(&self, dockerfile: &str) -> Outcome {
        self.run(&self.request(dockerfile))
    }

    /// What was executed since the last call.
    pub(crate) fn executed(&self) -> Vec<String> {
        std::mem::take(&mut self.words.runs.lock().expect("no panic"))
    }

    pub(crate) fn config(&self, id: Digest) -> ImageConfig {
        self.store().image(&id).expect("a readable store").expect("the image is there").config
    }

    /// How many paths there are, whatever is in them.
    pub(crate) fn count(&self, id: Digest) -> usize {
        self.paths(id).len()
    }

    pub(crate) fn paths(&self, id: Digest) -> Vec<String> {
        let layers = self.config(id).rootfs.diff_ids;
        let layers = layers.iter().map(|layer| self.store().layer(layer).expect("the layer is there")).collect();
        let found = View::new(layers).walk(b"").map(|found| found.expect("a readable layer").path).collect::<Vec<_>>();
        found
            .into_iter()
            .filter(|path| !path.is_empty())
            .map(|path| String::from_utf8_lossy(&path).into_owned())
            .collect()
    }

    /// Every path of the image: `mode uid:gid path -> target` or `… path: text`.
    pub(crate) fn files(&self, id: Digest) -> Vec<String> {
        let layers = self.config(id).rootfs.diff_ids;
        let layers = layers.iter().map(|layer| self.store().layer(layer).expect("the layer is there")).collect();
        let view = View::new(layers);
        let found = view.walk(b"").map(|found| found.expect("a readable layer")).filter(|found| !found.path.is_empty());
        found
            .map(|found| {
                let path = String::from_utf8(found.path).expect("UTF-8");
                let what = match found.node {
                    Node::Directory { .. } => "/".to_owned(),
                    Node::Symlink(target) => format!(" -> {}", String::from_utf8_lossy(&target)),
                    Node::File(content) => {
                        let text = std::io::read_to_string(content.open().expect("opens")).expect("UTF-8");
                        format!(": {text}")
                    }
                    _ => "?".to_owned(),
                };
                format!("{:o} {}:{} {path}{what}", found.meta.mode, found.meta.uid, found.meta.gid)
            })
            .collect()
    }
}

/// Impatient.
fn remote(directory: &std::path::Path) -> Arc<Remote> {
    let settings = kiln_fetch::Settings { attempts: 1, ..Default::default() };
    let path = std::env::var("PATH").expect("a PATH");
    Arc::new(Remote::new(settings, vec![("PATH".to_owned(), path)], directory.to_owned(), Default::default()))
}

impl Outcome {
    pub(crate) fn id(&self) -> Digest {
        match &self.result {
            Ok(built) => built.image,
            Err(error) => panic!("the build failed: {error:?}"),
        }
    }

    pub(crate) fn error(&self) -> String {
        match &self.result {
            Ok(_) => panic!("the build succeeded"),
            Err(Error::Dockerfile(problems)) => {
                problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.to_string(),
        }
    }

    /// `hit`, `done`, `failed` for each step after the first FROM.
    pub(crate) fn how(&self) -> Vec<&str> {
        self.steps[1..].iter().map(|line| line.split(' ').next().expect("never empty")).collect()
    }
}
