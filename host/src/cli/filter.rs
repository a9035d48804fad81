//! `--filter KEY=VALUE`, of every list that has it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// One filter, whose key the list knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) key: &'static str,
    pub(crate) value: String,
}

/// Reads filters of a list that has these keys: for clap's `value_parser`.
pub(crate) fn among(
    keys: &'static [&'static str],
) -> impl Fn(&str) -> Result<Filter, String> + Clone + Send + Sync + 'static {
    move |text| {
        let Some((key, value)) = text.split_once('=') else {
            return Err(format!("a filter looks like `{}=…`", closest(text, keys).unwrap_or(keys[0])));
        };
        // Docker's keys are of any case.
        let Some(&key) = keys.iter().find(|known| known.eq_ignore_ascii_case(key.trim())) else {
            return Err(match closest(key, keys) {
                Some(close) => format!("there is no filter `{key}`; did you mean {close}?"),
                None => format!("there is no filter `{key}`; there are {}", keys.join(", ")),
            });
        };
        let value = value.trim().to_owned();
        match key {
            "all" | "dangling" => parse_bool(&value).map(drop),
            "until" => parse_time(&value).map(drop),
            _ => Ok(()),
        }?;
        Ok(Filter { key, value })
    }
}

fn closest(word: &str, keys: &'static [&'static str]) -> Option<&'static str> {
    kiln_dockerfile::closest(word, keys.iter().copied())
}

/// As Go reads booleans.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// A time, or a duration before now: `2022-03-16`, `2022-03-16T20:22:09Z`, `1647462129`, `24h`, `10m`. Days begin in UTC.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let utc = |time: civil::DateTime| time.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let seconds = || {
        let number = text.parse::<f64>().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))?;
        let duration = SignedDuration::try_from_secs_f64(number).ok()?;
        Timestamp::from_duration(duration).ok()
    };
    let ago = || {
        let duration: SignedDuration = text.parse().ok()?;
        Timestamp::now().checked_sub(duration).ok()
    };
    // A day is its midnight.
    let day = || utc(text.parse::<civil::DateTime>().ok()?).ok();
    None.or_else(|| text.parse().ok())
        .or_else(seconds)
        .or_else(day)
        .or_else(ago)
        .ok_or_else(|| format!("`{text}` is no time: write 2022-03-16, 2022-03-16T20:22:09Z, or 24h for a day ago"))
}

/// The values of one key.
pub(crate) fn values<'a>(filters: &'a [Filter], key: &'static str) -> impl Iterator<Item = &'a str> {
    filters.iter().filter(move |filter| filter.key == key).map(|filter| filter.value.as_str())
}

/// Whether labels are as all `label=` and `label!=` filters want them: `key` or `key=value`.
pub(crate) fn labels_match(filters: &[Filter], labels: &BTreeMap<String, String>) -> bool {
    let has = |wanted: &str| match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    };
    values(filters, "label").all(has) && !values(filters, "label!").any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["dangling", "label", "label!", "until"];

    #[test]
    fn only_what_the_list_knows() {
        let parse = among(KEYS);
        assert_eq!(parse("label=a=b"), Ok(Filter { key: "label", value: "a=b".to_owned() }));
        assert_eq!(parse("label!=a").map(|filter| filter.key), Ok("label!"));
        assert_eq!(parse("DANGLING=1").map(|filter| filter.key), Ok("dangling"));
        for (text, message) in [
            ("dangeling=true", "there is no filter `dangeling`; did you mean dangling?"),
            ("stars=3", "there is no filter `stars`; there are dangling, label, label!, until"),
            ("dangling", "a filter looks like `dangling=…`"),
            ("dangling=yes", "`yes` is neither true nor false"),
        ] {
            assert_eq!(parse(text), Err(message.to_owned()));
        }
        assert!(parse("until=tomorrow").is_err());
    }

    #[test]
    fn times_and_durations() {
        for (text, expected) in [
            ("2022-03-16T20:22:09Z", 1_647_462_129),
            ("2022-03-16T20:22:09+01:00", 1_647_458_529),
            ("2022-03-16T20:22:09", 1_647_462_129),
            ("2022-03-16", 1_647_388_800),
            ("1647462129", 1_647_462_129),
            ("1647462129.5", 1_647_462_129),
        ] {
            assert_eq!(parse_time(text).map(|time| time.as_second()), Ok(expected), "{text}");
        }
        for (text, seconds) in [("24h", 86_400), ("1h30m", 5_400), ("10m", 600)] {
            let found = Timestamp::now().as_second() - parse_time(text).expect(text).as_second();
            assert!((found - seconds).abs() <= 1, "{text}: {found}");
        }
        for text in ["", "x", "24", "-"] {
            // A bare number counts seconds since 1970.
            assert_eq!(parse_time(text).is_ok(), text == "24", "{text}");
        }
    }

    #[test]
    fn labels() {
        let labels = BTreeMap::from([("a".to_owned(), "b=c".to_owned()), ("d".to_owned(), String::new())]);
        for (filters, matches) in [
            (vec!["label=a"], true),
            (vec!["label=a=b=c"], true),
            (vec!["label=a=b"], false),
            (vec!["label=a", "label=e"], false),
            (vec!["label!=e"], true),
            (vec!["label=a", "label!=d"], false),
        ] {
            let parsed: Vec<Filter> = filters.iter().map(|text| among(KEYS)(text).expect(text)).collect();
            assert_eq!(labels_match(&parsed, &labels), matches, "{filters:?}");
        }
    }
}
