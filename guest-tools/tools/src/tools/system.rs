//! What surrounds a process: `env`, `id`, `whoami`, `uname`, `date`, `nproc`, `hostname`.

use kiln_guest::SpawnError;

use crate::calendar::{Civil, MONTHS, SECOND, WEEKDAYS, now, parse_date};
use crate::context::{Context, Failure, Outcome, reason, show};
use crate::options::Spec;

pub fn env(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "i0u:C:S:",
        long: &[("ignore-environment", 'i'), ("null", '0'), ("unset", 'u'), ("chdir", 'C'), ("split-string", 'S')],
        operands_last: true,
    };
    let mut args = context.args.to_vec();
    if args.first().is_some_and(|arg| arg == b"-") {
        args[0] = b"-i".to_vec();
    }
    let given = SPEC.parse(&args).map_err(|failure| failure.with_status(125))?;
    let mut env: Vec<Vec<u8>> = if given.has('i') { Vec::new() } else { context.env.to_vec() };
    let is_of = |entry: &[u8], name: &[u8]| entry.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"="));
    for (letter, value) in &given.options {
        if let ('u', Some(name)) = (letter, value) {
            env.retain(|entry| !is_of(entry, name));
        }
    }
    let mut split: Vec<Vec<u8>> = Vec::new();
    if let Some(text) = given.value('S') {
        split.extend(super::xargs::words(text)?.into_iter().map(|(word, _)| word));
    }
    split.extend_from_slice(&given.operands);
    let mut operands = split.as_slice();
    while let Some((first, rest)) = operands.split_first() {
        let Some(at) = first.iter().position(|&byte| byte == b'=') else { break };
        env.retain(|entry| !is_of(entry, &first[..at]));
        env.push(first.clone());
        operands = rest;
    }
    if operands.is_empty() {
        let end: &[u8] = if given.has('0') { b"\0" } else { b"\n" };
        for entry in env {
            context.stdout.write_all(&[&entry, end].concat())?;
        }
        return Ok(0);
    }
    let cwd = match given.value('C') {
        Some(directory) => context.path(directory),
        None => context.cwd.to_path_buf(),
    };
    run_program(context, operands, &env, &cwd)
}

pub fn printenv(context: &mut Context) -> Outcome {
    let given = Spec::short("0").parse(context.args)?;
    let end: &[u8] = if given.has('0') { b"\0" } else { b"\n" };
    let mut status = 0;
    if given.operands.is_empty() {
        for entry in context.env {
            context.stdout.write_all(&[entry, end].concat())?;
        }
    }
    for name in &given.operands {
        match context.env(&show(name)) {
            Some(value) => context.stdout.write_all(&[value, end].concat())?,
            None => status = 1,
        }
    }
    Ok(status)
}

/// Runs a program with this one's streams and returns its status.
pub fn run_program(context: &mut Context, argv: &[Vec<u8>], env: &[Vec<u8>], cwd: &std::path::Path) -> Outcome {
    context.stdout.flush()?;
    let files: Vec<_> = (0..3).map(kiln_guest::standard_file).collect();
    let fds: Vec<_> = files.iter().zip(0..).collect();
    let started = kiln_guest::spawn(&kiln_guest::Command { argv, env, cwd, fds: &fds });
    // The descriptors belong to the program's own streams.
    files.into_iter().for_each(std::mem::forget);
    let pid = started.map_err(|error| {
        let (why, status) = not_started(error);
        let quote = if context.name == "env" { "'" } else { "" };
        Failure::new(format!("{quote}{}{quote}: {why}", show(&argv[0]))).with_status(status)
    })?;
    match kiln_guest::wait(Some(pid), true) {
        Ok(Some((_, status))) => Ok(status),
        Ok(None) => Ok(0),
        Err(error) => Err(Failure::new(format!("wait: {}", reason(&error))).with_status(125)),
    }
}

fn not_started(error: SpawnError) -> (String, u8) {
    match error {
        SpawnError::NotFound => ("No such file or directory".into(), 127),
        SpawnError::Denied => ("Permission denied".into(), 126),
        SpawnError::NotExecutable => ("Exec format error".into(), 126),
        SpawnError::Other(error) => (reason(&error), 126),
    }
}

/// The names of users or groups by number, as /etc/passwd and /etc/group of the image have them.
pub fn account_name(context: &Context, file: &str, id: u32) -> Option<String> {
    let text = std::fs::read_to_string(context.path(file.as_bytes())).ok()?;
    let wanted = id.to_string();
    let found = text.lines().find(|line| line.split(':').nth(2) == Some(&wanted));
    found.and_then(|line| line.split(':').next()).map(str::to_string)
}

/// The number of a user or group.
pub fn account_id(context: &Context, file: &str, name: &[u8]) -> Option<u32> {
    if let Some(id) = crate::options::number(name) {
        return Some(id);
    }
    let text = std::fs::read_to_string(context.path(file.as_bytes())).ok();
    let name = show(name).into_owned();
    let found = text.as_deref().and_then(|text| text.lines().find(|line| line.split(':').next() == Some(&name)));
    match found.and_then(|line| line.split(':').nth(2)) {
        Some(id) => id.parse().ok(),
        None => (name == "root").then_some(0),
    }
}

/// The home directory of a user. Root has one even where no file says so.
pub fn account_home(name: &[u8]) -> Option<Vec<u8>> {
    let text = std::fs::read("/etc/passwd").unwrap_or_default();
    let mut entries = text.split(|&byte| byte == b'\n').map(|line| line.split(|&byte| byte == b':'));
    let home = entries.find_map(|mut entry| (entry.next() == Some(name)).then(|| entry.nth(4)).flatten());
    home.map(<[u8]>::to_vec).or_else(|| (name == b"root").then(|| b"/root".to_vec()))
}

/// The group of a user.
fn account_group(context: &Context, uid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(context.path(b"/etc/passwd")).ok()?;
    let wanted = uid.to_string();
    let found = text.lines().find(|line| line.split(':').nth(2) == Some(&wanted));
    found.and_then(|line| line.split(':').nth(3)).and_then(|gid| gid.parse().ok())
}

/// The user that a step runs as: WASI has no getuid, but a pipe belongs to who made it.
fn current() -> (u32, u32) {
    let owner = kiln_guest::pipe().and_then(|(read, _)| kiln_guest::stat_file(&read));
    owner.map_or((0, 0), |stat| (stat.uid, stat.gid))
}

pub fn id(context: &mut Context) -> Outcome {
    let given = Spec::short("ugGnr").parse(context.args)?;
    let (mut uid, mut gid) = current();
    if let Some(name) = given.operands.first() {
        let no_such = || Failure::new(format!("'{}': no such user", show(name)));
        uid = account_id(context, "/etc/passwd", name).ok_or_else(no_such)?;
        gid = account_group(context, uid).unwrap_or(gid);
    }
    let user = account_name(context, "/etc/passwd", uid).or((uid == 0).then(|| "root".to_string()));
    let group = account_name(context, "/etc/group", gid).or((gid == 0).then(|| "root".to_string()));
    let one = |id: u32, name: &Option<String>| match name {
        Some(name) if given.has('n') => name.clone(),
        _ => id.to_string(),
    };
    let both = |id: u32, name: &Option<String>| match name {
        Some(name) => format!("{id}({name})"),
        None => id.to_string(),
    };
    let line = match given.last_of("ugG") {
        Some('u') => one(uid, &user),
        Some(_) => one(gid, &group),
        None => format!("uid={} gid={} groups={}", both(uid, &user), both(gid, &group), both(gid, &group)),
    };
    writeln!(context.stdout, "{line}")?;
    Ok(0)
}

pub fn whoami(context: &mut Context) -> Outcome {
    let (uid, _) = current();
    let name = account_name(context, "/etc/passwd", uid).or((uid == 0).then(|| "root".to_string()));
    match name {
        Some(name) => writeln!(context.stdout, "{name}")?,
        None => return Err(Failure::new(format!("cannot find name for user ID {uid}"))),
    }
    Ok(0)
}

pub fn uname(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "asnrvmpio",
        long: &[("all", 'a'), ("kernel-name", 's'), ("machine", 'm'), ("operating-system", 'o')],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    let fields = [('s', "wasip1"), ('n', "localhost"), ('r', "0"), ('v', "0"), ('m', "wasm32"), ('o', "WASI")];
    let chosen = |letter| given.has('a') || given.has(letter) || (given.options.is_empty() && letter == 's');
    let words: Vec<&str> = fields.iter().filter(|(letter, _)| chosen(*letter)).map(|(_, word)| *word).collect();
    let words = if given.has('p') || given.has('i') { vec!["wasm32"] } else { words };
    writeln!(context.stdout, "{}", words.join(" "))?;
    Ok(0)
}

pub fn nproc(context: &mut Context) -> Outcome {
    // The same on every machine, as a step's result must be.
    context.stdout.write_all(b"1\n")?;
    Ok(0)
}

pub fn hostname(context: &mut Context) -> Outcome {
    context.stdout.write_all(b"localhost\n")?;
    Ok(0)
}

pub fn date(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "ud:r:I::R",
        long: &[
            ("utc", 'u'),
            ("universal", 'u'),
            ("date", 'd'),
            ("reference", 'r'),
            ("iso-8601", 'I'),
            ("rfc-3339", 'Ρ'),
            ("rfc-email", 'R'),
        ],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    let time = match (given.value('d'), given.value('r')) {
        (Some(text), _) => parse_date(text).ok_or_else(|| Failure::new(format!("invalid date '{}'", show(text))))?,
        (None, Some(file)) => {
            kiln_guest::stat(&context.path(file), true)
                .map_err(|error| Failure::new(format!("{}: {}", show(file), reason(&error))))?
                .mtime
        }
        (None, None) => now(),
    };
    let format = match given.operands.first() {
        Some(operand) => match operand.strip_prefix(b"+") {
            Some(format) => show(format).into_owned(),
            None => return Err(Failure::new(format!("invalid date '{}'", show(operand)))),
        },
        None if given.has('R') => "%a, %d %b %Y %H:%M:%S %z".into(),
        None if given.has('Ρ') => match given.value('Ρ') {
            Some(b"date") => "%Y-%m-%d".into(),
            Some(b"ns") => "%Y-%m-%d %H:%M:%S.%N%:z".into(),
            _ => "%Y-%m-%d %H:%M:%S%:z".into(),
        },
        None if given.has('I') => match given.value('I') {
            Some(b"hours") => "%Y-%m-%dT%H%:z".into(),
            Some(b"minutes") => "%Y-%m-%dT%H:%M%:z".into(),
            Some(b"seconds") => "%Y-%m-%dT%H:%M:%S%:z".into(),
            Some(b"ns") => "%Y-%m-%dT%H:%M:%S,%N%:z".into(),
            _ => "%Y-%m-%d".into(),
        },
        None => "%a %b %e %H:%M:%S %Z %Y".into(),
    };
    writeln!(context.stdout, "{}", strftime(&format, time))?;
    Ok(0)
}

/// A time in a format of `date`.
pub fn strftime(format: &str, time: i128) -> String {
    let civil = Civil::new(time);
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let flag = rest.chars().next().filter(|flag| "-_0^#".contains(*flag));
        rest = &rest[flag.map_or(0, char::len_utf8)..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let width: Option<usize> = rest[..digits].parse().ok();
        rest = &rest[digits..];
        let colons = rest.bytes().take_while(|byte| *byte == b':').count();
        rest = &rest[colons..];
        let Some(letter) = rest.chars().next() else {
            out.push('%');
            break;
        };
        rest = &rest[letter.len_utf8()..];
        let number = |value: i64, width: usize, pad: char| {
            let pad = match flag {
                Some('-') => return value.to_string(),
                Some('_') => ' ',
                Some('0') => '0',
                _ => pad,
            };
            let text = value.abs().to_string();
            let sign = if value < 0 { "-" } else { "" };
            let fill: String = std::iter::repeat_n(pad, width.saturating_sub(text.len())).collect();
            format!("{sign}{fill}{text}")
        };
        let hour12 = i64::from((civil.hour + 11) % 12 + 1);
        let monday = i64::from((civil.weekday() + 6) % 7);
        let year_day = i64::from(civil.day_of_year());
        let (iso_year, iso_week) = iso_week(&civil);
        let text = match letter {
            '%' => "%".into(),
            'n' => "\n".into(),
            't' => "\t".into(),
            'Y' => number(civil.year, 4, '0'),
            'C' => number(civil.year / 100, 2, '0'),
            'y' => number(civil.year.rem_euclid(100), 2, '0'),
            'm' => number(i64::from(civil.month), 2, '0'),
            'd' => number(i64::from(civil.day), 2, '0'),
            'e' => number(i64::from(civil.day), 2, ' '),
            'H' => number(i64::from(civil.hour), 2, '0'),
            'k' => number(i64::from(civil.hour), 2, ' '),
            'I' => number(hour12, 2, '0'),
            'l' => number(hour12, 2, ' '),
            'M' => number(i64::from(civil.minute), 2, '0'),
            'S' => number(i64::from(civil.second), 2, '0'),
            'N' => format!("{:09}", civil.nanosecond)[..width.unwrap_or(9).clamp(1, 9)].to_string(),
            's' => time.div_euclid(SECOND).to_string(),
            'j' => number(year_day, 3, '0'),
            'a' => WEEKDAYS[civil.weekday() as usize][..3].into(),
            'A' => WEEKDAYS[civil.weekday() as usize].into(),
            'b' | 'h' => MONTHS[civil.month as usize - 1][..3].into(),
            'B' => MONTHS[civil.month as usize - 1].into(),
            'p' => if civil.hour < 12 { "AM" } else { "PM" }.into(),
            'P' => if civil.hour < 12 { "am" } else { "pm" }.into(),
            'u' => (monday + 1).to_string(),
            'w' => civil.weekday().to_string(),
            'U' => number((year_day + 6 - i64::from(civil.weekday())) / 7, 2, '0'),
            'W' => number((year_day + 6 - monday) / 7, 2, '0'),
            'V' => number(iso_week, 2, '0'),
            'G' => number(iso_year, 4, '0'),
            'g' => number(iso_year.rem_euclid(100), 2, '0'),
            'q' => ((civil.month - 1) / 3 + 1).to_string(),
            'Z' => "UTC".into(),
            'z' => match colons {
                0 => "+0000",
                1 => "+00:00",
                _ => "+00:00:00",
            }
            .into(),
            'D' | 'x' => strftime("%m/%d/%y", time),
            'F' => strftime("%Y-%m-%d", time),
            'T' | 'X' => strftime("%H:%M:%S", time),
            'R' => strftime("%H:%M", time),
            'r' => strftime("%I:%M:%S %p", time),
            'c' => strftime("%a %b %e %H:%M:%S %Y", time),
            other => format!("%{other}"),
        };
        out.push_str(&if flag == Some('^') { text.to_uppercase() } else { text });
    }
    out.push_str(rest);
    out
}

fn iso_week(civil: &Civil) -> (i64, i64) {
    let weekday = i64::from((civil.weekday() + 6) % 7);
    let week = (i64::from(civil.day_of_year()) - 1 - weekday + 10) / 7;
    let weeks_in = |year: i64| {
        let first = Civil { year, month: 1, day: 1, ..*civil }.weekday();
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        if first == 4 || (leap && first == 3) { 53 } else { 52 }
    };
    if week < 1 {
        (civil.year - 1, weeks_in(civil.year - 1))
    } else if week > weeks_in(civil.year) {
        (civil.year + 1, 1)
    } else {
        (civil.year, week)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_times() {
        let time = 1_709_210_096 * SECOND;
        for (format, expected) in [
            ("%Y-%m-%dT%H:%M:%SZ", "2024-02-29T12:34:56Z"),
            ("%a %b %e %T %Z %Y", "Thu Feb 29 12:34:56 UTC 2024"),
            ("%s %j %V %u", "1709210096 060 09 4"),
            ("%-m/%-d %I%p 100%%", "2/29 12PM 100%"),
        ] {
            assert_eq!(strftime(format, time), expected);
        }
        assert_eq!(strftime("%G-W%V", days_time(2021, 1, 3)), "2020-W53");
    }

    fn days_time(year: i64, month: u32, day: u32) -> i128 {
        i128::from(crate::calendar::days(year, month, day)) * 86_400 * SECOND
    }
}
