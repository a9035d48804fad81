//! What HEALTHCHECK means, as Docker has it: when it is asked, and what its answers make of a container.

use std::time::Duration;

use kiln_image::Healthcheck;

use crate::{Health, HealthStatus, Probe};

/// So many answers are kept.
const KEPT: usize = 5;
/// So much of what a check wrote.
pub(crate) const MAX_OUTPUT: usize = 4096;

/// A healthcheck with its defaults put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) argv: Vec<String>,
    interval: Duration,
    pub(crate) timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
}

impl Check {
    /// `shell` is the image's SHELL. `None` where there is nothing to ask.
    pub(crate) fn new(check: &Healthcheck, shell: Option<&[String]>) -> Option<Self> {
        let (kind, rest) = check.test.split_first()?;
        let argv = match kind.as_str() {
            "CMD" => rest.to_vec(),
            "CMD-SHELL" => {
                let default = ["/bin/sh".to_owned(), "-c".to_owned()];
                [shell.unwrap_or(&default), rest].concat()
            }
            _ => return None,
        };
        let or = |nanoseconds: i64, default: u64| match u64::try_from(nanoseconds) {
            Ok(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds),
            _ => Duration::from_secs(default),
        };
        (!argv.is_empty()).then(|| Self {
            argv,
            interval: or(check.interval, 30),
            timeout: or(check.timeout, 30),
            start_period: or(check.start_period, 0),
            start_interval: or(check.start_interval, 5),
            retries: u32::try_from(check.retries).ok().filter(|retries| *retries > 0).unwrap_or(3),
        })
    }

    /// How long until it is asked again, in a container that has run for `age`.
    pub(crate) fn pause(&self, health: &Health, age: Duration) -> Duration {
        let starting = health.status == HealthStatus::Starting && age < self.start_period;
        if starting { self.start_interval } else { self.interval }
    }

    /// Takes an answer that was asked for when the container had run for `age`.
    pub(crate) fn record(&self, health: &mut Health, probe: Probe, age: Duration) {
        if probe.exit_code == 0 {
            health.failing_streak = 0;
            health.status = HealthStatus::Healthy;
        } else if health.status != HealthStatus::Starting || age >= self.start_period {
            health.failing_streak = health.failing_streak.saturating_add(1);
            if health.failing_streak >= self.retries {
                health.status = HealthStatus::Unhealthy;
            }
        }
        health.log.push(probe);
        let surplus = health.log.len().saturating_sub(KEPT);
        health.log.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn check(start_period: i64) -> Check {
        let test = vec!["CMD-SHELL".to_owned(), "true".to_owned()];
        let healthcheck = Healthcheck { test, retries: 2, start_period, ..Healthcheck::default() };
        Check::new(&healthcheck, None).expect("something to ask")
    }

    /// (seconds since the start, exit code) and what the container is after that.
    fn told(check: &Check, answers: &[(u64, i32, HealthStatus)]) {
        let mut health = Health::default();
        for (number, &(age, exit_code, expected)) in answers.iter().enumerate() {
            let probe = Probe { start: 0, end: 0, exit_code, output: String::new() };
            check.record(&mut health, probe, Duration::from_secs(age));
            assert_eq!(health.status, expected, "answer {number}");
            assert!(health.log.len() <= KEPT);
        }
    }

    #[test]
    fn so_many_failures_are_unhealthy_and_one_success_heals() {
        use HealthStatus::{Healthy, Starting, Unhealthy};
        told(
            &check(0),
            &[
                (1, 1, Starting),
                (2, 1, Unhealthy),
                (3, 0, Healthy),
                (4, 1, Healthy),
                (5, 0, Healthy),
                (6, 1, Healthy),
                (7, -1, Unhealthy),
            ],
        );
        // Failures at the start do not count, but a success ends the start.
        told(
            &check(10 * SECOND),
            &[(1, 1, Starting), (2, 1, Starting), (3, 1, Starting), (11, 1, Starting), (12, 1, Unhealthy)],
        );
        told(&check(10 * SECOND), &[(1, 0, Healthy), (2, 1, Healthy), (3, 1, Unhealthy)]);
    }

    #[test]
    fn pauses_are_shorter_at_the_start() {
        let check = check(10 * SECOND);
        let health = Health::default();
        assert_eq!(check.pause(&health, Duration::from_secs(1)), Duration::from_secs(5));
        assert_eq!(check.pause(&health, Duration::from_secs(11)), Duration::from_secs(30));
        let healthy = Health { status: HealthStatus::Healthy, ..health };
        assert_eq!(check.pause(&healthy, Duration::from_secs(1)), Duration::from_secs(30));
    }

    #[test]
    fn what_is_asked() {
        let of = |test: &[&str], shell: Option<&[String]>| {
            let test = test.iter().map(|&word| word.to_owned()).collect();
            Check::new(&Healthcheck { test, ..Healthcheck::default() }, shell).map(|check| check.argv.join(" "))
        };
        let bash = ["/bin/bash".to_owned(), "-ec".to_owned()];
        assert_eq!(of(&["CMD", "curl", "x"], None).as_deref(), Some("curl x"));
        assert_eq!(of(&["CMD-SHELL", "a || b"], None).as_deref(), Some("/bin/sh -c a || b"));
        assert_eq!(of(&["CMD-SHELL", "a"], Some(&bash)).as_deref(), Some("/bin/bash -ec a"));
        assert_eq!(of(&["NONE"], None), None);
        assert_eq!(of(&[], None), None);
        assert_eq!(of(&["CMD"], None), None);
    }
}
