//! The environment of a container's processes.

use kiln_image::User;

use crate::Spec;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What Docker provides, and over it the configuration's.
pub(crate) fn environment(spec: &Spec, user: &User, terminal: bool) -> Vec<(String, String)> {
    let mut env = vec![("PATH".to_owned(), DEFAULT_PATH.to_owned()), ("HOSTNAME".to_owned(), spec.hostname.clone())];
    if terminal {
        env.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    for (name, value) in spec.env().iter().filter_map(|line| line.split_once('=')) {
        set(&mut env, name, value);
    }
    if !env.iter().any(|(name, _)| name == "HOME") {
        env.push(("HOME".to_owned(), user.home.clone().unwrap_or_else(|| "/".to_owned())));
    }
    env
}

pub(crate) fn set(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    match env.iter_mut().find(|(other, _)| other == name) {
        Some((_, old)) => value.clone_into(old),
        None => env.push((name.to_owned(), value.to_owned())),
    }
}
