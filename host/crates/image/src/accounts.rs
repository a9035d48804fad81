//! Users and groups as the image knows them: `etc/passwd` and `etc/group`.

use crate::error::{Error, Result};
use crate::view::View;

const PASSWD: &[u8] = b"etc/passwd";
const GROUP: &[u8] = b"etc/group";
const MAX_FILE: u64 = 16 << 20;
/// Ids above this are refused, as by runc and the kernel's "no change".
const MAX_ID: u32 = i32::MAX as u32;

/// Who a process of the image runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// Of the passwd entry, where there is one.
    pub home: Option<String>,
    pub name: Option<String>,
}

/// Reads `user[:group]` of USER: names or numbers; empty is root.
///
/// As runc does: a number needs no entry. Without a group, the primary one of the entry is taken (0 without an entry)
/// and all that list the user; with a group, only that.
pub fn resolve_user(view: &View, spec: &str) -> Result<User> {
    resolve_user_in(&read(view, PASSWD)?, &read(view, GROUP)?, spec)
}

/// The same with the text of `/etc/passwd` and `/etc/group`.
pub fn resolve_user_in(passwd: &str, group_file: &str, spec: &str) -> Result<User> {
    let (user, group) = split(spec)?;
    let mut found = match (find_account(passwd, user), id(spec, user)?) {
        (Some(account), _) => account,
        (None, Some(uid)) => User { uid, ..User::default() },
        (None, None) => return Err(unknown("user", user, "/etc/passwd")),
    };
    match (group, &found.name) {
        (Some(group), _) => found.gid = find_group(group_file, spec, group)?,
        (None, Some(name)) => found.groups = groups_of(group_file, name),
        (None, None) => {}
    }
    Ok(found)
}

/// The number of a group, by name or number, with the text of `/etc/group`.
pub fn resolve_group_in(group_file: &str, group: &str) -> Result<u32> {
    find_group(group_file, group, group)
}

/// Reads `user[:group]` of `--chown`. As BuildKit does: where only a user is given, a name brings the group of its entry
/// and a number stands for user and group.
pub fn resolve_owner(view: &View, spec: &str) -> Result<(u32, u32)> {
    let (user, group) = split(spec)?;
    let (uid, own_gid) = match id(spec, user)? {
        Some(uid) => (uid, uid),
        None => {
            let account =
                find_account(&read(view, PASSWD)?, user).ok_or_else(|| unknown("user", user, "/etc/passwd"))?;
            (account.uid, account.gid)
        }
    };
    let gid = match group {
        Some(group) => match id(spec, group)? {
            Some(gid) => gid,
            None => find_group(&read(view, GROUP)?, spec, group)?,
        },
        None => own_gid,
    };
    Ok((uid, gid))
}

/// User and group; no user is root.
fn split(spec: &str) -> Result<(&str, Option<&str>)> {
    let (user, group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    };
    if group.is_some_and(|group| group.contains(':')) {
        return Err(Error::InvalidAccount { spec: spec.to_owned(), reason: "it has the form user[:group]" });
    }
    Ok((if user.is_empty() { "0" } else { user }, group))
}

/// The number that a text is, if it is one.
fn id(spec: &str, text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id <= MAX_ID => Ok(Some(id)),
        _ => Err(Error::InvalidAccount { spec: spec.to_owned(), reason: "ids are at most 2147483647" }),
    }
}

fn unknown(what: &'static str, name: &str, file: &'static str) -> Error {
    Error::UnknownAccount { what, name: name.to_owned(), file }
}

fn read(view: &View, path: &[u8]) -> Result<String> {
    let bytes = view.read_small(path, MAX_FILE)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The rows of a file of the `name:password:number:…` form; those that are malformed are passed over.
fn rows(file: &str) -> impl Iterator<Item = (Vec<&str>, u32)> {
    file.lines().filter_map(|line| {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let number = fields.get(2)?.parse().ok()?;
        (!fields[0].starts_with('#')).then_some((fields, number))
    })
}

/// The first passwd entry with this name, or with this number.
fn find_account(passwd: &str, user: &str) -> Option<User> {
    let (fields, uid) = rows(passwd).find(|(fields, uid)| fields[0] == user || uid.to_string() == user)?;
    Some(User {
        uid,
        gid: fields.get(3)?.parse().ok()?,
        groups: Vec::new(),
        home: fields.get(5).filter(|home| !home.is_empty()).map(|home| (*home).to_owned()),
        name: Some(fields[0].to_owned()),
    })
}

fn find_group(file: &str, spec: &str, group: &str) -> Result<u32> {
    if let Some((_, gid)) = rows(file).find(|(fields, gid)| fields[0] == group || gid.to_string() == group) {
        return Ok(gid);
    }
    id(spec, group)?.ok_or_else(|| unknown("group", group, "/etc/group"))
}

fn groups_of(file: &str, user: &str) -> Vec<u32> {
    let lists = |fields: &[&str]| fields.get(3).is_some_and(|members| members.split(',').any(|member| member == user));
    let mut groups: Vec<u32> = rows(file).filter(|(fields, _)| lists(fields)).map(|(_, gid)| gid).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}
