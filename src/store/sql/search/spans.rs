//! The times that a question is about: days that are counted already, and months that are looked at one by one.

use crate::store::search::DecisionQuery;
use crate::store::sql::midnight;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// From when on, and until when.
pub(super) type Span = (Option<Timestamp>, Option<Timestamp>);

/// A server cannot tell whether a text is common or was long ago: so one month after the other is looked at, the latest first, and
/// before them the last day, where a month has to be read.
pub(super) fn latest_first(from: Timestamp, top: Timestamp, is_day_first: bool) -> Vec<Span> {
    let (mut spans, mut at) = (Vec::new(), top);
    if is_day_first
        && let Ok(since) = top.checked_sub(SignedDuration::from_hours(24))
        && since > from
    {
        spans.push((Some(since), Some(top)));
        at = since;
    }
    while at > from {
        let before = TimeZone::UTC.to_datetime(at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(at));
        let Some(month) = midnight(before.date().first_of_month()) else { break };
        let since = month.max(from);
        spans.push((Some(since), Some(at)));
        at = since;
    }
    spans
}

/// The whole days of a time that is asked for, and the parts of days besides.
pub(super) struct WholeDays {
    pub(super) from: Option<Date>,
    pub(super) to: Option<Date>,
    pub(super) besides: Vec<Span>,
}

impl WholeDays {
    /// Nothing where what is kept of days does not answer, or there is no whole day.
    pub(super) fn of(query: &DecisionQuery) -> Option<Self> {
        let DecisionQuery { since, until, kind, verdict, rule, .. } = query.clone();
        let plain = DecisionQuery { since, until, kind, verdict, rule, ..DecisionQuery::default() };
        if plain != *query {
            return None;
        }
        let day = |time: Timestamp| TimeZone::UTC.to_datetime(time).date();
        let is_midnight = |time: Timestamp| midnight(day(time)) == Some(time);
        let (mut besides, mut from, mut to) = (Vec::new(), None, None);
        if let Some(since) = since {
            let first = if is_midnight(since) { day(since) } else { day(since).tomorrow().ok()? };
            if !is_midnight(since) {
                besides.push((Some(since), midnight(first)));
            }
            from = Some(first);
        }
        if let Some(until) = until {
            if !is_midnight(until) {
                besides.push((midnight(day(until)), Some(until)));
            }
            to = Some(day(until));
        }
        let is_some_day = from.zip(to).is_none_or(|(from, to)| from < to);
        is_some_day.then_some(Self { from, to, besides })
    }
}
