//! The expression.

use super::Walk;
use super::evaluate::{Command, Comparison, Node, Plan, Test};
use crate::calendar::{SECOND, now, parse_date};
use crate::context::{Context, Failure, reason, show};
use crate::options::number;
use crate::pattern::Pattern;
use crate::regex::{Flags, Regex};
use crate::tools::chmod::Mode;
use crate::tools::system::account_id;

struct Parser<'a, 'c, 'w> {
    context: &'a Context<'c>,
    args: &'a [Vec<u8>],
    position: usize,
    walk: &'w mut Walk,
    acts: bool,
    extended_regex: bool,
    commands: Vec<Command>,
    depth: u32,
}

pub(super) fn parse(context: &Context, args: &[Vec<u8>], walk: &mut Walk) -> Result<Plan, Failure> {
    let mut parser =
        Parser { context, args, position: 0, walk, acts: false, extended_regex: false, commands: Vec::new(), depth: 0 };
    let mut node = if args.is_empty() { Node::Test(Test::True) } else { parser.list()? };
    if let Some(extra) = args.get(parser.position) {
        return Err(Failure::new(format!("unexpected '{}'", show(extra))));
    }
    if !parser.acts {
        node = Node::And(vec![node, Node::Test(Test::Print(b'\n'))]);
    }
    Ok(Plan { node, commands: parser.commands })
}

impl Parser<'_, '_, '_> {
    fn take(&mut self, texts: &[&[u8]]) -> bool {
        let found = self.args.get(self.position).is_some_and(|arg| texts.contains(&arg.as_slice()));
        self.position += usize::from(found);
        found
    }

    fn list(&mut self) -> Result<Node, Failure> {
        let mut all = vec![self.or()?];
        while self.take(&[b","]) {
            all.push(self.or()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::List(all) })
    }

    fn or(&mut self) -> Result<Node, Failure> {
        let mut all = vec![self.and()?];
        while self.take(&[b"-o", b"-or"]) {
            all.push(self.and()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Or(all) })
    }

    fn and(&mut self) -> Result<Node, Failure> {
        let mut all = vec![self.not()?];
        loop {
            let explicit = self.take(&[b"-a", b"-and"]);
            let ends =
                self.args.get(self.position).is_none_or(|arg| matches!(arg.as_slice(), b")" | b"," | b"-o" | b"-or"));
            if ends {
                if explicit {
                    return Err(Failure::new("expected an expression after '-a'"));
                }
                return Ok(if all.len() == 1 { all.remove(0) } else { Node::And(all) });
            }
            all.push(self.not()?);
        }
    }

    fn not(&mut self) -> Result<Node, Failure> {
        if self.depth == 200 {
            return Err(Failure::new("the expression is nested too deeply"));
        }
        self.depth += 1;
        let node = if self.take(&[b"!", b"-not"]) {
            Node::Not(Box::new(self.not()?))
        } else if self.take(&[b"("]) {
            let node = self.list()?;
            if !self.take(&[b")"]) {
                return Err(Failure::new("expected ')'"));
            }
            node
        } else {
            Node::Test(self.test()?)
        };
        self.depth -= 1;
        Ok(node)
    }

    fn value(&mut self, name: &[u8]) -> Result<Vec<u8>, Failure> {
        let value = self.args.get(self.position).cloned();
        self.position += 1;
        value.ok_or_else(|| Failure::new(format!("missing argument to `{}'", show(name))))
    }

    fn number(&mut self, name: &[u8]) -> Result<Comparison, Failure> {
        let text = self.value(name)?;
        comparison(&text).ok_or_else(|| Failure::new(format!("invalid argument `{}' to `{}'", show(&text), show(name))))
    }

    fn depth_value(&mut self, name: &[u8]) -> Result<usize, Failure> {
        let text = self.value(name)?;
        number(&text).ok_or_else(|| Failure::new(format!("invalid argument `{}' to `{}'", show(&text), show(name))))
    }

    fn reference_time(&mut self, name: &[u8]) -> Result<i128, Failure> {
        let file = self.value(name)?;
        match kiln_guest::stat(&self.context.path(&file), true) {
            Ok(stat) => Ok(stat.mtime),
            Err(error) => Err(Failure::new(format!("'{}': {}", show(&file), reason(&error)))),
        }
    }

    fn test(&mut self) -> Result<Test, Failure> {
        let Some(name) = self.args.get(self.position) else { return Err(Failure::new("expected an expression")) };
        self.position += 1;
        let lower = |text: Vec<u8>| Pattern::new(&text.to_ascii_lowercase());
        Ok(match name.as_slice() {
            b"-true" | b"-noleaf" | b"-mount" | b"-xdev" | b"-daystart" | b"-ignore_readdir_race" => Test::True,
            b"-false" => Test::False,
            b"-name" => Test::Name(Pattern::new(&self.value(name)?), false),
            b"-iname" => Test::Name(lower(self.value(name)?), true),
            b"-path" | b"-wholename" => Test::Path(Pattern::new(&self.value(name)?), false),
            b"-ipath" | b"-iwholename" => Test::Path(lower(self.value(name)?), true),
            b"-lname" => Test::LinkName(Pattern::new(&self.value(name)?)),
            b"-regextype" => {
                let kind = self.value(name)?;
                self.extended_regex = matches!(kind.as_slice(), b"posix-extended" | b"egrep" | b"posix-egrep" | b"awk");
                Test::True
            }
            b"-regex" | b"-iregex" => {
                let text = self.value(name)?;
                let flags =
                    Flags { extended: self.extended_regex, ignore_case: name == b"-iregex", ..Flags::default() };
                Test::Regex(Box::new(Regex::new(&text, flags).map_err(Failure::new)?))
            }
            b"-type" | b"-xtype" => {
                let text = self.value(name)?;
                let mut kinds = Vec::new();
                for letter in text.split(|&byte| byte == b',') {
                    kinds.push(match letter {
                        b"f" => kiln_guest::S_IFREG,
                        b"d" => kiln_guest::S_IFDIR,
                        b"l" => kiln_guest::S_IFLNK,
                        b"c" => kiln_guest::S_IFCHR,
                        b"b" => kiln_guest::S_IFBLK,
                        b"p" => kiln_guest::S_IFIFO,
                        b"s" => kiln_guest::S_IFSOCK,
                        _ => return Err(Failure::new(format!("Unknown argument to -type: {}", show(letter)))),
                    });
                }
                if name == b"-type" { Test::Kind(kinds) } else { Test::TargetKind(kinds) }
            }
            b"-size" => {
                let text = self.value(name)?;
                let (digits, unit) = match text.split_last() {
                    Some((b'c', digits)) => (digits, 1),
                    Some((b'w', digits)) => (digits, 2),
                    Some((b'k', digits)) => (digits, 1 << 10),
                    Some((b'M', digits)) => (digits, 1 << 20),
                    Some((b'G', digits)) => (digits, 1 << 30),
                    Some((b'b', digits)) => (digits, 512),
                    _ => (text.as_slice(), 512),
                };
                let size =
                    comparison(digits).ok_or_else(|| Failure::new(format!("invalid -size '{}'", show(&text))))?;
                Test::Size(size, unit)
            }
            b"-empty" => Test::Empty,
            b"-links" => Test::Links(self.number(name)?),
            b"-inum" => Test::Inode(self.number(name)?),
            b"-mtime" | b"-ctime" => Test::Age(self.number(name)?, 86_400 * SECOND),
            b"-mmin" | b"-cmin" => Test::Age(self.number(name)?, 60 * SECOND),
            b"-atime" => Test::AccessAge(self.number(name)?, 86_400 * SECOND),
            b"-amin" => Test::AccessAge(self.number(name)?, 60 * SECOND),
            b"-newer" | b"-newermm" | b"-cnewer" => Test::Newer(self.reference_time(name)?),
            b"-newermt" => {
                let text = self.value(name)?;
                Test::Newer(parse_date(&text).ok_or_else(|| Failure::new(format!("invalid date '{}'", show(&text))))?)
            }
            b"-perm" => {
                let text = self.value(name)?;
                let (kind, mode) = match text.first() {
                    Some(kind @ (b'-' | b'/')) => (*kind, &text[1..]),
                    _ => (b'=', text.as_slice()),
                };
                let mode = Mode::parse(mode).ok_or_else(|| Failure::new(format!("invalid mode '{}'", show(&text))))?;
                Test::Permissions(kind, mode.apply(0, false, 0))
            }
            b"-user" | b"-uid" => {
                let text = self.value(name)?;
                let id = account_id(self.context, "/etc/passwd", &text);
                Test::User(
                    id.ok_or_else(|| Failure::new(format!("'{}' is not the name of a known user", show(&text))))?,
                )
            }
            b"-group" | b"-gid" => {
                let text = self.value(name)?;
                let id = account_id(self.context, "/etc/group", &text);
                Test::Group(
                    id.ok_or_else(|| Failure::new(format!("'{}' is not the name of an existing group", show(&text))))?,
                )
            }
            b"-nouser" | b"-nogroup" => Test::False,
            b"-readable" | b"-writable" => Test::True,
            b"-executable" => Test::Permissions(b'/', 0o111),
            b"-samefile" => {
                let file = self.value(name)?;
                let stat = kiln_guest::stat(&self.context.path(&file), false)
                    .map_err(|error| Failure::new(format!("'{}': {}", show(&file), reason(&error))))?;
                Test::SameFile(stat.dev, stat.ino)
            }
            b"-depth" | b"-d" => {
                self.walk.contents_first = true;
                Test::True
            }
            b"-follow" => {
                self.walk.follow = true;
                Test::True
            }
            b"-mindepth" => {
                self.walk.least_depth = self.depth_value(name)?;
                Test::True
            }
            b"-maxdepth" => {
                self.walk.most_depth = self.depth_value(name)?;
                Test::True
            }
            b"-prune" => Test::Prune,
            b"-quit" => self.acting(Test::Quit),
            b"-print" => self.acting(Test::Print(b'\n')),
            b"-print0" => self.acting(Test::Print(0)),
            b"-printf" => {
                let format = self.value(name)?;
                self.acting(Test::Format(format))
            }
            b"-ls" => self.acting(Test::List),
            b"-delete" => {
                self.walk.contents_first = true;
                self.acting(Test::Delete)
            }
            b"-exec" | b"-execdir" | b"-ok" | b"-okdir" => {
                let index = self.command(name)?;
                self.acting(Test::Execute(index))
            }
            _ => return Err(Failure::new(format!("unknown predicate `{}'", show(name)))),
        })
    }

    fn acting(&mut self, test: Test) -> Test {
        self.acts = true;
        test
    }

    fn command(&mut self, name: &[u8]) -> Result<usize, Failure> {
        let in_directory = name.ends_with(b"dir");
        let mut words: Vec<Vec<u8>> = Vec::new();
        loop {
            let Some(word) = self.args.get(self.position).cloned() else {
                return Err(Failure::new(format!("missing argument to `{}'", show(name))));
            };
            self.position += 1;
            let many = word == b"+" && words.last().is_some_and(|last| last == b"{}");
            if word == b";" || many {
                if many {
                    words.pop();
                }
                if words.is_empty() {
                    return Err(Failure::new(format!("invalid argument ';' to '{}'", show(name))));
                }
                self.commands.push(Command { words, many, in_directory, waiting: Vec::new() });
                return Ok(self.commands.len() - 1);
            }
            words.push(word);
        }
    }
}

fn comparison(text: &[u8]) -> Option<Comparison> {
    Some(match text.first()? {
        b'+' => Comparison::More(number(&text[1..])?),
        b'-' => Comparison::Less(number(&text[1..])?),
        _ => Comparison::Exactly(number(text)?),
    })
}

/// How long ago, in whole units.
pub(super) fn age(time: i128, unit: i128) -> u64 {
    u64::try_from((now() - time).div_euclid(unit)).unwrap_or(0)
}
