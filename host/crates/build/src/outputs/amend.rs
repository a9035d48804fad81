//! What the user changes of a finished image's configuration: `--label` and `--unset`.

use std::fmt;
use std::str::FromStr;

use kiln_dockerfile::Exposed;
use kiln_image::Config;

/// Changes of the final configuration; no step and no key knows of them.
#[derive(Debug, Clone, Default)]
pub struct Amendments {
    /// Taken away first.
    pub unset: Vec<Unset>,
    /// Keys and values.
    pub labels: Vec<(String, String)>,
}

/// Something that the image is not to have, whether the Dockerfile set it or the base image did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unset {
    Cmd,
    Entrypoint,
    Env(String),
    /// As configurations have them: `80/tcp`.
    Expose(Vec<String>),
    Healthcheck,
    Label(String),
    OnBuild,
    StopSignal,
    User,
    Volume(String),
    Workdir,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseUnsetError {
    #[error(
        "`{0}` cannot be unset: write env=NAME, label=KEY, expose=PORT, volume=PATH, cmd, entrypoint, healthcheck, onbuild, \
         stopsignal, user or workdir"
    )]
    Unknown(String),
    #[error("`{0}` says not which one: write {0}=…")]
    NoName(String),
    #[error("`{0}` stands alone, without a value")]
    Value(String),
    #[error("{0}")]
    Port(String),
}

impl FromStr for Unset {
    type Err = ParseUnsetError;

    fn from_str(text: &str) -> Result<Self, ParseUnsetError> {
        let (what, name) = text.split_once('=').map_or((text, None), |(what, name)| (what, Some(name)));
        let name = name.filter(|name| !name.is_empty());
        let named = || name.map(str::to_owned).ok_or_else(|| ParseUnsetError::NoName(what.to_owned()));
        let alone = |unset| if name.is_none() { Ok(unset) } else { Err(ParseUnsetError::Value(what.to_owned())) };
        match what {
            "cmd" => alone(Self::Cmd),
            "entrypoint" => alone(Self::Entrypoint),
            "env" => named().map(Self::Env),
            "expose" => {
                let Exposed { ports, protocol, .. } =
                    Exposed::parse(&named()?).map_err(|error| ParseUnsetError::Port(error.to_string()))?;
                Ok(Self::Expose(ports.map(|port| format!("{port}/{protocol}")).collect()))
            }
            "healthcheck" => alone(Self::Healthcheck),
            "label" => named().map(Self::Label),
            "onbuild" => alone(Self::OnBuild),
            "stopsignal" => alone(Self::StopSignal),
            "user" => alone(Self::User),
            "volume" => named().map(Self::Volume),
            "workdir" => alone(Self::Workdir),
            _ => Err(ParseUnsetError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cmd => f.write_str("cmd"),
            Self::Entrypoint => f.write_str("entrypoint"),
            Self::Env(name) => write!(f, "env={name}"),
            Self::Expose(ports) => write!(f, "expose={}", ports.join(" ")),
            Self::Healthcheck => f.write_str("healthcheck"),
            Self::Label(key) => write!(f, "label={key}"),
            Self::OnBuild => f.write_str("onbuild"),
            Self::StopSignal => f.write_str("stopsignal"),
            Self::User => f.write_str("user"),
            Self::Volume(path) => write!(f, "volume={path}"),
            Self::Workdir => f.write_str("workdir"),
        }
    }
}

impl Amendments {
    pub(crate) fn is_empty(&self) -> bool {
        self.unset.is_empty() && self.labels.is_empty()
    }

    /// Changes `config`; what was to be taken away and is not there is returned.
    pub(crate) fn apply(&self, config: &mut Config) -> Vec<&Unset> {
        let missing = self.unset.iter().filter(|unset| !unset.apply(config)).collect();
        config.labels.extend(self.labels.iter().cloned());
        missing
    }
}

impl Unset {
    /// Whether there was something to take away.
    fn apply(&self, config: &mut Config) -> bool {
        let clear = |text: &mut String| !std::mem::take(text).is_empty();
        match self {
            Self::Cmd => config.cmd.take().is_some(),
            Self::Entrypoint => config.entrypoint.take().is_some(),
            Self::Env(name) => {
                let Some(env) = &mut config.env else { return false };
                let before = env.len();
                env.retain(|line| line.split_once('=').map_or(line.as_str(), |(name, _)| name) != name);
                env.len() < before
            }
            Self::Expose(ports) => {
                // All of a range, not only the first.
                ports.iter().filter(|port| config.exposed_ports.remove(*port).is_some()).count() > 0
            }
            Self::Healthcheck => config.healthcheck.take().is_some(),
            Self::Label(key) => config.labels.remove(key).is_some(),
            Self::OnBuild => config.on_build.take().is_some_and(|triggers| !triggers.is_empty()),
            Self::StopSignal => config.stop_signal.take().is_some(),
            Self::User => clear(&mut config.user),
            Self::Volume(path) => config.volumes.remove(path).is_some(),
            Self::Workdir => clear(&mut config.working_dir),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = serde_json::json!({
            "User": "app", "ExposedPorts": {"80/tcp": {}, "81/tcp": {}, "53/udp": {}}, "Env": ["PATH=/bin", "A=1", "AB=2"],
            "Entrypoint": ["e"], "Cmd": ["c"], "Healthcheck": {"Test": ["NONE"]}, "Volumes": {"/data": {}},
            "WorkingDir": "/w", "Labels": {"a": "1", "b": "2"}, "OnBuild": ["RUN x"], "StopSignal": "TERM",
        });
        serde_json::from_value(text).expect("a configuration")
    }

    #[test]
    fn everything_can_be_taken_away() {
        let all = [
            "cmd",
            "entrypoint",
            "env=A",
            "env=AB",
            "env=PATH",
            "expose=80-81",
            "expose=53/udp",
            "healthcheck",
            "label=a",
            "label=b",
            "onbuild",
            "stopsignal",
            "user",
            "volume=/data",
            "workdir",
        ];
        let unset = all.map(|text| text.parse().expect("known")).to_vec();
        let amendments = Amendments { unset, labels: Vec::new() };
        let mut changed = config();
        assert!(amendments.apply(&mut changed).is_empty());
        assert_eq!(changed, Config { env: Some(Vec::new()), ..Config::default() });
        assert_eq!(amendments.apply(&mut changed).len(), all.len(), "nothing is left");
    }

    #[test]
    fn names_are_whole_and_labels_come_after() {
        let unset = ["env=B", "label=a"].map(|text| text.parse().expect("known")).to_vec();
        let labels = [("a", "new"), ("c", "")].map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let mut changed = config();
        let missing =
            Amendments { unset, labels }.apply(&mut changed).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(missing, ["env=B"]);
        let labels: Vec<_> = changed.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(labels, ["a=new", "b=2", "c="]);
    }

    #[test]
    fn what_is_no_part_of_an_image_is_refused() {
        for text in ["", "env", "env=", "cmd=x", "shell", "expose=x", "port=80"] {
            assert!(text.parse::<Unset>().is_err(), "{text}");
        }
    }
}
