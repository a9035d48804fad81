//! How long ago something was made, in the words of Docker's lists.

/// `seconds` before now, as `About a minute ago`. What lies in the future was made just now.
pub(crate) fn ago(seconds: i64) -> String {
    format!("{} ago", duration(seconds.max(0)))
}

/// A span of seconds: `About a minute`.
pub(crate) fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    // Docker rounds hours to the nearest, everything else down.
    let hours = (seconds + 1800) / 3600;
    let days = hours / 24;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if days < 14 => format!("{days} days"),
        () if days < 60 => format!("{} weeks", days / 7),
        () if days < 730 => format!("{} months", days / 30),
        () => format!("{} years", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn speaks_as_docker_does() {
        for (seconds, text) in [
            (-5, "Less than a second ago"),
            (0, "Less than a second ago"),
            (1, "1 second ago"),
            (11, "11 seconds ago"),
            (47, "47 seconds ago"),
            (MINUTE, "About a minute ago"),
            (2 * MINUTE - 1, "About a minute ago"),
            (3 * MINUTE, "3 minutes ago"),
            (4 * MINUTE, "4 minutes ago"),
            (45 * MINUTE, "45 minutes ago"),
            (59 * MINUTE + 59, "59 minutes ago"),
            (HOUR, "About an hour ago"),
            (HOUR + 29 * MINUTE, "About an hour ago"),
            (HOUR + 30 * MINUTE, "2 hours ago"),
            (23 * HOUR, "23 hours ago"),
            (24 * HOUR, "24 hours ago"),
            (47 * HOUR, "47 hours ago"),
            (2 * DAY, "2 days ago"),
            (5 * DAY, "5 days ago"),
            (10 * DAY, "10 days ago"),
            (14 * DAY, "2 weeks ago"),
            (30 * DAY, "4 weeks ago"),
            (59 * DAY, "8 weeks ago"),
            (60 * DAY, "2 months ago"),
            (123 * DAY, "4 months ago"),
            (152 * DAY, "5 months ago"),
            (185 * DAY, "6 months ago"),
            (220 * DAY, "7 months ago"),
            (460 * DAY, "15 months ago"),
            (2 * 365 * DAY, "2 years ago"),
            (7 * 365 * DAY + 40 * DAY, "7 years ago"),
        ] {
            assert_eq!(ago(seconds), text, "{seconds}");
        }
    }
}
