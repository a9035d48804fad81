//! Limits as users write and read them: `memory=4g`, `time=10m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Limit;

const BINARY: [(char, u64); 4] = [('t', 1 << 40), ('g', 1 << 30), ('m', 1 << 20), ('k', 1 << 10)];
const DECIMAL: [(char, u64); 4] = [('t', 1_000_000_000_000), ('g', 1_000_000_000), ('m', 1_000_000), ('k', 1000)];
const SECONDS: [(char, u64); 3] = [('h', 3600), ('m', 60), ('s', 1)];
const UNLIMITED: &str = "none";

/// Why a text is not a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongLimit {
    #[error(
        "`{0}` is no limit; there are memory, fuel, time, output, file-bytes, files and processes, as in memory=4g"
    )]
    Name(String),
    #[error("`{value}` is no value for {name}; write {examples}")]
    Value { name: String, value: String, examples: &'static str },
}

impl FromStr for Limit {
    type Err = WrongLimit;

    fn from_str(text: &str) -> Result<Self, WrongLimit> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let wrong = |examples| WrongLimit::Value { name: name.to_owned(), value: value.to_owned(), examples };
        let bytes = || number(value, &BINARY).ok_or_else(|| wrong("a number of bytes, as 512m or 4g"));
        let count = || number(value, &[]).ok_or_else(|| wrong("a number, as 1000"));
        let unless_none = |units, examples| match value {
            UNLIMITED => Ok(None),
            value => number(value, units).map(Some).ok_or_else(|| wrong(examples)),
        };
        Ok(match name {
            "memory" => Self::Memory(bytes()?),
            "fuel" => Self::Fuel(unless_none(&DECIMAL, "a number of instructions, as 500m or 20g, or none")?),
            "time" => {
                let seconds = unless_none(&SECONDS, "a time, as 90s, 10m or 2h, or none")?;
                Self::Time(seconds.map(Duration::from_secs))
            }
            "output" => Self::Output(bytes()?),
            "file-bytes" => Self::FileBytes(bytes()?),
            "files" => Self::Files(count()?),
            "processes" => Self::Processes(count()?),
            _ => return Err(WrongLimit::Name(name.to_owned())),
        })
    }
}

/// A whole number above 0 and perhaps one of the units, in either case.
fn number(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let (digits, unit) = match units.iter().find_map(|(unit, size)| Some((text.strip_suffix(*unit)?, *size))) {
        Some(found) => found,
        None => (&text[..], 1),
    };
    // `parse` would take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|&number| number > 0)
}

/// In the largest unit that says it exactly.
fn short(number: u64, units: &[(char, u64)]) -> String {
    match units.iter().find(|(_, size)| number.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", number / size),
        None => number.to_string(),
    }
}

fn size(bytes: u64) -> String {
    let text = short(bytes, &BINARY);
    match text.strip_suffix(|unit: char| unit.is_ascii_alphabetic()) {
        Some(digits) => format!("{digits} {}iB", text[digits.len()..].to_ascii_uppercase()),
        None => format!("{text} bytes"),
    }
}

impl Limit {
    /// Twice as much, in the form that [`FromStr`] reads.
    pub(crate) fn doubled(self) -> String {
        let bytes = |name: &str, bytes: u64| format!("{name}={}", short(bytes.saturating_mul(2), &BINARY));
        match self {
            Self::Memory(number) => bytes("memory", number),
            Self::Output(number) => bytes("output", number),
            Self::FileBytes(number) => bytes("file-bytes", number),
            Self::Files(count) => format!("files={}", count.saturating_mul(2)),
            Self::Processes(count) => format!("processes={}", count.saturating_mul(2)),
            Self::Fuel(Some(count)) => format!("fuel={}", short(count.saturating_mul(2), &DECIMAL)),
            Self::Time(Some(time)) => format!("time={}", short(time.as_secs().saturating_mul(2), &SECONDS)),
            Self::Fuel(None) => format!("fuel={UNLIMITED}"),
            Self::Time(None) => format!("time={UNLIMITED}"),
        }
    }
}

/// As in "exceeded its limit of …".
impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Memory(bytes) => write!(formatter, "{} of memory", size(bytes)),
            Self::Output(bytes) => write!(formatter, "{} of output", size(bytes)),
            Self::FileBytes(bytes) => write!(formatter, "{} of files", size(bytes)),
            Self::Files(count) => write!(formatter, "{count} files"),
            Self::Processes(count) => write!(formatter, "{count} living processes"),
            Self::Fuel(Some(count)) => write!(formatter, "{} instructions (fuel)", short(count, &DECIMAL)),
            Self::Time(Some(time)) => write!(formatter, "{} of time", short(time.as_secs(), &SECONDS)),
            Self::Fuel(None) => formatter.write_str("fuel"),
            Self::Time(None) => formatter.write_str("time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_shown() {
        let second = Duration::from_secs(1);
        for (text, limit, shown, doubled) in [
            ("memory=512m", Limit::Memory(512 << 20), "512 MiB of memory", "memory=1g"),
            ("memory=4G", Limit::Memory(4 << 30), "4 GiB of memory", "memory=8g"),
            ("output=1000", Limit::Output(1000), "1000 bytes of output", "output=2000"),
            ("file-bytes=1t", Limit::FileBytes(1 << 40), "1 TiB of files", "file-bytes=2t"),
            ("files=7", Limit::Files(7), "7 files", "files=14"),
            ("processes=1", Limit::Processes(1), "1 living processes", "processes=2"),
            ("fuel=5g", Limit::Fuel(Some(5_000_000_000)), "5g instructions (fuel)", "fuel=10g"),
            ("time=90s", Limit::Time(Some(90 * second)), "90s of time", "time=3m"),
            ("time=45", Limit::Time(Some(45 * second)), "45s of time", "time=90s"),
            ("time=1h", Limit::Time(Some(3600 * second)), "1h of time", "time=2h"),
        ] {
            assert_eq!(text.parse(), Ok(limit), "{text}");
            assert_eq!((limit.to_string(), limit.doubled()), (shown.to_owned(), doubled.to_owned()));
            assert!(doubled.parse::<Limit>().is_ok(), "{doubled}");
        }
        assert_eq!("fuel=none".parse(), Ok(Limit::Fuel(None)));
        assert_eq!("time=none".parse(), Ok(Limit::Time(None)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let message = |text: &str| text.parse::<Limit>().map_err(|error| error.to_string());
        let names =
            "`cpu` is no limit; there are memory, fuel, time, output, file-bytes, files and processes, as in memory=4g";
        assert_eq!(message("cpu=1"), Err(names.to_owned()));
        assert_eq!(
            message("time=1w"),
            Err("`1w` is no value for time; write a time, as 90s, 10m or 2h, or none".to_owned())
        );
        for text in ["", "=", "memory", "memory=", "memory=0", "memory=-1", "memory=+1", "memory=1.5g", "memory=none"] {
            assert!(message(text).is_err(), "{text}");
        }
        for text in ["files=1k", "memory=99999999999t", "memory=g", "fuel=é", "time=0s", "processes= 1"] {
            assert!(message(text).is_err(), "{text}");
        }
    }
}
