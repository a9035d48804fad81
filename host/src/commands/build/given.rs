//! What a build is given besides files: arguments, labels, secrets, ssh agents, names of hosts.

use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_build::{Agents, Secret, Secrets};
use kiln_ssh::{Agent, Key, Keys};

use crate::cli::build::Build;
use crate::commands::arguments;
use crate::report::failure::Failure;

/// `--build-arg-file`, then `--build-arg`: of one name the last counts.
pub(super) fn build_args(options: &Build) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::new();
    for path in &options.build_arg_files {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(format!("cannot read the build arguments in {}", path.display())).because(error)
        })?;
        let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
        all.extend(lines.map(str::to_owned));
    }
    all.extend(options.build_args.iter().cloned());
    arguments::read(&all)
}

/// `KEY[=VALUE]`.
pub(super) fn labels(options: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let label = |option: &String| {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        match key {
            "" => Err(Failure::misuse(format!("--label {option} has no key")).hint("write --label KEY=VALUE")),
            key => Ok((key.to_owned(), value.to_owned())),
        }
    };
    options.iter().map(label).collect()
}

/// `id=ID[,src=FILE|,env=NAME]`; without either the variable of that name, else the file.
pub(in crate::commands) fn secrets(options: &[String]) -> Result<Secrets, Failure> {
    options.iter().map(|option| secret(option)).collect()
}

fn secret(option: &str) -> Result<(String, Secret), Failure> {
    let wrong = |reason: String| {
        Failure::misuse(format!("--secret {option}: {reason}"))
            .hint("write --secret id=NAME,src=FILE or id=NAME,env=VARIABLE")
    };
    let unset = |name: &str| {
        Failure::new(format!("--secret {option}: the variable {name} is not set"))
            .hint("export it, or take the secret from a file: --secret id=NAME,src=FILE")
    };
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in option.split(',') {
        let (key, value) = field.split_once('=').ok_or_else(|| wrong(format!("`{field}` has no value")))?;
        match key.to_ascii_lowercase().as_str() {
            "id" => id = Some(value.to_owned()),
            "src" | "source" => file = Some(value.to_owned()),
            "env" => variable = Some(value.to_owned()),
            "type" if value == "file" || value == "env" => kind = Some(value),
            "type" => return Err(wrong(format!("the type `{value}` is neither file nor env"))),
            other => return Err(wrong(format!("there is no option `{other}`"))),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| wrong("it has no id".to_owned()))?;
    if kind == Some("env") {
        variable = variable.or(file.take());
    }
    if file.is_some() && variable.is_some() {
        return Err(wrong("a secret is either in a file or in a variable".to_owned()));
    }
    let of_variable = |name: &str| std::env::var_os(name).map(|value| value.into_encoded_bytes());
    let bytes = match (file, variable) {
        (Some(file), _) => read(Path::new(&file))?,
        (None, Some(name)) => of_variable(&name).ok_or_else(|| unset(&name))?,
        (None, None) => match of_variable(&id) {
            Some(value) => value,
            None if kind == Some("env") => return Err(unset(&id)),
            None => read(Path::new(&id))?,
        },
    };
    if bytes.len() > Secret::LONGEST {
        return Err(Failure::new(format!("the secret `{id}` is longer than {} KiB", Secret::LONGEST >> 10))
            .hint("mount large files with type=bind and a named context"));
    }
    Ok((id, Secret::new(bytes)))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::new(format!("cannot read the secret {}", path.display())).because(error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(Secret::LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// `default`, `ID[=SOCKET]` or `ID=KEY[,KEY]`.
pub(in crate::commands) fn agents(options: &[String]) -> Result<Agents, Failure> {
    options.iter().map(|option| agent(option)).collect()
}

fn agent(option: &str) -> Result<(String, Agent), Failure> {
    let (id, paths) = option.split_once('=').map_or((option, None), |(id, paths)| (id, Some(paths)));
    let wrong = |reason: &str, hint: &str| Failure::new(format!("--ssh {option}: {reason}")).hint(hint);
    if id.is_empty() {
        return Err(wrong("it has no id", "write --ssh default, --ssh ID=SOCKET or --ssh ID=KEY"));
    }
    let paths: Vec<PathBuf> = match paths {
        Some(paths) => paths.split(',').map(PathBuf::from).collect(),
        None => {
            let path = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
            vec![path.ok_or_else(|| {
                let hint = "start one: eval \"$(ssh-agent)\" && ssh-add; or give a key: --ssh default=FILE";
                wrong("there is no ssh agent: SSH_AUTH_SOCK is not set", hint)
            })?]
        }
    };
    let mut keys = Vec::new();
    for path in &paths {
        if !path.exists() {
            let hint = "name the socket of an agent that runs, or files of private keys";
            return Err(wrong(&format!("{} is not there", path.display()), hint));
        }
        // What is no file is a socket, as far as every system can tell.
        if path.is_file() {
            keys.push(key(option, path)?);
        }
    }
    match paths.as_slice() {
        paths if keys.len() == paths.len() => Ok((id.to_owned(), Agent::Keys(Arc::new(Keys::new(keys))))),
        [socket] => {
            Ok((id.to_owned(), Agent::Socket(std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned()))))
        }
        _ => Err(wrong("it names a socket and something else", "give one socket, or private keys: --ssh ID=KEY,KEY")),
    }
}

fn key(option: &str, path: &Path) -> Result<Key, Failure> {
    let wrong = |reason: String| Failure::new(format!("--ssh {option}: {}: {reason}", path.display()));
    let mut file = Vec::new();
    let read = File::open(path).and_then(|opened| opened.take(Key::LONGEST_FILE as u64).read_to_end(&mut file));
    read.map_err(|error| wrong("it cannot be read".to_owned()).because(error))?;
    Key::parse(&file).map_err(|error| match error {
        kiln_ssh::Error::NoKey => wrong(error.to_string()).hint("name a private key, not the .pub beside it"),
        kiln_ssh::Error::Damaged(_) => wrong(error.to_string()),
        _ => wrong(error.to_string()).hint("add it to an agent with ssh-add, and forward that: --ssh default"),
    })
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`; addresses of version 6 may stand in brackets.
pub(super) fn hosts(options: &[String]) -> Result<Vec<(String, IpAddr)>, Failure> {
    options.iter().map(|option| host(option)).collect()
}

fn host(option: &str) -> Result<(String, IpAddr), Failure> {
    let wrong = |reason: String| {
        Failure::misuse(format!("--add-host {option}: {reason}")).hint("write --add-host NAME:ADDRESS")
    };
    let separator = if option.contains('=') { '=' } else { ':' };
    let (name, address) = option.split_once(separator).ok_or_else(|| wrong("it has no address".to_owned()))?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if !is_name {
        return Err(wrong(format!("`{name}` is no name of a host")));
    }
    if address == "host-gateway" {
        return Err(wrong("steps share the host's network: there is no gateway to it; use 127.0.0.1".to_owned()));
    }
    let plain = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    let address = plain.parse().map_err(|_| wrong(format!("`{address}` is no address")))?;
    Ok((name.to_owned(), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_with_addresses() {
        for (option, name, address) in
            [("a:1.2.3.4", "a", "1.2.3.4"), ("b=::1", "b", "::1"), ("c:[::1]", "c", "::1"), ("d.e:::1", "d.e", "::1")]
        {
            assert_eq!(host(option).ok(), Some((name.to_owned(), address.parse().expect("an address"))), "{option}");
        }
        for option in ["a", "a:", ":1.2.3.4", "a b:1.2.3.4", "a\n:1.2.3.4", "a:host-gateway", "a:1.2.3"] {
            assert!(host(option).is_err(), "{option}");
        }
    }

    #[test]
    fn secrets_say_where_they_are() {
        for option in
            ["", "id", "id=", "src=/dev/null", "id=a,src=b,env=C", "id=a,type=x", "id=a,x=y", "id=a,env=NOT SET"]
        {
            assert!(secret(option).is_err(), "{option}");
        }
        for option in
            ["id=a,src=/dev/null", "id=PATH", "id=a,env=PATH", "id=a,type=env,src=PATH", "type=file,id=/dev/null"]
        {
            assert!(secret(option).is_ok() || !cfg!(unix), "{option}");
        }
    }
}
