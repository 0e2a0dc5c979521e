//! Statements that are put together, in both dialects: only constant text goes into them, what anybody said are arguments.

use super::asked::{Alternative, Asked, Choice};
use super::rare::having;
use super::spans::Span;
use crate::store::connection::Arg;
use crate::store::search::Cursor;

/// In how many parts a statement may be; SQLite has room for 500.
const MOST_PARTS: usize = 8;

/// A statement in both dialects that is put together; only constant text goes into it.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) postgres: String,
    pub(super) sqlite: String,
    pub(super) args: Vec<Arg>,
}

impl Words {
    pub(super) fn new(postgres: &'static str, sqlite: &'static str) -> Self {
        Self { postgres: postgres.to_owned(), sqlite: sqlite.to_owned(), args: Vec::new() }
    }

    pub(super) fn say(&mut self, postgres: &'static str, sqlite: &'static str) {
        self.postgres.push_str(postgres);
        self.sqlite.push_str(sqlite);
    }

    /// What both dialects say alike.
    pub(super) fn alike(&mut self, text: &'static str) {
        self.say(text, text);
    }

    /// Text in which `?` is the next argument.
    pub(super) fn with(&mut self, postgres: &'static str, sqlite: &'static str, arg: impl Into<Arg>) {
        self.args.push(arg.into());
        let number = format!("${}", self.args.len());
        self.postgres.push_str(&postgres.replace('?', &number));
        self.sqlite.push_str(&sqlite.replace('?', &number));
    }

    pub(super) fn both(&mut self, text: &'static str, arg: impl Into<Arg>) {
        self.with(text, text, arg);
    }

    /// Since when, until when, and after which.
    fn times(&mut self, Asked { after, .. }: &Asked<'_>, (since, until): Span) {
        self.alike(" where true");
        // As times, which the server knows when it plans: for their months alone.
        if let Some(since) = since {
            self.both(" and d.decided_at >= ?", since);
        }
        if let Some(until) = until {
            self.both(" and d.decided_at < ?", until);
        }
        if let Some(Cursor { at, id }) = after {
            // Said twice: an index knows the time alone.
            self.with(" and d.decided_at <= ?::timestamptz", " and d.decided_at <= ?", at.as_str());
            self.with(" and (d.decided_at, d.id) < (?::timestamptz,", " and (d.decided_at, d.id) < (?,", at.as_str());
            self.with(" ?::uuid)", " ?)", id.as_str());
        }
    }

    pub(super) fn conditions(&mut self, asked: &Asked<'_>, span: Span) {
        self.times(asked, span);
        let query = asked.query;
        for (text, value) in [
            (" and d.kind = ?", query.kind.map(|kind| kind.as_str())),
            (" and d.verdict = ?", query.verdict.map(|verdict| verdict.as_str())),
            (" and d.actor_id = ?", query.actor.as_deref()),
            (" and d.subject_id = ?", query.subject.as_deref()),
            (" and d.tresor_id = ?", query.tresor.as_deref()),
            (" and d.operation_id = ?", query.operation.as_deref()),
        ] {
            if let Some(value) = value {
                self.both(text, value);
            }
        }
        if let Some(text) = &query.text {
            self.with(" and d.reason ilike ?", " and d.reason like ? escape '\\'", having(text));
        }
    }

    fn holds(&mut self, (alternative, value): &(&'static Alternative, String)) {
        self.with(alternative.postgres, alternative.sqlite, value.as_str());
        if let Some(whole) = alternative.whole_of(value) {
            self.with(whole, " and ? is not null", value.as_str());
        }
    }

    /// Any of these holds.
    pub(super) fn any_of(&mut self, choice: &Choice) {
        self.alike(" and (false");
        for way in choice {
            self.alike(" or true");
            self.holds(way);
        }
        self.alike(")");
    }

    /// Where decisions are from, as `d`: all of them, or the last of a time.
    fn from(&mut self, asked: &Asked<'_>, span: Span) {
        match asked.newest {
            None => self.alike(" from decisions d"),
            Some(newest) => {
                self.alike(" from (select * from decisions d");
                self.times(asked, span);
                self.both(" order by d.decided_at desc, d.id desc limit ?) d", newest);
            }
        }
    }

    /// The decisions that are asked for, `select` of each. What holds where any of several conditions does is asked for one by
    /// one, as each has an index; `end` says how each part ends.
    pub(super) fn each_of(&mut self, asked: &Asked<'_>, select: &'static str, end: impl Fn(&mut Self, bool)) {
        // One of the choices is taken apart, if it has few ways to hold.
        let apart = asked.choices.iter().position(|choice| choice.len() <= MOST_PARTS);
        let first = apart.and_then(|place| asked.choices.get(place));
        let first: Vec<_> = first.map_or_else(|| vec![None], |choice| choice.iter().map(Some).collect());
        let others: Vec<_> =
            (asked.choices.iter().enumerate()).filter(|(place, _)| Some(*place) != apart).map(|(_, one)| one).collect();
        if asked.spans.is_empty() {
            self.alike(select);
            self.alike(" from decisions d where false");
        }
        let listed = asked.reasons.as_ref().map(|listed| listed.hashes.as_str());
        let is_each = listed.is_some() && asked.is_text_alone();
        let parts = asked.spans.iter().flat_map(|span| first.iter().map(move |chosen| (*span, *chosen)));
        for (number, (span, chosen)) in parts.enumerate() {
            if number > 0 {
                self.alike(" union ");
            }
            // SQLite takes no part of a union in brackets.
            self.say("(", "select * from (");
            if let Some(listed) = listed.filter(|_| is_each) {
                // Each reason by itself, as its decisions stand in order: however many there are, only the first are looked at.
                let each = "select r.* from unnest(?::bigint[]) as listed(hash), lateral (";
                self.with(each, "select * from (", listed);
            }
            self.alike(select);
            self.from(asked, span);
            self.conditions(asked, span);
            others.iter().for_each(|choice| self.any_of(choice));
            if let Some(way) = chosen {
                self.holds(way);
            }
            match listed {
                Some(_) if is_each => self.alike(" and hashtextextended(d.reason, 0) = listed.hash"),
                // With others, of which the server knows how many decisions each finds.
                Some(listed) => self.with(" and hashtextextended(d.reason, 0) = any(?::bigint[])", " and ? is not null", listed),
                None => {}
            }
            end(self, chosen.is_some_and(|(alternative, _)| alternative.is_unordered));
            self.alike(if is_each { ") r)" } else { ")" });
        }
    }
}
