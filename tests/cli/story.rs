//! Reads and runs one story.
//!
//! ```text
//! # Prose, until the next command.
//! needs: cc namespace
//!
//! $ cat > Dockerfile <<END
//! > FROM scratch
//! > END
//! $ kiln build .
//! Using build context  2.048kB
//! Step 1/1 : FROM scratch
//! ...
//! [1]
//! ```
//!
//! A command goes on in lines that begin with `> `. What follows it is its standard output and error together; `...`
//! stands for any lines, placeholders are those of `pattern.rs`; `[n]` at the end is an exit code other than 0.
//!
//! `needs: registry` gives the story a registry of its own: `$REGISTRY` in its commands and in what is expected is where
//! it listens (always five digits of a port). `needs: login-registry` is one that knows only the user `kiln` with the
//! password `correct horse`: `$LOGIN_REGISTRY`. Neither the home nor any configuration of this machine is used: `$HOME`,
//! `$KILN_CONFIG` and `$KILN_DAEMON_JSON` are the story's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::pattern::Pattern;
use crate::registry::{self, Registry};

#[derive(Default)]
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
    code: i32,
}

#[expect(clippy::print_stderr, reason = "a skipped test says why")]
pub(crate) fn tell(path: &Path) {
    let text = std::fs::read_to_string(path).expect("a story");
    let (needs, steps) = parse(&text);
    for need in &needs {
        if let Err(reason) = met(need) {
            assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none_or(|require| require != "1"), "{reason}");
            eprintln!("skipped {}: {reason}", path.display());
            return;
        }
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let place = Place::new(folder.path(), &needs);
    let mut known = BTreeMap::new();
    for mut step in steps {
        step.expected.iter_mut().for_each(|line| *line = place.named(line));
        let (output, code) = run(&step.command, &place);
        // Whether compiling takes long enough for a word depends on the machine.
        let lines: Vec<&str> = output.lines().filter(|line| !line.starts_with("kiln: compil")).collect();
        if !matches(&step.expected, &lines, &mut known) || code != step.code {
            let mut message = format!("{}:{}: $ {}\n", path.display(), step.line, step.command);
            let _ = write!(message, "expected [{}]:\n{}\n", step.code, step.expected.join("\n"));
            let _ = write!(message, "found [{code}]:\n{output}");
            panic!("{message}");
        }
    }
}

fn parse(text: &str) -> (Vec<String>, Vec<Step>) {
    let mut needs = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    let mut prose = true;
    for (at, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { line: at + 1, command: command.to_owned(), ..Step::default() });
            prose = false;
        } else if let Some(list) = line.strip_prefix("needs: ") {
            needs.extend(list.split(' ').map(str::to_owned));
        } else if line.starts_with("# ") && (prose || is_prose(line)) {
            prose = true;
        } else if !prose && let Some(step) = steps.last_mut() {
            match line.strip_prefix('>') {
                Some(more) if step.expected.is_empty() => {
                    step.command.push('\n');
                    step.command.push_str(more.strip_prefix(' ').unwrap_or(more));
                }
                _ => step.expected.push(line.to_owned()),
            }
        }
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(String::is_empty) {
            step.expected.pop();
        }
        let code = step.expected.last().and_then(|line| line.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
        if let Some(code) = code {
            step.expected.pop();
            step.code = code;
        }
    }
    (needs, steps)
}

/// kiln itself writes such a line, under a FROM that has triggers.
fn is_prose(line: &str) -> bool {
    !line.starts_with("# Executing ")
}

/// Where a story takes place.
struct Place<'a> {
    folder: &'a Path,
    /// By the variable that tells where they listen.
    registries: Vec<(&'static str, Registry)>,
}

impl<'a> Place<'a> {
    fn new(folder: &'a Path, needs: &[String]) -> Self {
        for directory in ["work", "home"] {
            std::fs::create_dir(folder.join(directory)).expect("ours");
        }
        std::fs::write(folder.join("config.toml"), "").expect("ours");
        std::fs::write(folder.join("daemon.json"), "{}").expect("ours");
        let registry = |need: &String| {
            let (variable, login) = match need.as_str() {
                "registry" => ("REGISTRY", false),
                "login-registry" => ("LOGIN_REGISTRY", true),
                _ => return None,
            };
            Some((variable, Registry::start(&registry::Options { login, ..registry::Options::default() })))
        };
        Self { folder, registries: needs.iter().filter_map(registry).collect() }
    }

    /// With the hosts of registries in place of their variables.
    fn named(&self, line: &str) -> String {
        self.registries
            .iter()
            .fold(line.to_owned(), |line, (variable, registry)| line.replace(&format!("${variable}"), &registry.host()))
    }
}

/// A shell that ignores no signal, though the tests were started by `nohup` or in the background of a script. Where
/// `env` cannot do that, what it inherits.
fn shell() -> Command {
    static RESETS: LazyLock<bool> = LazyLock::new(|| {
        let mut env = Command::new("env");
        env.args(["--default-signal", "true"]).stderr(Stdio::null());
        env.status().is_ok_and(|status| status.success())
    });
    if !*RESETS {
        return Command::new("sh");
    }
    let mut env = Command::new("env");
    env.args(["--default-signal", "sh"]);
    env
}

fn run(command: &str, place: &Place<'_>) -> (String, i32) {
    let program = Path::new(env!("CARGO_BIN_EXE_kiln"));
    let folder = program.parent().expect("a program is in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = shell()
        .arg("-c")
        .arg(format!("exec 2>&1\n{command}"))
        .current_dir(place.folder.join("work"))
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("HOME", place.folder.join("home"))
        .env("KILN_ROOT", place.folder.join("store"))
        .env("KILN_CONFIG", place.folder.join("config.toml"))
        .env("KILN_DAEMON_JSON", place.folder.join("daemon.json"))
        .envs(place.registries.iter().map(|(variable, registry)| (*variable, registry.host())))
        .env_remove("DOCKER_CONFIG")
        .env_remove("KILN_STORE_MAX_SIZE")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("KILN_EXECUTOR")
        .env_remove("SOURCE_DATE_EPOCH")
        .stdin(Stdio::null())
        .output()
        .expect("sh");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap_or(-1))
}

/// Whether this machine has what a story needs: an executor, `cc` that links statically, a static busybox, or user
/// namespaces with one id, a registry, python3.
fn met(need: &str) -> Result<(), String> {
    let check = match need {
        "namespace" | "wasi" => {
            format!(
                "kiln info --json | tr -d '\\n ' | grep -q '\"Name\":\"{need}\",\"ABI\":\"[^\"]*\",\"Available\":true'"
            )
        }
        "cc" => "echo 'int main(void) { return 0; }' > a.c && cc -static a.c -o a && ./a".to_owned(),
        "python3" => "python3 -c ''".to_owned(),
        "one-id" => "unshare --user --map-root-user true".to_owned(),
        "busybox" => "busybox=$(command -v busybox) && ! ldd \"$busybox\"".to_owned(),
        "registry" | "login-registry" => return registry::missing().map_or(Ok(()), Err),
        other => panic!("no story can need `{other}`"),
    };
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (output, code) = run(&check, &Place::new(folder.path(), &[]));
    if code == 0 { Ok(()) } else { Err(format!("this machine has no {need}: {}", output.trim())) }
}

/// `...` takes as few lines as will do.
fn matches(expected: &[String], found: &[&str], known: &mut BTreeMap<String, String>) -> bool {
    match expected.split_first() {
        None => found.is_empty(),
        Some((first, rest)) if first == "..." => (0..=found.len()).any(|skip| {
            let mut tried = known.clone();
            let fits = matches(rest, &found[skip..], &mut tried);
            if fits {
                *known = tried;
            }
            fits
        }),
        Some((first, rest)) => found
            .split_first()
            .is_some_and(|(line, lines)| Pattern::new(first).matches(line, known) && matches(rest, lines, known)),
    }
}
