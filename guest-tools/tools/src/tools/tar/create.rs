//! Writing an archive.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::Settings;
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
    uid: Option<u32>,
    gid: Option<u32>,
    mode: Option<Mode>,
    mtime: Option<i128>,
}

/// Names of files with several links that are in the archive, by device and inode.
type Written = std::collections::BTreeMap<(u64, u64), Vec<u8>>;

impl Creation<'_, '_> {
    pub(super) fn run(
        &self,
        output: &mut dyn Write,
        names: &mut Vec<Vec<u8>>,
        problems: &mut Vec<String>,
    ) -> Result<u8, Failure> {
        let mut builder = Builder::new(output);
        let overrides = self.overrides()?;
        let mut written = Written::new();
        for operand in &self.settings.given.operands {
            let path = self.settings.directory.join(kiln_guest::path(operand));
            self.add(&mut builder, &path, operand, &overrides, &mut written, names, problems)?;
        }
        builder.finish()?;
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
        let id = |letter: char, file: &str| match given.value(letter) {
            // `name:number` says both.
            Some(text) => {
                let number = text.iter().position(|&byte| byte == b':').map_or(text, |at| &text[at + 1..]);
                self.with_context(|context| account_id(context, file, number))
                    .map(Some)
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
        Ok(Overrides { uid: id('Ω', "/etc/passwd")?, gid: id('Γ', "/etc/group")?, mode, mtime })
    }

    #[expect(clippy::too_many_arguments, reason = "the walk's state, handed down unchanged")]
    fn add(
        &self,
        builder: &mut Builder<&mut dyn Write>,
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
        let mut header = Header::new_gnu();
        let mode = stat.mode & 0o7777;
        header.set_mode(overrides.mode.as_ref().map_or(mode, |change| change.apply(mode, stat.is_dir(), 0)));
        let (uid, gid) = (overrides.uid.unwrap_or(stat.uid), overrides.gid.unwrap_or(stat.gid));
        header.set_uid(u64::from(uid));
        header.set_gid(u64::from(gid));
        let mtime = overrides.mtime.unwrap_or(stat.mtime).div_euclid(SECOND);
        header.set_mtime(u64::try_from(mtime).unwrap_or(0));
        if !given.has('ι') {
            let user = self.with_context(|context| account_name(context, "/etc/passwd", uid));
            let group = self.with_context(|context| account_name(context, "/etc/group", gid));
            header.set_username(&user.unwrap_or_default())?;
            header.set_groupname(&group.unwrap_or_default())?;
        }
        header.set_size(0);
        if stat.is_dir() {
            header.set_entry_type(EntryType::Directory);
            append(builder, &mut header, &stored, std::io::empty())?;
            names.push(stored);
            if given.has('ρ') {
                return Ok(());
            }
            match sorted_names(path) {
                Ok(entries) => {
                    for entry in entries {
                        let below =
                            [name.strip_suffix(b"/").unwrap_or(name), b"/", path_bytes(Path::new(&entry))].concat();
                        self.add(builder, &path.join(&entry), &below, overrides, written, names, problems)?;
                    }
                }
                Err(error) => problems.push(format!("{}: Cannot open: {}", show(name), reason(&error))),
            }
            return Ok(());
        }
        let stored_path = kiln_guest::path(&stored);
        if stat.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            let target = std::fs::read_link(path)?;
            builder.append_link(&mut header, stored_path, &target)?;
        } else if let Some(earlier) = written.get(&(stat.dev, stat.ino)).filter(|_| stat.nlink > 1) {
            header.set_entry_type(EntryType::Link);
            builder.append_link(&mut header, stored_path, kiln_guest::path(earlier))?;
        } else if stat.is_file() {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) => {
                    problems.push(format!("{}: Cannot open: {}", show(name), reason(&error)));
                    return Ok(());
                }
            };
            header.set_entry_type(EntryType::Regular);
            header.set_size(stat.size);
            append(builder, &mut header, &stored, file.take(stat.size))?;
            written.insert((stat.dev, stat.ino), stored.clone());
        } else {
            problems.push(format!("{}: not a file, directory or link; left out", show(name)));
            return Ok(());
        }
        names.push(stored);
        Ok(())
    }
}

/// A name that fits is stored as it is: the library would take `./` away from it.
fn append(
    builder: &mut Builder<&mut dyn Write>,
    header: &mut Header,
    name: &[u8],
    data: impl Read,
) -> std::io::Result<()> {
    match header.as_gnu_mut() {
        Some(gnu) if name.len() < gnu.name.len() => {
            gnu.name[..name.len()].copy_from_slice(name);
            header.set_cksum();
            builder.append(header, data)
        }
        _ => builder.append_data(header, kiln_guest::path(name), data),
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
