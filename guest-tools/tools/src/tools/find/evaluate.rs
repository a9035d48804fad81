//! Tests and actions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Found;
use super::parse::age;
use crate::calendar::SECOND;
use crate::context::{Context, Failure, reason, show};
use crate::escapes;
use crate::pattern::Pattern;
use crate::regex::Regex;
use crate::tools::ls::mode_text;
use crate::tools::names::{base_of, directory_of};
use crate::tools::system::{account_name, run_program, strftime};

pub(super) enum Node {
    Test(Test),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    List(Vec<Node>),
}

#[derive(Clone, Copy)]
pub(super) enum Comparison {
    Exactly(u64),
    More(u64),
    Less(u64),
}

impl Comparison {
    fn holds(self, value: u64) -> bool {
        match self {
            Comparison::Exactly(number) => value == number,
            Comparison::More(number) => value > number,
            Comparison::Less(number) => value < number,
        }
    }
}

pub(super) enum Test {
    True,
    False,
    /// Whether case is ignored; the pattern is in lower case then.
    Name(Pattern, bool),
    Path(Pattern, bool),
    LinkName(Pattern),
    Regex(Box<Regex>),
    Kind(Vec<u32>),
    TargetKind(Vec<u32>),
    Size(Comparison, u64),
    Empty,
    Links(Comparison),
    Inode(Comparison),
    Age(Comparison, i128),
    AccessAge(Comparison, i128),
    Newer(i128),
    Permissions(u8, u32),
    User(u32),
    Group(u32),
    SameFile(u64, u64),
    Prune,
    Quit,
    Print(u8),
    Format(Vec<u8>),
    List,
    Delete,
    Execute(usize),
}

/// A command of `-exec`.
pub(super) struct Command {
    pub(super) words: Vec<Vec<u8>>,
    /// `{} +`.
    pub(super) many: bool,
    pub(super) in_directory: bool,
    /// Names for the next run, by the directory to run in.
    pub(super) waiting: Vec<(PathBuf, Vec<u8>)>,
}

pub(super) struct Plan {
    pub(super) node: Node,
    pub(super) commands: Vec<Command>,
}

#[derive(Default)]
pub(super) struct Verdict {
    pub(super) prune: bool,
    pub(super) quit: bool,
}

/// As many names as one command gets, in bytes.
const MAX_BYTES: usize = 128 * 1024;

impl Plan {
    pub(super) fn evaluate(
        &mut self,
        context: &mut Context,
        found: &Found,
        status: &mut u8,
    ) -> Result<Verdict, Failure> {
        let mut verdict = Verdict::default();
        evaluate(&self.node, &mut self.commands, context, found, &mut verdict, status)?;
        Ok(verdict)
    }

    /// Runs the commands that still have names waiting.
    pub(super) fn finish(&mut self, context: &mut Context, status: &mut u8) -> Result<(), Failure> {
        for command in &mut self.commands {
            command.run_waiting(context, status)?;
        }
        Ok(())
    }
}

fn evaluate(
    node: &Node,
    commands: &mut [Command],
    context: &mut Context,
    found: &Found,
    verdict: &mut Verdict,
    status: &mut u8,
) -> Result<bool, Failure> {
    Ok(match node {
        Node::Not(node) => !evaluate(node, commands, context, found, verdict, status)?,
        Node::And(all) => {
            for node in all {
                if verdict.quit || !evaluate(node, commands, context, found, verdict, status)? {
                    return Ok(false);
                }
            }
            true
        }
        Node::Or(all) => {
            for node in all {
                if evaluate(node, commands, context, found, verdict, status)? || verdict.quit {
                    return Ok(true);
                }
            }
            false
        }
        Node::List(all) => {
            let mut last = false;
            for node in all {
                last = evaluate(node, commands, context, found, verdict, status)?;
            }
            last
        }
        Node::Test(test) => run(test, commands, context, found, verdict, status)?,
    })
}

fn run(
    test: &Test,
    commands: &mut [Command],
    context: &mut Context,
    found: &Found,
    verdict: &mut Verdict,
    status: &mut u8,
) -> Result<bool, Failure> {
    let stat = &found.stat;
    let matches = |pattern: &Pattern, text: &[u8], ignore_case: bool| {
        if ignore_case { pattern.matches(&text.to_ascii_lowercase()) } else { pattern.matches(text) }
    };
    Ok(match test {
        Test::True => true,
        Test::False => false,
        Test::Name(pattern, ignore_case) => matches(pattern, base_of(&found.name), *ignore_case),
        Test::Path(pattern, ignore_case) => matches(pattern, &found.name, *ignore_case),
        Test::LinkName(pattern) => {
            let target = std::fs::read_link(&found.path);
            target.is_ok_and(|target| pattern.matches(crate::context::path_bytes(&target)))
        }
        Test::Regex(regex) => {
            let captures =
                regex.find_whole(&found.name, 0).map_err(|_| Failure::new("the expression is too complex"))?;
            captures.is_some_and(|captures| captures.whole() == (0, found.name.len()))
        }
        Test::Kind(kinds) => kinds.contains(&stat.kind()),
        Test::TargetKind(kinds) => {
            let target = kiln_guest::stat(&found.path, true);
            kinds.contains(&target.map_or(stat.kind(), |stat| stat.kind()))
        }
        Test::Size(comparison, unit) => comparison.holds(stat.size.div_ceil(*unit)),
        Test::Empty => match stat.is_dir() {
            true => std::fs::read_dir(&found.path).is_ok_and(|mut entries| entries.next().is_none()),
            false => stat.is_file() && stat.size == 0,
        },
        Test::Links(comparison) => comparison.holds(u64::from(stat.nlink)),
        Test::Inode(comparison) => comparison.holds(stat.ino),
        Test::Age(comparison, unit) => comparison.holds(age(stat.mtime, *unit)),
        Test::AccessAge(comparison, unit) => comparison.holds(age(stat.atime, *unit)),
        Test::Newer(time) => stat.mtime > *time,
        Test::Permissions(kind, mode) => match kind {
            b'-' => stat.mode & mode == *mode,
            b'/' => *mode == 0 || stat.mode & mode != 0,
            _ => stat.mode & 0o7777 == *mode,
        },
        Test::User(id) => stat.uid == *id,
        Test::Group(id) => stat.gid == *id,
        Test::SameFile(dev, ino) => (stat.dev, stat.ino) == (*dev, *ino),
        Test::Prune => {
            verdict.prune = true;
            true
        }
        Test::Quit => {
            verdict.quit = true;
            true
        }
        Test::Print(end) => {
            context.stdout.write_all(&found.name)?;
            context.stdout.write_all(&[*end])?;
            true
        }
        Test::Format(format) => {
            let text = formatted(context, format, found);
            context.stdout.write_all(&text)?;
            true
        }
        Test::List => {
            let line = format!(
                "{:>9} {:>6} {} {:>3} {} {} {:>8} {} ",
                stat.ino,
                stat.size.div_ceil(1024),
                mode_text(stat.mode),
                stat.nlink,
                stat.uid,
                stat.gid,
                stat.size,
                strftime("%b %e  %Y", stat.mtime)
            );
            context.stdout.write_all(&[line.as_bytes(), &found.name, b"\n"].concat())?;
            true
        }
        Test::Delete => {
            if found.name == b"." {
                return Ok(true);
            }
            let removed =
                if stat.is_dir() { std::fs::remove_dir(&found.path) } else { std::fs::remove_file(&found.path) };
            if let Err(error) = &removed {
                context.complain(format!("cannot delete '{}': {}", show(&found.name), reason(error)));
                *status = 1;
            }
            removed.is_ok()
        }
        Test::Execute(index) => commands[*index].add(context, found, status)?,
    })
}

impl Command {
    fn add(&mut self, context: &mut Context, found: &Found, status: &mut u8) -> Result<bool, Failure> {
        let (directory, name) = match self.in_directory {
            true => (found.path.parent().unwrap_or(&found.path).to_path_buf(), [b"./", base_of(&found.name)].concat()),
            false => (context.cwd.to_path_buf(), found.name.clone()),
        };
        if !self.many {
            let argv: Vec<Vec<u8>> = self.words.iter().map(|word| replaced(word, &name)).collect();
            return Ok(execute(context, &argv, &directory)? == 0);
        }
        let size: usize = self.waiting.iter().map(|(_, name)| name.len() + 1).sum();
        if size + name.len() > MAX_BYTES {
            self.run_waiting(context, status)?;
        }
        self.waiting.push((directory, name));
        Ok(true)
    }

    fn run_waiting(&mut self, context: &mut Context, status: &mut u8) -> Result<(), Failure> {
        let mut runs: BTreeMap<PathBuf, Vec<Vec<u8>>> = BTreeMap::new();
        for (directory, name) in self.waiting.drain(..) {
            runs.entry(directory).or_default().push(name);
        }
        for (directory, names) in runs {
            let argv = [self.words.clone(), names].concat();
            if execute(context, &argv, &directory)? != 0 {
                *status = 1;
            }
        }
        Ok(())
    }
}

fn execute(context: &mut Context, argv: &[Vec<u8>], directory: &std::path::Path) -> Result<u8, Failure> {
    let mut env = context.env.to_vec();
    if directory != context.cwd {
        env.retain(|entry| !entry.starts_with(b"PWD="));
        env.push([b"PWD=", crate::context::path_bytes(directory)].concat());
    }
    match run_program(context, argv, &env, directory) {
        Err(failure) if matches!(failure.status, 126 | 127) => {
            context.complain(&failure.message);
            Ok(failure.status)
        }
        other => other,
    }
}

/// The word with every `{}` replaced.
fn replaced(word: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"{}") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(name);
        rest = &rest[at + 2..];
    }
    out.extend_from_slice(rest);
    out
}

fn formatted(context: &Context, format: &[u8], found: &Found) -> Vec<u8> {
    let decoded = escapes::decode(format, escapes::Style::Format).bytes;
    let stat = &found.stat;
    let mut out = Vec::new();
    let mut rest = decoded.as_slice();
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let flags = rest.iter().take_while(|byte| b"-0123456789.".contains(byte)).count();
        let spec = show(&rest[..flags]).into_owned();
        let Some(&letter) = rest.get(flags) else {
            out.push(b'%');
            break;
        };
        rest = &rest[flags + 1..];
        let name = |file, id: u32| {
            account_name(context, file, id).unwrap_or(if id == 0 { "root".into() } else { id.to_string() })
        };
        let below = &found.name[found.operand_length..];
        let text: Vec<u8> = match letter {
            b'%' => b"%".to_vec(),
            b'p' => found.name.clone(),
            b'f' => base_of(&found.name).to_vec(),
            b'h' => directory_of(&found.name).to_vec(),
            b'P' => below.strip_prefix(b"/").unwrap_or(below).to_vec(),
            b'H' => found.name[..found.operand_length].to_vec(),
            b's' => stat.size.to_string().into(),
            b'k' => stat.size.div_ceil(1024).to_string().into(),
            b'b' => stat.size.div_ceil(512).to_string().into(),
            b'd' => found.depth.to_string().into(),
            b'm' => format!("{:o}", stat.mode & 0o7777).into(),
            b'M' => mode_text(stat.mode).into(),
            b'n' => stat.nlink.to_string().into(),
            b'i' => stat.ino.to_string().into(),
            b'U' => stat.uid.to_string().into(),
            b'G' => stat.gid.to_string().into(),
            b'u' => name("/etc/passwd", stat.uid).into(),
            b'g' => name("/etc/group", stat.gid).into(),
            b'y' => mode_text(stat.mode)[..1].replace('-', "f").into(),
            b'l' => std::fs::read_link(&found.path)
                .map(|path| crate::context::path_bytes(&path).to_vec())
                .unwrap_or_default(),
            b't' | b'c' => strftime("%a %b %e %H:%M:%S.%N0 %Y", stat.mtime).into(),
            b'T' | b'C' | b'A' => {
                let kind = rest.first().copied().unwrap_or(b'@');
                rest = rest.get(1..).unwrap_or_default();
                let time = if letter == b'A' { stat.atime } else { stat.mtime };
                match kind {
                    b'@' => format!("{}.{:09}0", time.div_euclid(SECOND), time.rem_euclid(SECOND)).into(),
                    b'+' => strftime("%Y-%m-%d+%H:%M:%S.%N0", time).into(),
                    kind => strftime(&format!("%{}", kind as char), time).into(),
                }
            }
            other => vec![b'%', other],
        };
        let width: usize = spec.trim_start_matches('-').parse().unwrap_or(0).min(1000);
        let padding = vec![b' '; width.saturating_sub(text.len())];
        if spec.starts_with('-') {
            out.extend([text, padding].concat());
        } else {
            out.extend([padding, text].concat());
        }
    }
    out.extend_from_slice(rest);
    out
}
