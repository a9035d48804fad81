//! What commands of RUN do: kiln's own rules. They look at names of programs, so they know only the usual ones.

use super::Lint;
use super::rules::{KILN_NON_DETERMINISTIC_RUN, KILN_NOT_WASI_CAPABLE, KILN_RUN_NEEDS_NETWORK, KILN_SHELL_BACKGROUND};
use super::shell::{Command, commands};
use crate::walk::At;
use crate::{Kind, MountKind, Program, Run, walk};

/// Programs, and which of their verbs use the network; none for all of them.
const NETWORK: &[(&str, &[&str])] = &[
    ("apk", &["add", "update", "upgrade", "fetch"]),
    ("apt", &["update", "install", "upgrade", "full-upgrade"]),
    ("apt-get", &["update", "install", "upgrade", "dist-upgrade", "download", "source", "build-dep"]),
    ("aria2c", &[]),
    ("bundle", &["install", "update"]),
    ("cargo", &["install", "fetch", "update"]),
    ("composer", &["install", "update", "require", "create-project"]),
    ("conda", &["install", "create", "update"]),
    ("curl", &[]),
    ("dnf", &["install", "update", "upgrade", "makecache"]),
    ("dotnet", &["restore"]),
    ("gem", &["install", "update"]),
    ("git", &["clone", "fetch", "pull", "submodule", "ls-remote"]),
    ("go", &["get", "install", "mod"]),
    ("microdnf", &["install", "update", "upgrade"]),
    ("npm", &["install", "i", "ci", "update"]),
    ("npx", &[]),
    ("pacman", &[]),
    ("pip", &["install", "download"]),
    ("pip3", &["install", "download"]),
    ("pnpm", &["install", "i", "add"]),
    ("rustup", &["install", "update", "toolchain", "target", "component"]),
    ("scp", &[]),
    ("svn", &["checkout", "co", "export", "update"]),
    ("wget", &[]),
    ("yarn", &["install", "add", ""]),
    ("yum", &["install", "update", "upgrade", "makecache"]),
    ("zypper", &["install", "in", "update", "refresh"]),
];

/// They install programs for Linux, or ask its kernel for what WASI does not have.
const NATIVE_ONLY: [&str; 21] = [
    "apk",
    "apt",
    "apt-get",
    "chroot",
    "dnf",
    "docker",
    "dpkg",
    "iptables",
    "ldconfig",
    "microdnf",
    "modprobe",
    "mount",
    "pacman",
    "rpm",
    "service",
    "su",
    "sysctl",
    "systemctl",
    "umount",
    "yum",
    "zypper",
];

/// Whoever says one of these knows that something runs in the background.
const KNOWS_BACKGROUND: [&str; 14] = [
    "bg",
    "disown",
    "fg",
    "jobs",
    "kill",
    "killall",
    "pkill",
    "sleep",
    "timeout",
    "trap",
    "until",
    "wait",
    "wait-for-it",
    "while",
];

impl Lint<'_> {
    pub(super) fn run(&mut self, at: &At<'_>) {
        let Kind::Run(run) = &at.instruction.kind else { return };
        let script;
        let (commands, text) = match &run.program {
            Program::Shell(text) => {
                script = text.contains('\n');
                (commands(text), text.as_str())
            }
            Program::Exec(words) => {
                script = true;
                (vec![Command { words: words.clone(), ..Command::default() }], "")
            }
            // What another interpreter reads is not looked at.
            Program::Script(_) => return,
        };
        if !script {
            self.background(at, &commands, text);
        }
        self.network(at, run, &commands);
        self.not_deterministic(at, &commands);
        self.native_only(at, run, &commands);
    }

    /// `a & b`, where `a && b` was meant.
    fn background(&mut self, at: &At<'_>, commands: &[Command], text: &str) {
        let Some(command) = commands.iter().find(|command| command.background && !command.nested) else { return };
        let word = |word: &str| KNOWS_BACKGROUND.contains(&word.trim_end_matches(".sh"));
        if text.contains("$!") || text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '.').any(word) {
            return;
        }
        let name = command.name();
        let detail = format!("`{name}` runs in the background and its failure goes unnoticed: write && in place of &");
        self.warn(&KILN_SHELL_BACKGROUND, at.instruction.span, detail);
    }

    fn network(&mut self, at: &At<'_>, run: &Run, commands: &[Command]) {
        if run.network.as_ref().is_some_and(|network| network.eq_ignore_ascii_case("none")) {
            return;
        }
        let uses = |command: &&Command| {
            let verbs = NETWORK.iter().find(|(name, _)| *name == command.name()).map(|(_, verbs)| *verbs);
            let offline = ["--no-network", "--no-index", "--offline", "--version", "--help"];
            let by_module = command.name().starts_with("python") && command.has("pip") && command.has("install");
            (by_module || verbs.is_some_and(|verbs| verbs.is_empty() || verbs.contains(&command.verb())))
                && !offline.iter().any(|option| command.has(option))
        };
        if let Some(command) = commands.iter().find(uses) {
            let shown = [command.name(), command.verb()].join(" ");
            let shown = if NETWORK.contains(&(command.name(), &[])) { command.name() } else { shown.trim_end() };
            let detail = format!("`{shown}` takes what the network has when it is run: another day, another image");
            self.warn(&KILN_RUN_NEEDS_NETWORK, at.instruction.span, detail);
        }
    }

    fn not_deterministic(&mut self, at: &At<'_>, commands: &[Command]) {
        let random = |command: &Command| {
            let word = |word: &String| {
                let variable = word.contains("$RANDOM") || word.contains("${RANDOM}");
                variable && !word.contains("\\$") || word.contains("/dev/urandom") || word.contains("/dev/random")
            };
            command.words.iter().find(|each| word(each)).cloned()
        };
        let by_name = |command: &Command| {
            let fixed = ["-d", "--date", "-r", "--reference"];
            let is_fixed = command.words.iter().any(|word| fixed.iter().any(|option| word.starts_with(option)));
            let (name, verb) = (command.name(), command.verb());
            match name {
                "date" => !is_fixed,
                "uuidgen" | "ssh-keygen" => true,
                "openssl" => matches!(verb, "rand" | "genrsa" | "genpkey" | "req"),
                _ => false,
            }
        };
        let found = commands
            .iter()
            .find_map(|command| random(command).or_else(|| by_name(command).then(|| command.name().to_owned())));
        if let Some(what) = found {
            let detail = format!("`{what}` is different each time the step is run");
            self.warn(&KILN_NON_DETERMINISTIC_RUN, at.instruction.span, detail);
        }
    }

    fn native_only(&mut self, at: &At<'_>, run: &Run, commands: &[Command]) {
        let mounts = run.mounts.iter().filter_map(|mount| walk::resolve(mount, at.state, at.globals));
        let has_agent = mounts.map(|mount| mount.kind).any(|kind| matches!(kind, MountKind::Ssh { .. }));
        let program = commands.iter().find(|command| NATIVE_ONLY.contains(&command.name()));
        let reason = if has_agent {
            "an agent's socket (--mount=type=ssh)".to_owned()
        } else if run.security.as_ref().is_some_and(|security| security.eq_ignore_ascii_case("insecure")) {
            "privileges (--security=insecure)".to_owned()
        } else if !run.devices.is_empty() {
            "a device (--device)".to_owned()
        } else if let Some(command) = program {
            format!("`{}`, a program for Linux", command.name())
        } else {
            return;
        };
        self.warn(&KILN_NOT_WASI_CAPABLE, at.instruction.span, format!("The WASI executor cannot give {reason}"));
    }
}
