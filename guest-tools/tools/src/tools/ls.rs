//! `ls`, `stat`, `du`.

use std::io;
use std::path::{Path, PathBuf};

use kiln_guest::Stat;

use super::chmod::sorted_names;
use super::sort::version;
use super::system::{account_name, strftime};
use crate::calendar::{Civil, SECOND, now};
use crate::context::{Context, Failure, Outcome, path_bytes, reason, show};
use crate::options::{Given, Spec};

const SPEC: Spec = Spec {
    short: "1aAlRdhtSrFpinLCxgoqbUvNsckmuZQXHGw:T:I:",
    long: &[
        ("all", 'a'),
        ("almost-all", 'A'),
        ("recursive", 'R'),
        ("directory", 'd'),
        ("human-readable", 'h'),
        ("reverse", 'r'),
        ("classify", 'F'),
        ("inode", 'i'),
        ("numeric-uid-gid", 'n'),
        ("dereference", 'L'),
        ("no-group", 'o'),
        ("size", 's'),
        ("color", 'κ'),
        ("full-time", 'φ'),
        ("time-style", 'Τ'),
        ("sort", 'Σ'),
        ("group-directories-first", 'γ'),
    ],
    operands_last: false,
};

struct Entry {
    name: Vec<u8>,
    path: PathBuf,
    stat: Stat,
}

pub fn ls(context: &mut Context) -> Outcome {
    let mut args = context.args.to_vec();
    // Without a terminal there is no colour whatever one asks for.
    args.retain(|arg| !arg.starts_with(b"--color"));
    let given = SPEC.parse(&args).map_err(|failure| failure.with_status(2))?;
    let operands = if given.operands.is_empty() { vec![b".".to_vec()] } else { given.operands.clone() };
    let mut status = 0;
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    let follow = given.has('L') || given.last_of("ldF").is_none();
    for operand in operands {
        let path = context.path(&operand);
        let found = kiln_guest::stat(&path, follow).or_else(|error| kiln_guest::stat(&path, false).map_err(|_| error));
        match found {
            Ok(stat) => {
                let is_listed = stat.is_dir() && !given.has('d');
                let entry = Entry { name: operand, path, stat };
                if is_listed { directories.push(entry) } else { files.push(entry) }
            }
            Err(error) => {
                context.complain(format!("cannot access '{}': {}", show(&operand), reason(&error)));
                status = 2;
            }
        }
    }
    sort(&mut files, &given);
    sort(&mut directories, &given);
    print(context, &files, &given, false)?;
    let headers = files.len() + directories.len() > 1 || given.has('R');
    let mut first = files.is_empty();
    let mut todo: Vec<Entry> = directories.into_iter().rev().collect();
    while let Some(directory) = todo.pop() {
        if headers {
            let gap: &[u8] = if first { b"" } else { b"\n" };
            context.stdout.write_all(&[gap, &directory.name, b":\n"].concat())?;
        }
        first = false;
        let entries = match list(&directory, &given) {
            Ok(entries) => entries,
            Err(error) => {
                context.complain(format!("cannot open directory '{}': {}", show(&directory.name), reason(&error)));
                status = 2;
                continue;
            }
        };
        print(context, &entries, &given, true)?;
        if given.has('R') {
            let below = entries
                .into_iter()
                .filter(|entry| entry.stat.is_dir() && !matches!(entry.name.as_slice(), b"." | b".."));
            let below: Vec<Entry> = below
                .map(|entry| Entry { name: [&directory.name, &b"/"[..], &entry.name].concat(), ..entry })
                .collect();
            todo.extend(below.into_iter().rev());
        }
    }
    Ok(status)
}

fn list(directory: &Entry, given: &Given) -> io::Result<Vec<Entry>> {
    let mut names: Vec<Vec<u8>> =
        sorted_names(&directory.path)?.iter().map(|name| path_bytes(Path::new(name)).to_vec()).collect();
    match given.last_of("aA") {
        Some('a') => names.extend([b".".to_vec(), b"..".to_vec()]),
        Some(_) => {}
        None => names.retain(|name| name[0] != b'.'),
    }
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        let path = directory.path.join(kiln_guest::path(&name));
        let stat = kiln_guest::stat(&path, given.has('L')).or_else(|_| kiln_guest::stat(&path, false))?;
        entries.push(Entry { name, path, stat });
    }
    sort(&mut entries, given);
    Ok(entries)
}

fn sort(entries: &mut [Entry], given: &Given) {
    let order = match given.value('Σ') {
        Some(b"size") => Some('S'),
        Some(b"time") => Some('t'),
        Some(b"version") => Some('v'),
        _ => given.last_of("tSvU"),
    };
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    match order {
        Some('t') => entries.sort_by_key(|entry| std::cmp::Reverse(entry.stat.mtime)),
        Some('S') => entries.sort_by_key(|entry| std::cmp::Reverse(entry.stat.size)),
        Some('v') => entries.sort_by(|left, right| version(&left.name, &right.name)),
        _ => {}
    }
    if given.has('r') {
        entries.reverse();
    }
    if given.has('γ') {
        entries.sort_by_key(|entry| !entry.stat.is_dir());
    }
}

fn print(context: &mut Context, entries: &[Entry], given: &Given, total: bool) -> Result<(), Failure> {
    let long =
        given.last_of("1Clgonxm").is_some_and(|letter| "lgon".contains(letter)) || given.last_of("lgonφ").is_some();
    let size = |bytes: u64| if given.has('h') { human(bytes) } else { bytes.to_string() };
    if total && (long || given.has('s')) {
        let blocks: u64 = entries.iter().map(|entry| entry.stat.size.div_ceil(4096) * 4).sum();
        writeln!(context.stdout, "total {}", if given.has('h') { human(blocks * 1024) } else { blocks.to_string() })?;
    }
    if given.last_of("1m") == Some('m') && !long {
        if entries.is_empty() {
            return Ok(());
        }
        let names: Vec<&[u8]> = entries.iter().map(|entry| entry.name.as_slice()).collect();
        context.stdout.write_all(&[names.join(&b", "[..]), b"\n".to_vec()].concat())?;
        return Ok(());
    }
    let mut rows = Vec::new();
    for entry in entries {
        let stat = &entry.stat;
        let mut row: Vec<(String, bool)> = Vec::new();
        if given.has('i') {
            row.push((stat.ino.to_string(), true));
        }
        if given.has('s') {
            row.push(((stat.size.div_ceil(4096) * 4).to_string(), true));
        }
        if long {
            let name = |file: &str, id: u32| match given.has('n') {
                true => None,
                false => account_name(context, file, id).or((id == 0).then(|| "root".to_string())),
            };
            row.push((mode_text(stat.mode), false));
            row.push((stat.nlink.to_string(), true));
            if !given.has('g') {
                row.push((name("/etc/passwd", stat.uid).unwrap_or(stat.uid.to_string()), false));
            }
            if !given.has('o') {
                row.push((name("/etc/group", stat.gid).unwrap_or(stat.gid.to_string()), false));
            }
            row.push((size(stat.size), true));
            row.push((time_text(stat.mtime, given), false));
        }
        rows.push(row);
    }
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| row[column].0.len()).max().unwrap_or(0)).collect();
    for (entry, row) in entries.iter().zip(rows) {
        let mut line = Vec::new();
        for ((text, right), width) in row.iter().zip(&widths) {
            let cell = if *right { format!("{text:>width$} ") } else { format!("{text:<width$} ") };
            line.extend_from_slice(cell.as_bytes());
        }
        line.extend_from_slice(&entry.name);
        line.extend_from_slice(mark(&entry.stat, given));
        if long && entry.stat.is_symlink() {
            let target = std::fs::read_link(&entry.path)?;
            line.extend_from_slice(&[b" -> ", path_bytes(&target)].concat());
        }
        line.push(b'\n');
        context.stdout.write_all(&line)?;
    }
    Ok(())
}

fn mark(stat: &Stat, given: &Given) -> &'static [u8] {
    match given.last_of("Fp") {
        Some(_) if stat.is_dir() => b"/",
        Some('F') if stat.is_symlink() => b"@",
        Some('F') if stat.is_file() && stat.mode & 0o111 != 0 => b"*",
        _ => b"",
    }
}

fn time_text(time: i128, given: &Given) -> String {
    match given.value('Τ') {
        Some(b"long-iso") => return strftime("%Y-%m-%d %H:%M", time),
        Some(b"full-iso") => return strftime("%Y-%m-%d %H:%M:%S.%N %z", time),
        Some(style) if style.starts_with(b"+") => return strftime(&show(&style[1..]), time),
        _ if given.has('φ') => return strftime("%Y-%m-%d %H:%M:%S.%N %z", time),
        _ => {}
    }
    // Half a year, as elsewhere.
    let age = now() - time;
    let recent = (0..15_778_476 * SECOND).contains(&age) && Civil::new(time).year > 0;
    strftime(if recent { "%b %e %H:%M" } else { "%b %e  %Y" }, time)
}

/// `drwxr-xr-x`.
pub fn mode_text(mode: u32) -> String {
    let kind = match mode & kiln_guest::S_IFMT {
        kiln_guest::S_IFDIR => 'd',
        kiln_guest::S_IFLNK => 'l',
        kiln_guest::S_IFCHR => 'c',
        kiln_guest::S_IFBLK => 'b',
        kiln_guest::S_IFIFO => 'p',
        kiln_guest::S_IFSOCK => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift & 7;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A size with one letter, rounded up.
pub fn human(bytes: u64) -> String {
    let mut unit = 0;
    let mut divisor = 1u64;
    while bytes / divisor >= 1024 && unit < 6 {
        divisor <<= 10;
        unit += 1;
    }
    if unit == 0 {
        return bytes.to_string();
    }
    let letter = &"KMGTPE"[unit - 1..unit];
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(divisor));
    if tenths < 100 {
        format!("{}.{}{letter}", tenths / 10, tenths % 10)
    } else {
        format!("{}{letter}", tenths.div_ceil(10))
    }
}

pub fn stat(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "c:Lt",
        long: &[("format", 'c'), ("printf", 'Π'), ("dereference", 'L'), ("terse", 't')],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    if given.operands.is_empty() {
        return Err(Failure::misuse("missing operand"));
    }
    let (format, end) = match (given.value('Π'), given.value('c')) {
        (Some(format), _) => (crate::escapes::decode(format, crate::escapes::Style::Format).bytes, ""),
        (None, Some(format)) => (format.to_vec(), "\n"),
        (None, None) => (
            b"  File: %N\n  Size: %-10s\tBlocks: %-10b IO Block: %-6o %F\nDevice: %Dh/%dd\tInode: %-10i  Links: %h\n\
              Access: (%04a/%10A)  Uid: (%5u/%8U)   Gid: (%5g/%8G)\nAccess: %x\nModify: %y\nChange: %y\n Birth: -"
                .to_vec(),
            "\n",
        ),
    };
    let mut status = 0;
    for operand in &given.operands {
        match kiln_guest::stat(&context.path(operand), given.has('L')) {
            Ok(stat) => {
                let line = stat_line(context, &show(&format), operand, &stat) + end;
                context.stdout.write_all(line.as_bytes())?;
            }
            Err(error) => {
                context.complain(format!("cannot statx '{}': {}", show(operand), reason(&error)));
                status = 1;
            }
        }
    }
    Ok(status)
}

fn stat_line(context: &Context, format: &str, operand: &[u8], stat: &Stat) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let flags = rest.bytes().take_while(|byte| b"-0".contains(byte)).count();
        let (flag_text, after) = rest.split_at(flags);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let width: usize = after[..digits].parse().unwrap_or(0).min(1000);
        let after = &after[digits..];
        let Some(letter) = after.chars().next() else { break };
        rest = &after[letter.len_utf8()..];
        let name =
            |file, id: u32| account_name(context, file, id).unwrap_or(if id == 0 { "root" } else { "UNKNOWN" }.into());
        let full = "%Y-%m-%d %H:%M:%S.%N %z";
        let text = match letter {
            '%' => "%".into(),
            'a' => format!("{:o}", stat.mode & 0o7777),
            'A' => mode_text(stat.mode),
            'f' => format!("{:x}", stat.mode),
            'F' => kind_text(stat).into(),
            'n' => show(operand).into_owned(),
            'N' => match std::fs::read_link(context.path(operand)) {
                Ok(target) if stat.is_symlink() => format!("'{}' -> '{}'", show(operand), target.display()),
                _ => format!("'{}'", show(operand)),
            },
            's' => stat.size.to_string(),
            'b' => (stat.size.div_ceil(4096) * 8).to_string(),
            'B' => "512".into(),
            'o' => "4096".into(),
            'u' => stat.uid.to_string(),
            'g' => stat.gid.to_string(),
            'U' => name("/etc/passwd", stat.uid),
            'G' => name("/etc/group", stat.gid),
            'h' => stat.nlink.to_string(),
            'i' => stat.ino.to_string(),
            'd' => stat.dev.to_string(),
            'D' => format!("{:x}", stat.dev),
            'X' => stat.atime.div_euclid(SECOND).to_string(),
            'Y' | 'Z' => stat.mtime.div_euclid(SECOND).to_string(),
            'W' => "0".into(),
            'x' => strftime(full, stat.atime),
            'y' | 'z' => strftime(full, stat.mtime),
            'w' => "-".into(),
            other => format!("?{other}"),
        };
        out.push_str(&match flag_text {
            _ if flag_text.contains('-') => format!("{text:<width$}"),
            _ if flag_text.contains('0') => format!("{text:0>width$}"),
            _ => format!("{text:>width$}"),
        });
    }
    out.push_str(rest);
    out
}

fn kind_text(stat: &Stat) -> &'static str {
    match stat.kind() {
        kiln_guest::S_IFDIR => "directory",
        kiln_guest::S_IFLNK => "symbolic link",
        kiln_guest::S_IFCHR => "character special file",
        kiln_guest::S_IFBLK => "block special file",
        kiln_guest::S_IFIFO => "fifo",
        kiln_guest::S_IFSOCK => "socket",
        _ if stat.size == 0 => "regular empty file",
        _ => "regular file",
    }
}

pub fn du(context: &mut Context) -> Outcome {
    const SPEC: Spec = Spec {
        short: "sahkmbcd:xLl",
        long: &[
            ("summarize", 's'),
            ("all", 'a'),
            ("human-readable", 'h'),
            ("bytes", 'b'),
            ("total", 'c'),
            ("max-depth", 'd'),
            ("apparent-size", 'α'),
        ],
        operands_last: false,
    };
    let given = SPEC.parse(context.args)?;
    let apparent = given.has('b') || given.has('α');
    let depth =
        if given.has('s') { 0 } else { given.value('d').and_then(crate::options::number).unwrap_or(usize::MAX) };
    let shown = |bytes: u64| match given.last_of("hkmb") {
        Some('h') => human(bytes),
        Some('m') => bytes.div_ceil(1 << 20).to_string(),
        Some('b') => bytes.to_string(),
        _ => bytes.div_ceil(1024).to_string(),
    };
    let mut counted = std::collections::BTreeSet::new();
    let mut total = 0;
    let mut status = 0;
    let operands = if given.operands.is_empty() { vec![b".".to_vec()] } else { given.operands.clone() };
    for operand in operands {
        let path = context.path(&operand);
        let mut lines = Vec::new();
        let mut usage = Usage { apparent, all: given.has('a'), depth, counted: &mut counted, lines: &mut lines };
        match usage.of(&path, &operand, 0) {
            Ok(bytes) => total += bytes,
            Err(error) => {
                context.complain(format!("cannot access '{}': {}", show(&operand), reason(&error)));
                status = 1;
            }
        }
        for (bytes, name) in lines {
            context.stdout.write_all(&[shown(bytes).as_bytes(), b"\t", &name, b"\n"].concat())?;
        }
    }
    if given.has('c') {
        writeln!(context.stdout, "{}\ttotal", shown(total))?;
    }
    Ok(status)
}

struct Usage<'a> {
    apparent: bool,
    all: bool,
    depth: usize,
    /// Files with several names count once.
    counted: &'a mut std::collections::BTreeSet<(u64, u64)>,
    lines: &'a mut Vec<(u64, Vec<u8>)>,
}

impl Usage<'_> {
    fn of(&mut self, path: &Path, name: &[u8], depth: usize) -> io::Result<u64> {
        let stat = kiln_guest::stat(path, false)?;
        let own = if self.apparent { stat.size } else { stat.size.div_ceil(4096) * 4096 };
        if !stat.is_dir() {
            if stat.nlink > 1 && !self.counted.insert((stat.dev, stat.ino)) {
                return Ok(0);
            }
            if (self.all || depth == 0) && depth <= self.depth {
                self.lines.push((own, name.to_vec()));
            }
            return Ok(own);
        }
        // A directory takes a block of its own.
        let mut total = 4096;
        for entry in sorted_names(path)? {
            let child_name = [name, b"/", path_bytes(Path::new(&entry))].concat();
            total += self.of(&path.join(&entry), &child_name, depth + 1)?;
        }
        if depth <= self.depth {
            self.lines.push((total, name.to_vec()));
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_modes_and_sizes() {
        assert_eq!(mode_text(0o100644), "-rw-r--r--");
        assert_eq!(mode_text(0o041777), "drwxrwxrwt");
        assert_eq!(mode_text(0o104755), "-rwsr-xr-x");
        for (bytes, text) in
            [(0, "0"), (1023, "1023"), (1024, "1.0K"), (1536, "1.5K"), (10 << 20, "10M"), (10_300, "11K")]
        {
            assert_eq!(human(bytes), text);
        }
    }
}
