//! A time as audit tables and leaves have it: RFC 3339, UTC, microseconds, so that texts sort as times do.

use jiff::Timestamp;
use jiff::tz::Offset;

/// A time spelled. Years before 0 are spelled as the library does.
#[must_use]
pub fn audit_time(time: Timestamp) -> String {
    let text = spelled(time).and_then(|text| String::from_utf8(text.to_vec()).ok());
    text.unwrap_or_else(|| time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

/// The letters of a time with a year of four digits: every row has several, and a general formatter takes ten times as long.
pub(super) fn spelled(time: Timestamp) -> Option<[u8; 27]> {
    let time = Offset::UTC.to_datetime(time);
    let year = u32::try_from(time.year()).ok()?;
    let two = |number: i8| u32::from(number.unsigned_abs());
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let parts = [
        (0..4, year),
        (5..7, two(time.month())),
        (8..10, two(time.day())),
        (11..13, two(time.hour())),
        (14..16, two(time.minute())),
        (17..19, two(time.second())),
        (20..26, time.subsec_nanosecond().unsigned_abs() / 1_000),
    ];
    for (places, mut number) in parts {
        for letter in text.get_mut(places).into_iter().flatten().rev() {
            *letter = b'0' + u8::try_from(number % 10).ok()?;
            number /= 10;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_spelled_as_the_library_spells_it(micros in any::<i64>()) {
            let range = Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond();
            let time = Timestamp::from_microsecond(micros % range.end()).unwrap();
            prop_assert_eq!(audit_time(time), time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
        }
    }
}
