//! Calendars: hours of the week in a time zone, less holidays; and how days and times are written. The time comes in as an
//! argument.
//!
//! An instant is turned into the local time of its zone, so an hour that a change of clocks repeats counts twice and one
//! that it skips does not come at all, as on the clock on the wall.

use crate::domain::diagnostic::{Diagnostic, Spot, nearest};
use crate::domain::yaml::{Node, Problems, Value};
use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The calendars of a policy, by name; nothing for one that could not be read, which has been reported.
pub(super) type Calendars = BTreeMap<String, Option<Arc<Calendar>>>;

/// Opening hours, in effect.
#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) name: String,
    zone: TimeZone,
    hours: Vec<Hours>,
    holidays: HashSet<Date>,
    /// Month and day of what returns every year.
    yearly: HashSet<(i8, i8)>,
}

/// From a minute of the day on, up to another; past midnight if the end is not after the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hours {
    /// A bit a weekday, Monday first.
    days: u8,
    begin: i32,
    end: i32,
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Calendar {
    pub(super) fn contains(&self, now: Timestamp) -> bool {
        let local = now.to_zoned_datetime(self.zone.clone()).datetime();
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let today = local.date();
        let yesterday = today.yesterday().ok();
        self.hours.iter().any(|hours| {
            let begins = |date: Date| hours.days & bit(date.weekday()) != 0 && !self.is_holiday(date);
            if hours.begin < hours.end {
                return begins(today) && (hours.begin..hours.end).contains(&minute);
            }
            // A night belongs to the day on which it begins.
            begins(today) && minute >= hours.begin || minute < hours.end && yesterday.is_some_and(begins)
        })
    }

    fn is_holiday(&self, date: Date) -> bool {
        self.holidays.contains(&date) || self.yearly.contains(&(date.month(), date.day()))
    }

    /// The local time, as a trace shows it.
    pub(super) fn local_time(&self, now: Timestamp) -> String {
        let local = now.to_zoned_datetime(self.zone.clone());
        let holiday = if self.is_holiday(local.date()) { ", a holiday" } else { "" };
        format!("{}{holiday}", local.strftime("%a %Y-%m-%d %H:%M %Q"))
    }
}

const fn bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset()
}

/// Gives the lines of a file of the policy, each with its place.
pub(super) type Lines<'l> = dyn FnMut(&mut Problems<'_>, &Node) -> Option<Vec<(String, Spot)>> + 'l;

/// Reads one calendar; `lines` gives the lines of a file of the policy.
pub(super) fn read_calendar(problems: &mut Problems<'_>, name: &str, node: &Node, lines: &mut Lines<'_>) -> Option<Calendar> {
    let fields = problems.mapping(node, "a calendar", &["timezone", "hours", "holidays"])?;
    if !problems.filled("empty-value", fields) {
        return None;
    }
    let zone = match fields.get("timezone") {
        Some(node) => read_zone(problems, node),
        None => {
            problems.error("missing-key", node.spot, format!("calendar `{name}` must have a `timezone`"));
            None
        }
    };
    let hours = match fields.get("hours") {
        Some(node) => read_hours(problems, node),
        None => {
            problems.error("missing-key", node.spot, format!("calendar `{name}` must have `hours`"));
            None
        }
    };
    let (mut holidays, mut yearly, mut sound) = (HashSet::new(), HashSet::new(), true);
    if let Some(node) = fields.get("holidays") {
        let entries = match &node.value {
            Value::Map(_) => lines(problems, node),
            _ => problems.list(node, "holidays").map(|items| {
                let texts = items.iter().filter_map(|item| Some((problems.text(item, "holidays")?.to_owned(), item.spot)));
                texts.collect()
            }),
        };
        sound = entries.is_some();
        if entries.as_ref().is_some_and(Vec::is_empty) {
            // A list that was cut short must not open an office on a holiday.
            let problem = Diagnostic::error("empty-holidays", problems.file(), node.spot, "there is no day in `holidays`");
            problems.add(problem.with_help("fill it, or leave it out"));
        }
        for (text, spot) in entries.unwrap_or_default() {
            match read_day(&text) {
                Some(Day::Once(date)) => drop(holidays.insert(date)),
                Some(Day::Yearly(month, day)) => drop(yearly.insert((month, day))),
                None => {
                    sound = false;
                    let problem = Diagnostic::error("bad-date", problems.file(), spot, format!("`{text}` is no day"));
                    problems.add(problem.with_help("write `2026-12-24` for that day alone, or `12-24` for every year"));
                }
            }
        }
    }
    let (zone, hours) = (zone?, hours?);
    sound.then(|| Calendar { name: name.to_owned(), zone, hours, holidays, yearly })
}

fn read_zone(problems: &mut Problems<'_>, node: &Node) -> Option<TimeZone> {
    let text = problems.text(node, "timezone")?;
    if let Ok(zone) = TimeZone::get(text) {
        return Some(zone);
    }
    let problem = Diagnostic::error("bad-timezone", problems.file(), node.spot, format!("there is no time zone `{text}`"));
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    problems.add(match nearest(text, names.iter().map(String::as_str)) {
        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
        None => problem.with_help("write a name of the IANA database, such as `Europe/Budapest` or `UTC`"),
    });
    None
}

fn read_hours(problems: &mut Problems<'_>, node: &Node) -> Option<Vec<Hours>> {
    let items = problems.list(node, "hours")?;
    if items.is_empty() {
        problems.error("empty-value", node.spot, "a calendar without hours holds no time at all");
        return None;
    }
    let read: Vec<_> = items
        .iter()
        .map(|item| {
            let text = problems.text(item, "hours")?;
            let hours = parse_hours(text);
            if hours.is_none() {
                let problem = Diagnostic::error("bad-hours", problems.file(), item.spot, format!("`{text}` are no hours"));
                problems.add(problem.with_help("write days and times, such as `Mon-Fri 08:00-18:00` or `Sat,Sun 22:00-06:00`"));
            }
            hours
        })
        .collect();
    read.into_iter().collect()
}

fn parse_hours(text: &str) -> Option<Hours> {
    let (days, times) = text.trim().split_once(' ')?;
    let (begin, end) = times.trim().split_once('-')?;
    let (begin, end) = (parse_minute(begin)?, parse_minute(end)?);
    let sound = begin < 24 * 60 && begin != end;
    let days = days.split(',').try_fold(0_u8, |all, part| Some(all | parse_days(part)?))?;
    sound.then_some(Hours { days, begin, end })
}

fn parse_days(text: &str) -> Option<u8> {
    let index = |name: &str| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (index(first)?, index(last)?),
        None => (index(text)?, index(text)?),
    };
    let length = (last + 7 - first) % 7;
    Some((0..=length).fold(0, |days, step| days | 1 << ((first + step) % 7)))
}

fn parse_minute(text: &str) -> Option<i32> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (i32, i32) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && (hour < 24 || hour == 24 && minute == 0)).then_some(hour * 60 + minute)
}

enum Day {
    Once(Date),
    Yearly(i8, i8),
}

fn read_day(text: &str) -> Option<Day> {
    if let Some(date) = read_date(text) {
        return Some(Day::Once(date));
    }
    let (month, day) = text.split_once('-')?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    // A leap year has every day there is.
    Date::new(2024, month, day).ok().map(|_| Day::Yearly(month, day))
}

/// A day and nothing else: what has a time of day and no zone is no time at all, and is not cut to its day.
fn read_date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|_| text.len() == "2026-03-02".len())
}

/// A time, or the beginning of a day, UTC.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    let day = || {
        let day = read_date(text)?.to_zoned_datetime(TimeZone::UTC);
        day.ok().map(|day| day.timestamp())
    };
    text.parse().ok().or_else(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(zone: &str, hours: &[&str], holidays: &[&str]) -> Calendar {
        let day = |text: &&str| match read_day(text).unwrap() {
            Day::Once(date) => (Some(date), None),
            Day::Yearly(month, day) => (None, Some((month, day))),
        };
        let days: Vec<_> = holidays.iter().map(day).collect();
        Calendar {
            name: "office".into(),
            zone: TimeZone::get(zone).unwrap(),
            hours: hours.iter().map(|text| parse_hours(text).unwrap()).collect(),
            holidays: days.iter().filter_map(|(date, _)| *date).collect(),
            yearly: days.iter().filter_map(|(_, day)| *day).collect(),
        }
    }

    fn holds(calendar: &Calendar, times: &[&str]) -> Vec<bool> {
        times.iter().map(|time| calendar.contains(time.parse().unwrap())).collect()
    }

    #[test]
    fn hours_are_local_and_follow_the_clock_on_the_wall() {
        let office = calendar("Europe/Budapest", &["Mon-Fri 08:00-18:00"], &[]);
        // Winter is an hour ahead of UTC, summer two.
        assert_eq!(
            holds(&office, &["2026-03-02T06:59:59Z", "2026-03-02T07:00:00Z", "2026-03-02T16:59:59Z"]),
            [false, true, true]
        );
        assert_eq!(
            holds(&office, &["2026-03-02T17:00:00Z", "2026-07-01T06:00:00Z", "2026-07-01T16:00:00Z"]),
            [false, true, false]
        );
        assert_eq!(holds(&office, &["2026-03-01T10:00:00Z"]), [false], "a Sunday");
    }

    #[test]
    fn a_change_of_clocks_repeats_an_hour_or_skips_it() {
        let small_hours = calendar("Europe/Budapest", &["Sun 02:00-03:00"], &[]);
        // In October 02:00 to 03:00 comes twice, in March not at all.
        let autumn = ["2026-10-24T23:59:59Z", "2026-10-25T00:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"];
        assert_eq!(holds(&small_hours, &autumn), [false, true, true, false]);
        assert_eq!(holds(&small_hours, &["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"]), [false, false]);
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = calendar("UTC", &["Fri 22:00-06:00"], &["2026-03-13"]);
        let times = ["2026-03-06T21:59:00Z", "2026-03-06T22:00:00Z", "2026-03-07T05:59:00Z", "2026-03-07T06:00:00Z"];
        assert_eq!(holds(&night, &times), [false, true, true, false]);
        assert_eq!(holds(&night, &["2026-03-07T22:30:00Z", "2026-03-13T23:00:00Z", "2026-03-14T01:00:00Z"]), [false; 3]);
    }

    #[test]
    fn holidays_are_outside_once_or_every_year() {
        let office = calendar("UTC", &["Mon-Sun 00:00-24:00"], &["2026-12-24", "01-01"]);
        let times = ["2026-12-24T12:00:00Z", "2027-12-24T12:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T23:59:59Z"];
        assert_eq!(holds(&office, &times), [false, true, false, false]);
        assert_eq!(office.local_time("2026-12-24T12:00:00Z".parse().unwrap()), "Thu 2026-12-24 12:00 UTC, a holiday");
    }

    #[test]
    fn what_is_no_hours_is_not_read() {
        for wrong in [
            "",
            "Mon",
            "Mon 8:00-18:00",
            "Mon 08:00",
            "Mon 08:00-08:00",
            "Mon 24:00-06:00",
            "Mon 08:00-25:00",
            "Mox 08:00-09:00",
            "Mon 08:60-09:00",
        ] {
            assert_eq!(parse_hours(wrong), None, "{wrong}");
        }
        assert_eq!(parse_hours("sat-MON 00:00-24:00").unwrap().days, 0b110_0001);
    }
}
