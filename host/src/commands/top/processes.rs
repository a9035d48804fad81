//! Processes as /proc shows them. What they say of themselves is a stranger's: it may be anything and change meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, Read as _};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::columns::Column;
use crate::report::failure::Failure;
use crate::report::table::printable;

/// Most bytes of a file of /proc that are read.
const LIMIT: u64 = 64 << 10;

/// What all processes have in common.
pub(super) struct Host {
    users: HashMap<u32, String>,
    ticks: u64,
    page: u64,
    boot: i64,
    memory: u64,
    now: Zoned,
}

pub(super) struct Process {
    pid: u32,
    uid: u32,
    gid: u32,
    /// The fields of `stat` from the third on.
    fields: Vec<String>,
    comm: String,
    line: String,
}

impl Host {
    pub(super) fn look() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new("cannot read /proc").because(error);
        let stat = read("/proc/stat").map_err(failed)?;
        let number = |text: &str, key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        let memory = read("/proc/meminfo").ok().and_then(|text| number(&text, "MemTotal:")).unwrap_or(0);
        let passwd = read("/etc/passwd").unwrap_or_default();
        let users = passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            Some((uid, name.to_owned()))
        });
        // The first name of an id counts.
        let mut named = HashMap::new();
        for (uid, name) in users {
            named.entry(uid).or_insert(name);
        }
        Ok(Self {
            users: named,
            ticks: rustix::param::clock_ticks_per_second().max(1),
            page: rustix::param::page_size() as u64,
            boot: number(&stat, "btime").unwrap_or(0).cast_signed(),
            memory: memory.saturating_mul(1024),
            now: Timestamp::now().to_zoned(TimeZone::system()),
        })
    }

    fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

/// All processes in the pid namespace of `first`, and in those below it, by their id.
pub(super) fn of(first: u32) -> Result<Vec<Process>, Failure> {
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid"));
    let failed = |error: io::Error| {
        let failure = Failure::new(format!("cannot look at process {first}")).because(error);
        failure.hint("be root, or the user who started the container")
    };
    let wanted = namespace(first).map_err(failed)?;
    let mut processes = BTreeMap::new();
    let mut inside = BTreeSet::new();
    for entry in fs::read_dir("/proc").map_err(failed)?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if namespace(pid).is_ok_and(|found| found == wanted) {
            inside.insert(pid);
        }
        if let Some(process) = Process::read(pid) {
            processes.insert(pid, process);
        }
    }
    // Containers in the container are below it.
    loop {
        let is_new = |process: &Process| !inside.contains(&process.pid) && inside.contains(&process.parent());
        let new: Vec<u32> = processes.values().filter(|process| is_new(process)).map(|process| process.pid).collect();
        if new.is_empty() {
            break;
        }
        inside.extend(new);
    }
    Ok(processes.into_values().filter(|process| inside.contains(&process.pid)).collect())
}

fn read(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Process {
    /// `None` where it has ended meanwhile.
    fn read(pid: u32) -> Option<Self> {
        let stat = read(&format!("/proc/{pid}/stat")).ok()?;
        let status = read(&format!("/proc/{pid}/status")).ok()?;
        let line = read(&format!("/proc/{pid}/cmdline")).ok()?;
        Self::parse(pid, &stat, &status, &line)
    }

    fn parse(pid: u32, stat: &str, status: &str, line: &str) -> Option<Self> {
        // The name in parentheses may have any characters in it, parentheses too.
        let (before, after) = stat.rsplit_once(')')?;
        let comm = before.split_once('(')?.1;
        let id = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            // Real, then effective.
            line.split_ascii_whitespace().nth(1)?.parse().ok()
        };
        Some(Self {
            pid,
            uid: id("Uid:")?,
            gid: id("Gid:")?,
            fields: after.split_ascii_whitespace().map(str::to_owned).collect(),
            comm: printable(comm),
            line: printable(line.trim_end_matches('\0').replace('\0', " ").as_str()),
        })
    }

    fn text(&self, number: usize) -> &str {
        // Numbered as in proc(5): the first two are the id and the name.
        self.fields.get(number - 3).map_or("", String::as_str)
    }

    fn number(&self, number: usize) -> u64 {
        self.text(number).parse().unwrap_or(0)
    }

    fn parent(&self) -> u32 {
        self.text(4).parse().unwrap_or(0)
    }

    /// Seconds that it has spent on a processor.
    fn busy(&self, host: &Host) -> u64 {
        self.number(14).saturating_add(self.number(15)) / host.ticks
    }

    /// When it began, in seconds since 1970.
    fn start(&self, host: &Host) -> i64 {
        host.boot.saturating_add((self.number(22) / host.ticks).cast_signed())
    }

    fn elapsed(&self, host: &Host) -> u64 {
        host.now.timestamp().as_second().saturating_sub(self.start(host)).max(0).cast_unsigned()
    }

    /// Thousandths of one processor since it began.
    fn load(&self, host: &Host) -> u64 {
        let ticks = self.number(14).saturating_add(self.number(15));
        ticks.saturating_mul(1000) / host.ticks / self.elapsed(host).max(1)
    }

    pub(super) fn column(&self, column: Column, host: &Host) -> String {
        let tenths = |value: u64| format!("{}.{}", value / 10, value % 10);
        let resident = self.number(24).saturating_mul(host.page);
        match column {
            Column::User | Column::UserAsUid => host.user(self.uid),
            Column::Uid => self.uid.to_string(),
            Column::Gid => self.gid.to_string(),
            Column::Pid => self.pid.to_string(),
            Column::Ppid => self.parent().to_string(),
            Column::C => (self.load(host) / 10).min(99).to_string(),
            Column::Pcpu => tenths(self.load(host)),
            Column::Pmem => tenths((resident.saturating_mul(1000)).checked_div(host.memory).unwrap_or(0)),
            Column::Vsz => (self.number(23) / 1024).to_string(),
            Column::Rss => (resident / 1024).to_string(),
            Column::Tty => terminal(self.number(7)),
            Column::Stat => self.stat(),
            Column::State => self.text(3).to_owned(),
            Column::Stime | Column::Start => began(self.start(host), &host.now),
            Column::Time => clock(self.busy(host)),
            Column::Etime => elapsed(self.elapsed(host)),
            Column::Ni => self.text(19).to_owned(),
            Column::Nlwp => self.text(20).to_owned(),
            Column::Comm => self.comm.clone(),
            Column::Cmd | Column::Args => match self.line.is_empty() {
                true => format!("[{}]", self.comm),
                false => self.line.clone(),
            },
        }
    }

    /// The state with what ps adds: priority, session leader, threads, in front of its terminal.
    fn stat(&self) -> String {
        let nice: i64 = self.text(19).parse().unwrap_or(0);
        let foreground: i64 = self.text(8).parse().unwrap_or(-1);
        let group: i64 = self.text(5).parse().unwrap_or(0);
        let mut stat = self.text(3).to_owned();
        for (has, letter) in [
            (nice < 0, '<'),
            (nice > 0, 'N'),
            (self.number(6) == u64::from(self.pid), 's'),
            (self.number(20) > 1, 'l'),
            (foreground == group, '+'),
        ] {
            if has {
                stat.push(letter);
            }
        }
        stat
    }
}

/// By its device number.
fn terminal(device: u64) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match major {
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        5 if minor == 1 => "console".to_owned(),
        _ => "?".to_owned(),
    }
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn elapsed(seconds: u64) -> String {
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{seconds:02}"),
        (0, _) => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// As ps has it: the hour of today, the day of this year, the year of any other.
fn began(seconds: i64, now: &Zoned) -> String {
    let Ok(at) = Timestamp::from_second(seconds) else { return "?".to_owned() };
    let at = at.to_zoned(now.time_zone().clone());
    let format = match () {
        () if at.date() == now.date() => "%H:%M",
        () if at.year() == now.year() => "%b%d",
        () => "%Y",
    };
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().expect("a time");
        Host {
            users: HashMap::from([(0, "root".to_owned())]),
            ticks: 100,
            page: 4096,
            boot: now.as_second() - 1000,
            memory: 1 << 30,
            now: now.to_zoned(TimeZone::UTC),
        }
    }

    #[test]
    fn columns_of_a_process() {
        let stat = "42 (a) (b)) S 7 42 42 34816 42 4194304 1 0 0 0 30000 15000 0 0 20 0 3 0 10000 8192000 256 1 2";
        let status = "Name:\ta\nUid:\t0\t0\t0\t0\nGid:\t5\t6\t5\t5\n";
        let process = Process::parse(42, stat, status, "sh\0-c\0a\u{1b}\nb\0").expect("a process");
        let host = host();
        for (column, expected) in [
            (Column::UserAsUid, "root"),
            (Column::Gid, "6"),
            (Column::Pid, "42"),
            (Column::Ppid, "7"),
            (Column::C, "50"),
            (Column::Pcpu, "50.0"),
            (Column::Pmem, "0.0"),
            (Column::Vsz, "8000"),
            (Column::Rss, "1024"),
            (Column::Tty, "pts/0"),
            (Column::Stat, "Ssl+"),
            (Column::Stime, "11:45"),
            (Column::Time, "00:07:30"),
            (Column::Etime, "15:00"),
            (Column::Nlwp, "3"),
            (Column::Comm, "a) (b)"),
            (Column::Cmd, "sh -c a  b"),
        ] {
            assert_eq!(process.column(column, &host), expected, "{column:?}");
        }
    }

    #[test]
    fn nothing_that_proc_may_say_is_too_much() {
        let host = host();
        for stat in ["", "1 (x", "1 (x) ", "1 (x) Z", "1 (x) Z -1 -1 -1 -1 -1 99999999999999999999999"] {
            if let Some(process) = Process::parse(1, stat, "Uid:\t1 1\nGid:\t1 1", "") {
                for column in [Column::Stat, Column::C, Column::Tty, Column::Start, Column::Cmd, Column::Etime] {
                    process.column(column, &host);
                }
            }
        }
    }
}
