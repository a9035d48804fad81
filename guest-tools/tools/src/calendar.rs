//! Dates in the proleptic Gregorian calendar, in UTC: a step has no other time zone.

use std::time::{SystemTime, UNIX_EPOCH};

pub const SECOND: i128 = 1_000_000_000;

/// A moment taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub nanosecond: u32,
}

/// Nanoseconds since 1970.
pub fn now() -> i128 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(duration) => duration.as_nanos() as i128,
        Err(_) => 0,
    }
}

/// Days since 1970 of a date.
pub fn days(year: i64, month: u32, day: u32) -> i64 {
    // Years are counted from March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (i64::from(month) + if month > 2 { -3 } else { 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl Civil {
    pub fn new(time: i128) -> Civil {
        let seconds = time.div_euclid(SECOND) as i64;
        let (day_number, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
        let shifted = day_number + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = (of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            nanosecond: time.rem_euclid(SECOND) as u32,
        }
    }

    pub fn time(&self) -> i128 {
        let day = i128::from(days(self.year, self.month, self.day));
        let seconds =
            day * 86_400 + i128::from(self.hour) * 3600 + i128::from(self.minute) * 60 + i128::from(self.second);
        seconds * SECOND + i128::from(self.nanosecond)
    }

    /// 0 is Sunday.
    pub fn weekday(&self) -> u32 {
        (days(self.year, self.month, self.day) + 4).rem_euclid(7) as u32
    }

    /// From 1.
    pub fn day_of_year(&self) -> u32 {
        (days(self.year, self.month, self.day) - days(self.year, 1, 1)) as u32 + 1
    }

    fn is_valid(&self) -> bool {
        (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && Civil::new(self.time()).month == self.month
            && self.hour < 24
            && self.minute < 60
            && self.second < 61
    }
}

pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// `[[CC]YY]MMDDhhmm[.SS]`, as `touch -t` takes it.
pub fn parse_stamp(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (digits, second) = match text.split_once('.') {
        Some((digits, second)) if second.len() == 2 => (digits, second.parse().ok()?),
        Some(_) => return None,
        None => (text, 0),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match digits.len() {
        8 => (Civil::new(now()).year, digits),
        10 => {
            let year: i64 = digits[..2].parse().ok()?;
            (if year < 69 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        12 => (digits[..4].parse().ok()?, &digits[4..]),
        _ => return None,
    };
    let pair = |at: usize| rest[at..at + 2].parse::<u32>().ok();
    let civil = Civil { year, month: pair(0)?, day: pair(2)?, hour: pair(4)?, minute: pair(6)?, second, nanosecond: 0 };
    civil.is_valid().then(|| civil.time())
}

/// A date as people give it: `@seconds`, ISO 8601 with or without a time and an offset, RFC 2822, `now`, and relative
/// items such as `+1 day`.
pub fn parse_date(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Some(seconds) = text.strip_prefix('@') {
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
        let whole: i64 = whole.parse().ok()?;
        return Some(i128::from(whole) * SECOND + i128::from(nanoseconds(fraction)?));
    }
    let mut date = None;
    let mut clock = None;
    let mut offset = 0;
    let mut relative = 0;
    let mut months = 0;
    // A day, a month's name and a year may come in any order.
    let (mut day, mut month, mut year) = (None, None, None);
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_end_matches(',')).collect();
    let mut index = 0;
    while let Some(&word) = words.get(index) {
        index += 1;
        let lower = word.to_ascii_lowercase();
        if let Some((first, rest)) = word.split_once(['T', 't']).filter(|(first, _)| iso_date(first).is_some()) {
            date = iso_date(first);
            let (time, zone) = split_zone(rest);
            clock = Some(clock_time(time)?);
            offset = zone_offset(zone)?;
        } else if let Some(found) = iso_date(word) {
            date = Some(found);
        } else if word.contains(':') {
            let (time, zone) = split_zone(word);
            clock = Some(clock_time(time)?);
            if !zone.is_empty() {
                offset = zone_offset(zone)?;
            }
        } else if matches!(lower.as_str(), "now" | "today") {
        } else if lower == "yesterday" {
            relative -= 86_400;
        } else if lower == "tomorrow" {
            relative += 86_400;
        } else if lower == "ago" {
            (relative, months) = (-relative, -months);
        } else if let Some(found) =
            zone_offset(word).filter(|_| !word.is_empty() && (clock.is_some() || lower == "utc"))
        {
            offset = found;
        } else if let Some(position) =
            MONTHS.iter().position(|name| lower.len() >= 3 && name.to_ascii_lowercase().starts_with(&lower))
        {
            month = Some(position as u32 + 1);
        } else if WEEKDAYS.iter().any(|name| lower.len() >= 3 && name.to_ascii_lowercase().starts_with(&lower)) {
        } else if let Some(found) = slashed_date(word) {
            date = Some(found);
        } else if let Some(number) = count(&lower) {
            let unit = words.get(index).map(|unit| unit.to_ascii_lowercase());
            let unit = unit.as_deref().and_then(|unit| unit_seconds(unit).map(Ok).or(unit_months(unit).map(Err)));
            index += usize::from(unit.is_some());
            match unit {
                Some(Ok(seconds)) => relative += number.checked_mul(seconds)?,
                Some(Err(count)) => months += number.checked_mul(count)?,
                None if word.len() == 4 => year = Some(number),
                None => day = Some(u32::try_from(number).ok()?),
            }
        } else {
            return None;
        }
    }
    if let (Some(day), Some(month)) = (day, month) {
        date = Some((year.unwrap_or(Civil::new(now()).year), month, day));
    }
    let base = Civil::new(now());
    let (year, month, day) = date.unwrap_or((base.year, base.month, base.day));
    let clock = clock.or(date.map(|_| (0, 0, 0, 0)));
    let (hour, minute, second, nanosecond) = clock.unwrap_or((base.hour, base.minute, base.second, base.nanosecond));
    let civil = Civil { year, month, day, hour, minute, second, nanosecond };
    if !civil.is_valid() {
        return None;
    }
    let month = year.checked_mul(12)?.checked_add(i64::from(month) - 1)?.checked_add(months)?;
    // The 31st of a shorter month is a day of the next.
    let first = Civil { year: month.div_euclid(12), month: month.rem_euclid(12) as u32 + 1, day: 1, ..civil };
    let seconds = i64::from(day - 1).checked_mul(86_400)?.checked_add(relative)?.checked_sub(offset)?;
    Some(first.time() + i128::from(seconds) * SECOND)
}

/// How many units follow.
fn count(word: &str) -> Option<i64> {
    match word {
        "next" => Some(1),
        "last" => Some(-1),
        number => number.parse().ok(),
    }
}

fn unit_months(unit: &str) -> Option<i64> {
    match unit.strip_suffix('s').unwrap_or(unit) {
        "month" => Some(1),
        "year" => Some(12),
        _ => None,
    }
}

/// `2024/05/06`, or as Americans write it `05/06/2024`.
fn slashed_date(text: &str) -> Option<(i64, u32, u32)> {
    let mut parts = text.split('/');
    let (a, b, c) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = if a.len() == 4 { (a, b, c) } else { (c, a, b) };
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    Some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?))
}

fn unit_seconds(unit: &str) -> Option<i64> {
    Some(match unit.strip_suffix('s').unwrap_or(unit) {
        "sec" | "second" => 1,
        "min" | "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        _ => return None,
    })
}

fn iso_date(text: &str) -> Option<(i64, u32, u32)> {
    let mut parts = text.split('-');
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some((text[..4].parse().ok()?, text[4..6].parse().ok()?, text[6..].parse().ok()?));
    }
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() < 4 || parts.next().is_some() {
        return None;
    }
    Some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?))
}

fn split_zone(text: &str) -> (&str, &str) {
    match text.find(['+', '-', 'Z', 'z']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    }
}

fn clock_time(text: &str) -> Option<(u32, u32, u32, u32)> {
    let mut parts = text.split(':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let (second, fraction) = match parts.next() {
        Some(text) => text.split_once('.').unwrap_or((text, "")),
        None => ("0", ""),
    };
    Some((hour, minute, second.parse().ok()?, nanoseconds(fraction)?))
}

fn nanoseconds(fraction: &str) -> Option<u32> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{:0<9}", &fraction[..fraction.len().min(9)]).parse().ok()
}

/// Seconds east of Greenwich.
fn zone_offset(text: &str) -> Option<i64> {
    match text {
        "" | "Z" | "z" | "UTC" | "GMT" | "utc" | "UT" => return Some(0),
        _ => {}
    }
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|character| *character != ':').collect();
    let (hours, minutes): (i64, i64) = match digits.len() {
        2 => (digits.parse().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    Some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_seconds() {
        for (text, seconds) in [
            ("@0", 0),
            ("@1700000000", 1_700_000_000),
            ("1980-01-01", 315_532_800),
            ("2024-02-29 12:34:56", 1_709_210_096),
            ("2024-02-29T12:34:56Z", 1_709_210_096),
            ("2024-02-29T12:34:56+01:00", 1_709_206_496),
            ("29 Feb 2024", 1_709_164_800),
            ("Thu, 29 Feb 2024 12:34:56 +0000", 1_709_210_096),
            ("1970-01-02 1 day", 2 * 86_400),
            ("1970-01-15 1 month", 45 * 86_400),
            ("1971-03-01 1 year ago", 59 * 86_400),
            ("1970/01/02 next day", 2 * 86_400),
            ("01/02/1970", 86_400),
            ("1970-01-31 1 month", 61 * 86_400),
            ("1969-12-31 23:59:59", -1),
        ] {
            assert_eq!(parse_date(text.as_bytes()), Some(i128::from(seconds) * SECOND), "{text}");
        }
        for text in ["2024-02-30", "x", "2024-13-01", "25:00"] {
            assert_eq!(parse_date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_stamp(b"197001020000.01"), Some(86_401 * SECOND));
        assert_eq!(Civil::new(0).weekday(), 4);
    }
}
