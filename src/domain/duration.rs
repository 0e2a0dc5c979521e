//! Durations as people write them: `500ms`, `30s`, `15m`, `24h`, `7d`.

use jiff::Timestamp;
use std::time::Duration;

/// Reads a whole number and one unit: `ms`, `s`, `m`, `h` or `d`. `None` for anything else, and past 10,000 days.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = number.checked_mul(match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })?;
    (millis <= 10_000 * 86_400_000).then(|| Duration::from_millis(millis))
}

/// The duration as [`parse_duration`] reads it, in the largest unit that says it exactly; a single day is `24h`, as people
/// write it. Below a millisecond it is cut.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let mut fitting = units.into_iter().filter(|(length, unit)| millis > 0 && !(*unit == "d" && millis == *length));
    match fitting.find(|(length, _)| millis.is_multiple_of(*length)) {
        Some((length, unit)) => format!("{}{unit}", millis / length),
        None => format!("{millis}ms"),
    }
}

/// How long ago something was, in whole milliseconds; what lies in the future is no time ago.
#[must_use]
pub fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    let millis = now.as_millisecond().saturating_sub(since.as_millisecond());
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Whole microseconds, the unit of all durable times.
#[must_use]
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A duration of so many microseconds; what is negative is over, and is none.
#[must_use]
pub fn from_micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit_and_nothing_else() {
        assert_eq!(parse_duration("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(parse_duration("7d"), Some(Duration::from_secs(604_800)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        for wrong in ["", "h", "24", "24 h", "-1h", "1.5h", "24hours", "99999999999999999999d", "9999999d", "é"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["24h", "7d", "90m", "61s", "1500ms", "0ms"] {
            let written = format_duration(parse_duration(text).unwrap());
            assert_eq!(parse_duration(&written), parse_duration(text), "{written}");
        }
        assert_eq!(format_duration(Duration::from_secs(86_400)), "24h");
        assert_eq!(format_duration(Duration::from_secs(172_800)), "2d");
        assert_eq!(format_duration(Duration::from_secs(5400)), "90m");
    }
}
