//! From an image's configuration and the options to the process to run, by Docker's rules.

use kiln_exec::{Network, Process};
use kiln_image::{View, resolve_user};
use kiln_store::Image;
use kiln_types::Digest;

use crate::cli::run::{NetworkOption, Run};
use crate::commands::arguments;
use crate::report::failure::Failure;
use crate::session::now;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn process(options: &Run, image: &Image, view: &View) -> anyhow::Result<Process> {
    let config = &image.config.config;
    let argv = argv(
        options.entrypoint.as_deref(),
        options.arguments(),
        config.entrypoint.as_deref().unwrap_or_default(),
        config.cmd.as_deref().unwrap_or_default(),
    )
    .ok_or_else(|| Failure::new("the image does not say what to run").hint("name a command after the image"))?;
    let user = resolve_user(view, options.user.as_deref().unwrap_or(&config.user))?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Failure::new("no random numbers").because(error))?;
    let seed = Digest::of(random);
    let hostname = options.hostname.clone().unwrap_or_else(|| seed.short());
    let home = user.home.clone().unwrap_or_else(|| "/".to_owned());
    Ok(Process {
        argv,
        env: env(
            config.env.as_deref().unwrap_or_default(),
            arguments::read(&options.env)?,
            &hostname,
            home,
            options.tty.then(terminal),
        ),
        cwd: cwd(options.workdir.as_deref(), &config.working_dir)?,
        user,
        hostname,
        network: match options.network {
            NetworkOption::Host => Network::Host,
            NetworkOption::None => Network::None,
        },
        hosts: Vec::new(),
        insecure: false,
        // Nothing is kept of what is run here, so it may know the time and be as random as it likes.
        seed,
        clock: now(),
        guest_tools: false,
    })
}

/// ENTRYPOINT followed by the arguments, or by CMD where there are none. `--entrypoint` stands for both.
fn argv(option: Option<&str>, arguments: &[String], entrypoint: &[String], cmd: &[String]) -> Option<Vec<String>> {
    let (first, cmd) = match option {
        Some("") => (Vec::new(), &[][..]),
        Some(program) => (vec![program.to_owned()], &[][..]),
        None => (entrypoint.to_vec(), cmd),
    };
    let rest = if arguments.is_empty() { cmd } else { arguments };
    let argv = [&first[..], rest].concat();
    (!argv.is_empty()).then_some(argv)
}

/// What Docker provides, over it the image's variables, over those the options'.
fn env(
    image: &[String],
    options: Vec<(String, String)>,
    hostname: &str,
    home: String,
    terminal: Option<String>,
) -> Vec<(String, String)> {
    let mut env = vec![("PATH".to_owned(), DEFAULT_PATH.to_owned()), ("HOSTNAME".to_owned(), hostname.to_owned())];
    env.extend(terminal.map(|terminal| ("TERM".to_owned(), terminal)));
    let image = image.iter().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into()));
    for (name, value) in image.chain(options) {
        match env.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => env.push((name, value)),
        }
    }
    if !env.iter().any(|(name, _)| name == "HOME") {
        env.push(("HOME".to_owned(), home));
    }
    env
}

/// The kind of this terminal, which the command has as it is; Docker's answer where that is not known.
pub(in crate::commands) fn terminal() -> String {
    std::env::var("TERM").ok().filter(|term| !term.is_empty()).unwrap_or_else(|| "xterm".to_owned())
}

fn cwd(option: Option<&str>, image: &str) -> Result<String, Failure> {
    match option {
        Some(path) if path.starts_with('/') => Ok(path.to_owned()),
        Some(path) => {
            Err(Failure::new(format!("the working directory {path} is not absolute")).hint("begin it with `/`"))
        }
        None if image.is_empty() => Ok("/".to_owned()),
        None if image.starts_with('/') => Ok(image.to_owned()),
        None => Ok(format!("/{image}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn entrypoint_and_cmd_are_put_together_as_docker_does() {
        for (option, arguments, entrypoint, cmd, expected) in [
            (None, "", "", "/hello", "/hello"),
            (None, "", "echo", "a b", "echo a b"),
            (None, "c", "echo", "a b", "echo c"),
            (None, "cat x", "", "/bin/bash", "cat x"),
            (None, "-i", "echo -s", "", "echo -s -i"),
            (Some("ls"), "", "echo", "a b", "ls"),
            (Some("ls"), "-l", "echo", "a b", "ls -l"),
            (Some(""), "ls", "echo", "a b", "ls"),
        ] {
            let argv = argv(option, &words(arguments), &words(entrypoint), &words(cmd));
            assert_eq!(argv, Some(words(expected)), "{option:?} {arguments}");
        }
        assert_eq!(argv(None, &[], &[], &[]), None);
        assert_eq!(argv(Some(""), &[], &words("echo"), &words("a")), None);
    }

    #[test]
    fn options_win_over_the_image_and_the_image_over_defaults() {
        let image = ["PATH=/bin", "A=1", "B=2", "broken"].map(str::to_owned);
        let options = || vec![("B".into(), "3".into()), ("C".into(), String::new())];
        let env = |terminal| env(&image, options(), "box", "/root".into(), terminal);
        assert_eq!(env(Some("vt100".to_owned()))[2], ("TERM".to_owned(), "vt100".to_owned()));
        let env = env(None);
        let lines: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(lines, ["PATH=/bin", "HOSTNAME=box", "A=1", "B=3", "C=", "HOME=/root"]);
    }

    #[test]
    fn the_working_directory_is_absolute() {
        assert_eq!(cwd(None, "").ok().as_deref(), Some("/"));
        assert_eq!(cwd(None, "/a").ok().as_deref(), Some("/a"));
        assert_eq!(cwd(Some("/b"), "/a").ok().as_deref(), Some("/b"));
        assert!(cwd(Some("b"), "/a").is_err());
    }
}
