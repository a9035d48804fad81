//! `--restart`: whether a container that ended by itself is started again, and after what time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    #[default]
    No,
    /// When it failed; so many times, or always.
    OnFailure(Option<u32>),
    Always,
    UnlessStopped,
}

/// Docker's pauses before a restart: the first, the longest, and how long a container must have run to be given the
/// first one again.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
const GOOD: Duration = Duration::from_secs(10);

impl RestartPolicy {
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: &str| Error::invalid("restart policy", text, reason);
        match text.split_once(':') {
            None if text.is_empty() || text == "no" => Ok(Self::No),
            None if text == "always" => Ok(Self::Always),
            None if text == "unless-stopped" => Ok(Self::UnlessStopped),
            None if text == "on-failure" => Ok(Self::OnFailure(None)),
            Some(("on-failure", count)) => match count.parse() {
                // Docker's way to say always.
                Ok(0) => Ok(Self::OnFailure(None)),
                Ok(count) => Ok(Self::OnFailure(Some(count))),
                Err(_) => Err(wrong("after the colon comes a number of restarts")),
            },
            Some(("no" | "always" | "unless-stopped", _)) => Err(wrong("a number of restarts is for on-failure only")),
            _ => Err(wrong("there are no, on-failure[:NUMBER], always and unless-stopped")),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure(_) => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }

    /// 0 for any number.
    pub fn most(self) -> u32 {
        if let Self::OnFailure(Some(most)) = self { most } else { 0 }
    }
}

/// The restarts of a container since it was started.
#[derive(Debug, Default)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is no supervisor"))]
pub(crate) struct Restarts {
    policy: RestartPolicy,
    pub(crate) count: u32,
    pause: Duration,
}

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is no supervisor"))]
impl Restarts {
    pub(crate) fn new(policy: RestartPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// After it ended with that code: how long to wait before the next start, if there is to be one.
    pub(crate) fn next(&mut self, code: i32, ran: Duration) -> Option<Duration> {
        let wanted = match self.policy {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(most) => code != 0 && most.is_none_or(|most| self.count < most),
        };
        if !wanted {
            return None;
        }
        self.count += 1;
        self.pause = if ran >= GOOD || self.pause.is_zero() { FIRST } else { LONGEST.min(self.pause * 2) };
        Some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_as_docker_takes_them() {
        for (text, expected) in [
            ("", Some(RestartPolicy::No)),
            ("no", Some(RestartPolicy::No)),
            ("always", Some(RestartPolicy::Always)),
            ("unless-stopped", Some(RestartPolicy::UnlessStopped)),
            ("on-failure", Some(RestartPolicy::OnFailure(None))),
            ("on-failure:3", Some(RestartPolicy::OnFailure(Some(3)))),
            ("on-failure:0", Some(RestartPolicy::OnFailure(None))),
            ("on-failure:-1", None),
            ("on-failure:x", None),
            ("always:3", None),
            ("sometimes", None),
        ] {
            assert_eq!(RestartPolicy::parse(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn pauses_double_until_it_runs_well() {
        let mut restarts = Restarts::new(RestartPolicy::Always);
        let mut pause = |seconds| restarts.next(0, Duration::from_secs(seconds)).expect("always").as_millis();
        assert_eq!([0, 9, 0, 0].map(&mut pause), [100, 200, 400, 800]);
        assert_eq!([10, 0].map(&mut pause), [100, 200]);
        assert_eq!((0..20).map(|_| pause(0)).last(), Some(60_000));
    }

    #[test]
    fn failures_are_counted() {
        let mut restarts = Restarts::new(RestartPolicy::OnFailure(Some(2)));
        let again = |restarts: &mut Restarts, code| restarts.next(code, Duration::ZERO).is_some();
        assert!(!again(&mut restarts, 0));
        assert!(again(&mut restarts, 1) && again(&mut restarts, 137));
        assert!(!again(&mut restarts, 1));
        assert!(!again(&mut Restarts::new(RestartPolicy::No), 1));
    }
}
