//! Counting decisions by day and rule: whole days from what the sealer counted, the rest from the rows.

use super::asked::Asked;
use super::spans::WholeDays;
use super::words::Words;
use crate::store::search::DecisionQuery;
use crate::store::sql::midnight;

/// The statement for counts by day, rule and verdict.
pub(super) fn by_day(mut asked: Asked<'_>) -> Words {
    let days = WholeDays::of(asked.query);
    if let Some(days) = &days {
        asked.spans.clone_from(&days.besides);
    }
    // Few days have many decisions by the same rules: these are taken apart once, not each time.
    let mut words = Words::new(
        "select to_char(g.day, 'YYYY-MM-DD'), r.rule, g.verdict, sum(g.n)::bigint from (select (u.decided_at at time zone 'utc')::date \
         as day, u.rules, u.verdict, count(*) as n from (",
        "select g.day, r.value, g.verdict, sum(g.n) from (select substr(u.decided_at, 1, 10) as day, u.rules, u.verdict, count(*) as n from (",
    );
    words.each_of(&asked, "select d.id, d.decided_at, d.rules, d.verdict", |_, _| {});
    words.alike(") u group by 1, 2, 3");
    if let Some(days) = &days {
        words.kept_counts(asked.query, days);
    }
    words.say(
        ") g left join lateral jsonb_array_elements_text(g.rules) r(rule) on true group by 1, 2, 3 order by 1 desc, 4 desc, 2",
        ") g left join json_each(g.rules) r group by 1, 2, 3 order by 1 desc, 4 desc, 2",
    );
    words
}

impl Words {
    /// The decisions of whole days: those that are sealed are counted already, and those that wait are few.
    fn kept_counts(&mut self, query: &DecisionQuery, days: &WholeDays) {
        self.alike(" union all select c.day, c.rules, c.verdict, c.decisions from decision_counts c where true");
        if let Some(from) = days.from {
            self.with(" and c.day >= ?::date", " and c.day >= ?", from.to_string());
        }
        if let Some(to) = days.to {
            self.with(" and c.day < ?::date", " and c.day < ?", to.to_string());
        }
        for (text, value) in [
            (" and c.kind = ?", query.kind.map(|kind| kind.as_str())),
            (" and c.verdict = ?", query.verdict.map(|verdict| verdict.as_str())),
        ] {
            if let Some(value) = value {
                self.both(text, value);
            }
        }
        if let Some(rule) = &query.rule {
            let sqlite = " and exists (select 1 from json_each(c.rules) r where r.value = ?)";
            self.with(" and c.rules @> to_jsonb(?::text)", sqlite, rule.as_str());
        }
        self.say(
            " union all select (d.decided_at at time zone 'utc')::date, d.rules, d.verdict, 1 from (select id, at from unsealed where stream = 1 \
             union select id, at from unsealed_history where stream = 1) w join decisions d on d.decided_at = w.at and d.id = w.id",
            " union all select substr(d.decided_at, 1, 10), d.rules, d.verdict, 1 from (select id, at from unsealed where stream = 1 \
             union select id, at from unsealed_history where stream = 1) w join decisions d on d.decided_at = w.at and d.id = w.id",
        );
        let whole = (days.from.and_then(midnight), days.to.and_then(midnight));
        let asked = Asked::new(query, None, Vec::new());
        self.conditions(&asked, whole);
        asked.choices.iter().for_each(|choice| self.any_of(choice));
        self.alike(" and not exists (select 1 from leaves l where l.id = w.id and l.at = w.at and l.stream = 1)");
    }
}
