//! A readable form of what the parser returns.

use kiln_dockerfile::*;
use std::fmt::Write as _;
use std::time::Duration;

pub(super) fn result(text: &[u8]) -> String {
    let mut out = String::new();
    let (dockerfile, errors) = parse_all(text, "Dockerfile");
    match errors.is_empty() {
        true => file(&dockerfile, &mut out),
        false => errors.iter().for_each(|problem| diagnostic(text, problem, &mut out)),
    }
    for warning in &dockerfile.warnings {
        let _ = writeln!(out, "{}: {}", warning.rule, warning.detail);
        excerpt(text, warning.span, &mut out);
    }
    out
}

fn file(dockerfile: &Dockerfile, out: &mut String) {
    let directives = &dockerfile.directives;
    if directives.escape != b'\\' {
        let _ = writeln!(out, "escape {}", char::from(directives.escape));
    }
    optional("syntax", &directives.syntax, out);
    optional("check", &directives.check, out);
    executor(&dockerfile.executor, "", out);
    for argument in &dockerfile.global_args {
        instruction(argument, "", out);
    }
    for stage in &dockerfile.stages {
        let _ = writeln!(out, "{}: {}", stage.line, stage.text);
        executor(&stage.executor, "    ", out);
        let _ = writeln!(out, "    image {:?}", stage.from.image.text);
        for (name, value) in [("platform", &stage.from.platform), ("name", &stage.from.name)] {
            out.push_str(if value.is_some() { "    " } else { "" });
            optional(name, value, out);
        }
        for each in &stage.instructions {
            instruction(each, "  ", out);
        }
    }
}

fn optional(name: &str, value: &Option<Word>, out: &mut String) {
    if let Some(value) = value {
        let _ = writeln!(out, "{name} {:?}", value.text);
    }
}

fn executor(pragma: &Option<Pragma>, indent: &str, out: &mut String) {
    if let Some(pragma) = pragma {
        let _ = writeln!(out, "{indent}executor {:?}", pragma.executor);
    }
}

fn instruction(instruction: &Instruction, indent: &str, out: &mut String) {
    let _ = writeln!(out, "{indent}{}: {}", instruction.line, instruction.text);
    let indent = format!("{indent}    ");
    executor(&instruction.executor, &indent, out);
    for line in kind(&instruction.kind) {
        let _ = writeln!(out, "{indent}{line}");
    }
}

fn kind(kind: &Kind) -> Vec<String> {
    match kind {
        Kind::Add(add) => {
            let mut lines = transfer(&add.transfer);
            flag("checksum", &add.checksum, &mut lines);
            lines.extend(add.keep_git_dir.map(|value| format!("keep-git-dir {value}")));
            lines.extend(add.unpack.map(|value| format!("unpack {value}")));
            lines
        }
        Kind::Arg(arguments) => arguments
            .iter()
            .map(|argument| match &argument.default {
                Some(default) => format!("{:?} = {:?}", argument.name.text, default.text),
                None => format!("{:?}", argument.name.text),
            })
            .collect(),
        Kind::Cmd(form) | Kind::Entrypoint(form) => vec![command(form)],
        Kind::Copy(copy) => {
            let mut lines = transfer(&copy.transfer);
            flag("from", &copy.from, &mut lines);
            lines.extend(copy.parents.then(|| "parents".to_owned()));
            lines
        }
        Kind::Env(pairs) | Kind::Label(pairs) => {
            pairs.iter().map(|pair| format!("{:?} = {:?}", pair.key.text, pair.value.text)).collect()
        }
        Kind::Expose(words) | Kind::Volume(words) => words.iter().map(|word| format!("{:?}", word.text)).collect(),
        Kind::Healthcheck(check) => healthcheck(check),
        Kind::Maintainer(word) | Kind::StopSignal(word) | Kind::User(word) | Kind::Workdir(word) => {
            vec![format!("{:?}", word.text)]
        }
        Kind::OnBuild(kept) => {
            let mut out = String::new();
            instruction(&kept.instruction, "", &mut out);
            let trigger = format!("trigger {:?}", kept.trigger);
            std::iter::once(trigger).chain(out.lines().map(str::to_owned)).collect()
        }
        Kind::Run(run) => {
            let mut lines = vec![match &run.program {
                Program::Shell(text) => format!("shell {text:?}"),
                Program::Exec(arguments) => format!("exec {arguments:?}"),
                Program::Script(heredoc) => format!("script {} {:?}", heredoc.name, heredoc.content),
            }];
            lines.extend(run.mounts.iter().map(|mount| format!("mount {:?}", mount.options)));
            flag("network", &run.network, &mut lines);
            flag("security", &run.security, &mut lines);
            lines.extend(run.devices.iter().map(|device| format!("device {:?}", device.text)));
            lines
        }
        Kind::Shell(arguments) => vec![format!("exec {arguments:?}")],
    }
}

fn flag(name: &str, value: &Option<Word>, lines: &mut Vec<String>) {
    lines.extend(value.as_ref().map(|value| format!("{name} {:?}", value.text)));
}

fn command(command: &Command) -> String {
    match command {
        Command::Shell(text) => format!("shell {text:?}"),
        Command::Exec(arguments) => format!("exec {arguments:?}"),
    }
}

fn transfer(transfer: &Transfer) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for source in &transfer.sources {
        lines.push(match source {
            Source::Path(path) => format!("source {:?}", path.text),
            Source::Inline(heredoc) => {
                let expand = if heredoc.expand { "" } else { ", not expanded" };
                format!("heredoc {:?}: {:?}{expand}", heredoc.name, heredoc.content)
            }
        });
    }
    lines.push(format!("destination {:?}", transfer.destination.text));
    flag("chown", &transfer.chown, &mut lines);
    flag("chmod", &transfer.chmod, &mut lines);
    lines.extend(transfer.link.then(|| "link".to_owned()));
    lines.extend(transfer.exclude.iter().map(|pattern| format!("exclude {:?}", pattern.text)));
    lines
}

fn healthcheck(check: &Healthcheck) -> Vec<String> {
    let Healthcheck::Check { command: form, interval, timeout, start_period, start_interval, retries } = check else {
        return vec!["none".to_owned()];
    };
    let mut lines = vec![command(form)];
    for (name, time) in [
        ("interval", interval),
        ("timeout", timeout),
        ("start-period", start_period),
        ("start-interval", start_interval),
    ] {
        lines.extend((*time != Duration::ZERO).then(|| format!("{name} {time:?}")));
    }
    lines.extend((*retries != 0).then(|| format!("retries {retries}")));
    lines
}

/// The problem, its line with the place marked, and the hint.
pub(super) fn diagnostic(text: &[u8], problem: &Diagnostic, out: &mut String) {
    let _ = writeln!(out, "error[{}]: {}", problem.code, problem.message);
    excerpt(text, problem.span, out);
    if let Some(hint) = &problem.hint {
        let _ = writeln!(out, "     = {hint}");
    }
}

pub(super) fn excerpt(text: &[u8], span: Span, out: &mut String) {
    let start = text[..span.start].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let end = text[start..].iter().position(|&byte| byte == b'\n').map_or(text.len(), |at| start + at);
    let number = 1 + text[..start].iter().filter(|&&byte| byte == b'\n').count();
    let width = |range: std::ops::Range<usize>| String::from_utf8_lossy(&text[range]).chars().count();
    let before = width(start..span.start);
    let marked = width(span.start..span.end.clamp(span.start, end.max(span.start)));
    let line = String::from_utf8_lossy(&text[start..end]).replace(['\t', '\r'], " ");
    let _ = writeln!(out, "{number:>4} | {}", line.trim_end());
    let _ = writeln!(out, "     | {}{}", " ".repeat(before), "^".repeat(marked.max(1)));
}
