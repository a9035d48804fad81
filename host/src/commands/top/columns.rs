//! The columns of `ps`, and which of them its options ask for.

use std::io::{self, Write};

use crate::report::failure::Failure;

/// Docker's widths for this table.
const MINIMUM_WIDTH: usize = 20;
const GAP: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    User,
    /// Under the name that `-f` has for it.
    UserAsUid,
    Uid,
    Gid,
    Pid,
    Ppid,
    C,
    Pcpu,
    Pmem,
    Vsz,
    Rss,
    Tty,
    Stat,
    State,
    Stime,
    Start,
    Time,
    Etime,
    Ni,
    Nlwp,
    Comm,
    /// The command line under the names that `-f`, `aux` and `-o` have for it.
    Cmd,
    Args,
}

/// What `ps -ef` shows.
const FULL: [Column; 8] =
    [Column::UserAsUid, Column::Pid, Column::Ppid, Column::C, Column::Stime, Column::Tty, Column::Time, Column::Cmd];
/// What `ps aux` shows.
const AUX: [Column; 11] = [
    Column::User,
    Column::Pid,
    Column::Pcpu,
    Column::Pmem,
    Column::Vsz,
    Column::Rss,
    Column::Tty,
    Column::Stat,
    Column::Start,
    Column::Time,
    Column::Args,
];
/// What `ps -el` shows of these.
const LONG: [Column; 9] = [
    Column::State,
    Column::Uid,
    Column::Pid,
    Column::Ppid,
    Column::C,
    Column::Ni,
    Column::Tty,
    Column::Time,
    Column::Comm,
];
/// What `ps -e` shows.
const SHORT: [Column; 4] = [Column::Pid, Column::Tty, Column::Time, Column::Comm];

/// The columns that options of ps ask for: of which processes is not theirs to say.
pub(super) fn chosen(options: &[String]) -> Result<Vec<Column>, Failure> {
    let words: Vec<&str> = options.iter().flat_map(|option| option.split_ascii_whitespace()).collect();
    let mut own = Vec::new();
    let mut columns = if words.is_empty() { FULL.to_vec() } else { SHORT.to_vec() };
    let mut at = 0;
    while let Some(&word) = words.get(at) {
        at += 1;
        let listed = ["-eo", "-o", "o", "--format="].iter().find_map(|option| word.strip_prefix(option));
        match (word, listed) {
            ("-f" | "-ef" | "-fe", _) => columns = FULL.to_vec(),
            ("-l" | "-el" | "-le", _) => columns = LONG.to_vec(),
            ("u" | "aux" | "-aux" | "ux" | "axu" | "uax", _) => columns = AUX.to_vec(),
            ("-e" | "-A" | "a" | "x" | "ax" | "-a" | "-x", _) => {}
            (_, Some("")) => {
                let Some(list) = words.get(at) else { return Err(refused(word)) };
                at += 1;
                parse(list, &mut own)?;
            }
            (_, Some(list)) => parse(list, &mut own)?,
            (_, None) => return Err(refused(word)),
        }
    }
    Ok(if own.is_empty() { columns } else { own })
}

fn refused(option: &str) -> Failure {
    Failure::new(format!("kiln reads /proc itself and does not know the option `{option}` of ps"))
        .hint("use -f, -l, aux or -o COLUMNS, or ps of this machine: ps -fp $(kiln inspect -f '{{.State.Pid}}' NAME)")
}

fn parse(list: &str, columns: &mut Vec<Column>) -> Result<(), Failure> {
    for name in list.split(',').filter(|name| !name.is_empty()) {
        let column = ALL.iter().find(|(names, ..)| names.contains(&name)).map(|&(.., column)| column);
        columns.push(column.ok_or_else(|| {
            let known: Vec<&str> = ALL.iter().map(|(names, ..)| names[0]).filter(|name| !name.is_empty()).collect();
            Failure::new(format!("there is no column `{name}`")).hint(format!("there are {}", known.join(", ")))
        })?);
    }
    Ok(())
}

/// Names for `-o`, and the header. The last one cannot be asked for.
const ALL: [(&[&str], &str, Column); 23] = [
    (&["pid"], "PID", Column::Pid),
    (&["ppid"], "PPID", Column::Ppid),
    (&["user", "euser", "uname"], "USER", Column::User),
    (&["uid", "euid"], "UID", Column::Uid),
    (&["gid", "egid"], "GID", Column::Gid),
    (&["comm", "ucmd", "ucomm"], "COMMAND", Column::Comm),
    (&["args", "command"], "COMMAND", Column::Args),
    (&["cmd"], "CMD", Column::Cmd),
    (&["c"], "C", Column::C),
    (&["pcpu", "%cpu"], "%CPU", Column::Pcpu),
    (&["pmem", "%mem"], "%MEM", Column::Pmem),
    (&["vsz", "vsize"], "VSZ", Column::Vsz),
    (&["rss", "rssize"], "RSS", Column::Rss),
    (&["tty", "tt", "tname"], "TTY", Column::Tty),
    (&["stat"], "STAT", Column::Stat),
    (&["state", "s"], "S", Column::State),
    (&["stime"], "STIME", Column::Stime),
    (&["start", "start_time", "bsdstart"], "START", Column::Start),
    (&["time", "cputime"], "TIME", Column::Time),
    (&["etime"], "ELAPSED", Column::Etime),
    (&["ni", "nice"], "NI", Column::Ni),
    (&["nlwp", "thcount"], "NLWP", Column::Nlwp),
    (&[""], "UID", Column::UserAsUid),
];

impl Column {
    pub(super) fn header(self) -> &'static str {
        ALL.iter().find(|(.., column)| *column == self).map_or("", |(_, header, _)| header)
    }
}

/// The table as Docker writes it: all columns but the last have at least 20 places.
pub(super) fn write(table: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    let columns = table.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let longest = table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        (longest + GAP).max(MINIMUM_WIDTH)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<String>().trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_ps() {
        let chosen = |text: &str| {
            chosen(&text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(chosen("").ok(), Some(FULL.to_vec()));
        assert_eq!(chosen("-ef").ok(), Some(FULL.to_vec()));
        assert_eq!(chosen("aux").ok(), Some(AUX.to_vec()));
        assert_eq!(chosen("-e").ok(), Some(SHORT.to_vec()));
        assert_eq!(chosen("-eo pid,comm").ok(), Some(vec![Column::Pid, Column::Comm]));
        assert_eq!(chosen("-o pid -o rss,args").ok(), Some(vec![Column::Pid, Column::Rss, Column::Args]));
        for wrong in ["--forest", "-o", "-o pid,nothing", "-p 1", "-q1"] {
            assert!(chosen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_column_has_a_name() {
        for column in FULL.iter().chain(&AUX).chain(&LONG).chain(&SHORT) {
            assert!(!column.header().is_empty(), "{column:?}");
        }
    }

    #[test]
    fn the_table_is_dockers() {
        let table = [["UID", "CMD"], ["root", "sleep 9"]].map(|row| row.map(str::to_owned).to_vec());
        let mut out = Vec::new();
        write(&table, &mut out).expect("a vector takes everything");
        assert_eq!(String::from_utf8(out).expect("text"), "UID                 CMD\nroot                sleep 9\n");
    }
}
