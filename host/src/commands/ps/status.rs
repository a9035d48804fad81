//! How a container fares, in Docker's words.

use kiln_container::{Phase, State};

use crate::report::age;

/// `Up 2 minutes (healthy)`, `Exited (0) 11 seconds ago`. `now` in seconds since 1970.
pub(in crate::commands) fn text(state: &State, health: Option<&str>, now: i64) -> String {
    let seconds_since = |time: i64| (now - time.div_euclid(1_000_000_000)).max(0);
    let up = || format!("Up {}", age::duration(seconds_since(state.started.unwrap_or_default())));
    match (state.phase, health) {
        (Phase::Created, _) => "Created".to_owned(),
        (Phase::Paused, _) => format!("{} (Paused)", up()),
        (Phase::Running, Some("starting")) => format!("{} (health: starting)", up()),
        (Phase::Running, Some(health)) => format!("{} ({health})", up()),
        (Phase::Running, None) => up(),
        (phase @ (Phase::Exited | Phase::Restarting), _) => {
            let word = if phase == Phase::Exited { "Exited" } else { "Restarting" };
            let code = state.exit_code;
            match state.finished {
                Some(finished) => format!("{word} ({code}) {}", age::ago(seconds_since(finished))),
                None => format!("{word} ({code})"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_dockers() {
        let at = |phase, started: Option<i64>, finished: Option<i64>, exit_code| State {
            phase,
            started: started.map(|time| time * 1_000_000_000),
            finished: finished.map(|time| time * 1_000_000_000),
            exit_code,
            ..State::default()
        };
        for (state, health, expected) in [
            (at(Phase::Created, None, None, 0), None, "Created"),
            (at(Phase::Running, Some(930), None, 0), None, "Up About a minute"),
            (at(Phase::Running, Some(930), None, 0), Some("healthy"), "Up About a minute (healthy)"),
            (at(Phase::Running, Some(999), None, 0), Some("starting"), "Up 1 second (health: starting)"),
            (at(Phase::Paused, Some(880), None, 0), Some("healthy"), "Up 2 minutes (Paused)"),
            (at(Phase::Exited, Some(880), Some(989), 0), None, "Exited (0) 11 seconds ago"),
            (at(Phase::Restarting, Some(880), Some(989), 1), None, "Restarting (1) 11 seconds ago"),
            (at(Phase::Exited, Some(880), Some(1000), 137), None, "Exited (137) Less than a second ago"),
        ] {
            assert_eq!(text(&state, health, 1000), expected);
        }
    }
}
