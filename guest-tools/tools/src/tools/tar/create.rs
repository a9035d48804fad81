//! Writing an archive.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::Settings;
use super::header::{BLOCK, Format, Header, padding};
use crate::calendar::{SECOND, parse_date};
use crate::context::{Context, Failure, path_bytes, reason, show};
use crate::tools::chmod::{Mode, sorted_names};
use crate::tools::system::{account_id, account_name};

pub(super) struct Creation<'a, 'g> {
    pub(super) cwd: &'a Path,
    pub(super) env: &'a [Vec<u8>],
    pub(super) settings: &'a Settings<'g>,
    /// The archive, which does not go into itself.
    pub(super) own: Option<(u64, u64)>,
}

struct Overrides {
    user: Option<Account>,
    group: Option<Account>,
    mode: Option<Mode>,
    mtime: Option<i128>,
}

struct Account {
    id: u32,
    name: Option<Vec<u8>>,
}

/// GNU tar writes so much at once; an archive is filled up to it.
const RECORD: u64 = 20 * BLOCK as u64;

/// Counts what is written.
struct Archive<'a> {
    output: &'a mut dyn Write,
    written: u64,
    format: Format,
}

impl Write for Archive<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}

impl Archive<'_> {
    fn finish(&mut self) -> std::io::Result<()> {
        self.write_all(&[0; 2 * BLOCK])?;
        self.zeros((RECORD - self.written % RECORD) % RECORD)
    }

    fn zeros(&mut self, mut count: u64) -> std::io::Result<()> {
        while count > 0 {
            let part = count.min(BLOCK as u64);
            self.write_all(&[0; BLOCK][..part as usize])?;
            count -= part;
        }
        Ok(())
    }
}

/// Names of files with several links that are in the archive, by device and inode.
type Written = std::collections::BTreeMap<(u64, u64), Vec<u8>>;

impl Creation<'_, '_> {
    /// `before` is how long the archive is that is appended to.
    pub(super) fn run(
        &self,
        output: &mut dyn Write,
        before: u64,
        names: &mut Vec<Vec<u8>>,
        problems: &mut Vec<String>,
    ) -> Result<u8, Failure> {
        let format = match self.settings.given.value('Φ') {
            Some(name) => {
                Format::named(name).ok_or_else(|| Failure::usage(format!("{}: Invalid archive format", show(name))))?
            }
            None => Format::Gnu,
        };
        let mut archive = Archive { output, written: before, format };
        let overrides = self.overrides()?;
        let mut written = Written::new();
        for operand in &self.settings.given.operands {
            let path = self.settings.directory.join(kiln_guest::path(operand));
            self.add(&mut archive, &path, operand, &overrides, &mut written, names, problems)?;
        }
        archive.finish()?;
        Ok(if problems.is_empty() { 0 } else { 2 })
    }

    /// A context only for looking up accounts.
    fn with_context<T>(&self, run: impl FnOnce(&Context) -> T) -> T {
        let context = Context {
            name: "tar",
            args: &[],
            env: self.env,
            cwd: self.cwd,
            stdin: &mut std::io::empty(),
            stdout: &mut std::io::sink(),
            stderr: &mut std::io::sink(),
        };
        run(&context)
    }

    fn overrides(&self) -> Result<Overrides, Failure> {
        let given = self.settings.given;
        let account = |letter: char, file: &str| match given.value(letter) {
            // `name:number` says both.
            Some(text) => {
                let (name, number) = match text.iter().position(|&byte| byte == b':') {
                    Some(at) => (Some(text[..at].to_vec()), &text[at + 1..]),
                    None => (None, text),
                };
                self.with_context(|context| account_id(context, file, number))
                    .map(|id| Some(Account { id, name }))
                    .ok_or_else(|| Failure::usage(format!("{}: Invalid owner or group", show(text))))
            }
            None => Ok(None),
        };
        let mode = match given.value('Μ') {
            Some(text) => {
                Some(Mode::parse(text).ok_or_else(|| Failure::usage(format!("Invalid mode: {}", show(text))))?)
            }
            None => None,
        };
        let mtime = match given.value('Τ') {
            Some(text) => {
                Some(parse_date(text).ok_or_else(|| Failure::usage(format!("Invalid date: {}", show(text))))?)
            }
            None => None,
        };
        Ok(Overrides { user: account('Ω', "/etc/passwd")?, group: account('Γ', "/etc/group")?, mode, mtime })
    }

    #[expect(clippy::too_many_arguments, reason = "the walk's state, handed down unchanged")]
    fn add(
        &self,
        archive: &mut Archive,
        path: &Path,
        name: &[u8],
        overrides: &Overrides,
        written: &mut Written,
        names: &mut Vec<Vec<u8>>,
        problems: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let given = self.settings.given;
        if self.settings.excludes(name) {
            return Ok(());
        }
        let stat = match kiln_guest::stat(path, given.has('h')) {
            Ok(stat) => stat,
            Err(error) => {
                problems.push(format!("{}: Cannot stat: {}", show(name), reason(&error)));
                return Ok(());
            }
        };
        if self.own == Some((stat.dev, stat.ino)) {
            return Ok(());
        }
        let stored = stored_name(name, stat.is_dir(), given.has('P'));
        let mode = stat.mode & 0o7777;
        let mtime = overrides.mtime.unwrap_or(stat.mtime).div_euclid(SECOND);
        let owner = |given: &Option<Account>, file: &str, id: u32| {
            let id = given.as_ref().map_or(id, |account| account.id);
            let name = given.as_ref().and_then(|account| account.name.clone());
            let name = name.or_else(|| self.with_context(|context| account_name(context, file, id)).map(Vec::from));
            (id, name.unwrap_or_default())
        };
        let (uid, user) = owner(&overrides.user, "/etc/passwd", stat.uid);
        let (gid, group) = owner(&overrides.group, "/etc/group", stat.gid);
        let named = !given.has('ι');
        let mut header = Header {
            name: self.settings.renamed(&stored)?,
            mode: overrides.mode.as_ref().map_or(mode, |change| change.apply(mode, stat.is_dir(), 0)),
            uid,
            gid,
            mtime: u64::try_from(mtime).unwrap_or(0),
            kind: b'0',
            user: if named { user } else { Vec::new() },
            group: if named { group } else { Vec::new() },
            ..Header::default()
        };
        if stat.is_dir() {
            header.kind = b'5';
            header.write(archive.format, archive)?;
            names.push(stored);
            if given.has('ρ') {
                return Ok(());
            }
            match sorted_names(path) {
                Ok(entries) => {
                    for entry in entries {
                        let below =
                            [name.strip_suffix(b"/").unwrap_or(name), b"/", path_bytes(Path::new(&entry))].concat();
                        self.add(archive, &path.join(&entry), &below, overrides, written, names, problems)?;
                    }
                }
                Err(error) => problems.push(format!("{}: Cannot open: {}", show(name), reason(&error))),
            }
            return Ok(());
        }
        if stat.is_symlink() {
            header.kind = b'2';
            header.link = self.settings.renamed(path_bytes(&std::fs::read_link(path)?))?;
            header.write(archive.format, archive)?;
        } else if let Some(earlier) = written.get(&(stat.dev, stat.ino)).filter(|_| stat.nlink > 1) {
            header.kind = b'1';
            header.link = self.settings.renamed(earlier)?;
            header.write(archive.format, archive)?;
        } else if stat.is_file() {
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(error) => {
                    problems.push(format!("{}: Cannot open: {}", show(name), reason(&error)));
                    return Ok(());
                }
            };
            header.size = stat.size;
            header.write(archive.format, archive)?;
            let copied = crate::context::copy(&mut (&mut file).take(stat.size), archive)?;
            if copied < stat.size {
                problems.push(format!(
                    "{}: File shrank by {} bytes; padding with zeros",
                    show(name),
                    stat.size - copied
                ));
            }
            archive.zeros(stat.size - copied + padding(stat.size) as u64)?;
            written.insert((stat.dev, stat.ino), stored.clone());
        } else {
            problems.push(format!("{}: not a file, directory or link; left out", show(name)));
            return Ok(());
        }
        names.push(stored);
        Ok(())
    }
}

/// Without the slash at the beginning, with one at the end of a directory's.
fn stored_name(name: &[u8], is_dir: bool, absolute: bool) -> Vec<u8> {
    let mut rest = name;
    while !absolute && rest.len() > 1 && rest[0] == b'/' {
        rest = &rest[1..];
    }
    let mut stored = if !absolute && rest == b"/" { b".".to_vec() } else { rest.to_vec() };
    if is_dir && !stored.ends_with(b"/") {
        stored.push(b'/');
    }
    stored
}
