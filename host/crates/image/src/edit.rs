//! Changes of an image's configuration: what ENV, CMD, LABEL and the others do.

use serde::{Deserialize, Serialize};

use crate::config::{Healthcheck, History, ImageConfig};

/// A step that makes no layer. Stores keep it in place of the image that it leads to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmptyStep {
    pub edit: Edit,
    /// Of the image.
    pub created: Option<String>,
    pub history: History,
}

impl EmptyStep {
    pub fn apply(&self, image: &mut ImageConfig) {
        self.edit.apply(image);
        image.created.clone_from(&self.created);
        image.history.push(self.history.clone());
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Edit {
    /// ARG: nothing of it stays in the image.
    Nothing,
    Author(String),
    Cmd(Vec<String>),
    /// `reset_cmd`: a CMD that the base image brought does not fit a new ENTRYPOINT.
    Entrypoint {
        argv: Vec<String>,
        reset_cmd: bool,
    },
    Env(Vec<(String, String)>),
    Expose(Vec<String>),
    Healthcheck(Healthcheck),
    Label(Vec<(String, String)>),
    OnBuild(String),
    Shell(Vec<String>),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
}

impl Edit {
    pub fn apply(&self, image: &mut ImageConfig) {
        let config = &mut image.config;
        match self {
            Self::Nothing => {}
            Self::Author(author) => image.author.clone_from(author),
            Self::Cmd(argv) => config.cmd = Some(argv.clone()),
            Self::Entrypoint { argv, reset_cmd } => {
                config.entrypoint = Some(argv.clone());
                if *reset_cmd {
                    config.cmd = None;
                }
            }
            Self::Env(pairs) => {
                let env = config.env.get_or_insert_default();
                pairs.iter().for_each(|(name, value)| set(env, name, value));
            }
            Self::Expose(ports) => {
                config.exposed_ports.extend(ports.iter().map(|port| (port.clone(), Default::default())));
            }
            Self::Healthcheck(check) => config.healthcheck = Some(check.clone()),
            Self::Label(pairs) => config.labels.extend(pairs.iter().cloned()),
            Self::OnBuild(trigger) => config.on_build.get_or_insert_default().push(trigger.clone()),
            Self::Shell(shell) => config.shell = Some(shell.clone()),
            Self::StopSignal(signal) => config.stop_signal = Some(signal.clone()),
            Self::User(user) => config.user.clone_from(user),
            Self::Volume(paths) => {
                config.volumes.extend(paths.iter().map(|path| (path.clone(), Default::default())));
            }
            Self::Workdir(path) => config.working_dir.clone_from(path),
        }
    }
}

/// Sets a variable where it stands, or adds it at the end.
fn set(env: &mut Vec<String>, name: &str, value: &str) {
    let line = format!("{name}={value}");
    match env.iter_mut().find(|old| old.split_once('=').is_some_and(|(old, _)| old == name)) {
        Some(old) => *old = line,
        None => env.push(line),
    }
}
