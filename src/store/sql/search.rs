//! Looks for decisions: the conditions that were asked for become a statement of constant pieces, their values arguments.

use super::{SqlStore, audit_time};
use crate::audit::{Record, Stream, TreeHash};
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver, Row};
use crate::store::ledger::{LeafRow, Ledger as _};
use crate::store::search::{Cursor, DayCount, DecisionQuery, FoundDecision, FoundOutcome, Search};
use async_trait::async_trait;

/// A statement in both dialects that is put together; only constant text goes into it.
#[derive(Debug)]
struct Words {
    postgres: String,
    sqlite: String,
    args: Vec<Arg>,
}

impl Words {
    fn new(postgres: &'static str, sqlite: &'static str) -> Self {
        Self { postgres: postgres.to_owned(), sqlite: sqlite.to_owned(), args: Vec::new() }
    }

    fn say(&mut self, postgres: &'static str, sqlite: &'static str) {
        self.postgres.push_str(postgres);
        self.sqlite.push_str(sqlite);
    }

    /// Text in which `?` is the next argument.
    fn with(&mut self, postgres: &'static str, sqlite: &'static str, arg: impl Into<Arg>) {
        self.args.push(arg.into());
        let number = format!("${}", self.args.len());
        self.postgres.push_str(&postgres.replace('?', &number));
        self.sqlite.push_str(&sqlite.replace('?', &number));
    }

    fn both(&mut self, text: &'static str, arg: impl Into<Arg>) {
        self.with(text, text, arg);
    }

    fn conditions(&mut self, query: &DecisionQuery) {
        self.say(" where true", " where true");
        if let Some(since) = query.since {
            self.with(" and d.decided_at >= ?::timestamptz", " and d.decided_at >= ?", audit_time(since));
        }
        if let Some(until) = query.until {
            self.with(" and d.decided_at < ?::timestamptz", " and d.decided_at < ?", audit_time(until));
        }
        if let Some(kind) = query.kind {
            self.both(" and d.kind = ?", kind.as_str());
        }
        if let Some(verdict) = query.verdict {
            self.both(" and d.verdict = ?", verdict.as_str());
        }
        if let Some(rule) = &query.rule {
            let sqlite = " and exists (select 1 from json_each(d.rules) r where r.value = ?)";
            self.with(" and d.rules @> to_jsonb(?::text)", sqlite, rule.as_str());
        }
        for (text, value) in [
            (" and d.actor_id = ?", &query.actor),
            (" and d.subject_id = ?", &query.subject),
            (" and d.tresor_id = ?", &query.tresor),
            (" and d.operation_id = ?", &query.operation),
        ] {
            if let Some(value) = value {
                self.both(text, value.as_str());
            }
        }
        if let Some(policy) = &query.policy {
            self.both(" and substr(d.policy_hash, 1, length(?))", policy.as_str());
            self.both(" = ?", policy.as_str());
        }
        if let Some(domain) = &query.domain {
            self.with(
                " and ? in (d.facts #>> '{subject.email_domain,value}', d.facts #>> '{actor.email_domain,value}', \
                 d.facts #>> '{requester.email_domain,value}')",
                " and ? in (json_extract(d.facts, '$.\"subject.email_domain\".value'), json_extract(d.facts, \
                 '$.\"actor.email_domain\".value'), json_extract(d.facts, '$.\"requester.email_domain\".value'))",
                domain.to_lowercase(),
            );
        }
        if let Some(reviewer) = &query.reviewer {
            self.both(" and (d.decided_by = 'reviewer:' || ?", reviewer.as_str());
            self.both(" or exists (select 1 from reviews r where r.decision_id = d.id and r.reviewer = ?))", reviewer.as_str());
        }
        if let Some(text) = &query.text {
            let pattern = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            self.with(" and d.reason ilike ?", " and d.reason like ? escape '\\'", pattern);
        }
    }
}

/// A decision by its place, as rows of leaves are asked for.
fn reference(row: &Row) -> Result<LeafRow, StoreError> {
    let (id, at) = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
    Ok(LeafRow { index: 0, stream: Stream::Decision, id, at, hash: TreeHash([0; 32]) })
}

fn outcome(row: &Row) -> Result<Option<FoundOutcome>, StoreError> {
    let Some(outcome) = row.opt_text(2)? else { return Ok(None) };
    Ok(Some(FoundOutcome {
        outcome: outcome.to_owned(),
        error_code: row.opt_text(3)?.map(str::to_owned),
        at: row.text(4)?.to_owned(),
    }))
}

const POSTGRES_HEAD: &str = concat!(
    "select d.id::text, to_char(d.decided_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), o.outcome, o.error_code, ",
    "to_char(o.at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from decisions d left join lateral (select * from outcomes ",
    "where outcomes.decision_id = d.id order by outcomes.at desc, outcomes.id desc limit 1) o on true"
);
const SQLITE_HEAD: &str = "select d.id, d.decided_at, o.outcome, o.error_code, o.at from decisions d left join outcomes o on o.id = \
                           (select id from outcomes where outcomes.decision_id = d.id order by outcomes.at desc, outcomes.id desc limit 1)";

impl<D: Driver> SqlStore<D> {
    async fn found(&self, words: Words) -> Result<Vec<FoundDecision>, StoreError> {
        let rows = self.driver.ask(words.postgres, words.sqlite, words.args).await?;
        let references = rows.iter().map(reference).collect::<Result<Vec<_>, _>>()?;
        let records: Vec<Option<Record>> = self.records(&references).await?;
        let found = records.into_iter().zip(&rows).filter_map(|(record, row)| Some((record?, row)));
        found.map(|(record, row)| Ok(FoundDecision { record, outcome: outcome(row)? })).collect()
    }
}

#[async_trait]
impl<D: Driver> Search for SqlStore<D> {
    async fn find(&self, query: &DecisionQuery, after: Option<&Cursor>, limit: u32) -> Result<Vec<FoundDecision>, StoreError> {
        let mut words = Words::new(POSTGRES_HEAD, SQLITE_HEAD);
        words.conditions(query);
        if let Some(Cursor { at, id }) = after {
            words.with(" and (d.decided_at, d.id) < (?::timestamptz,", " and (d.decided_at, d.id) < (?,", at.as_str());
            words.with(" ?::uuid)", " ?)", id.as_str());
        }
        words.both(" order by d.decided_at desc, d.id desc limit ?", i64::from(limit));
        self.found(words).await
    }

    async fn decision(&self, id: &str) -> Result<Option<FoundDecision>, StoreError> {
        let mut words = Words::new(POSTGRES_HEAD, SQLITE_HEAD);
        words.with(" where d.id = ?::uuid", " where d.id = ?", id);
        Ok(self.found(words).await?.pop())
    }

    async fn count_by_day(&self, query: &DecisionQuery) -> Result<Vec<DayCount>, StoreError> {
        let mut words = Words::new(
            "select to_char(d.decided_at at time zone 'utc', 'YYYY-MM-DD'), r.rule, d.verdict, count(*) from decisions d \
             left join lateral jsonb_array_elements_text(d.rules) r(rule) on true",
            "select substr(d.decided_at, 1, 10), r.value, d.verdict, count(*) from decisions d left join json_each(d.rules) r",
        );
        words.conditions(query);
        words.say(" group by 1, 2, 3 order by 1 desc, 4 desc, 2", " group by 1, 2, 3 order by 1 desc, 4 desc, 2");
        let rows = self.driver.ask(words.postgres, words.sqlite, words.args).await?;
        let count = |row: &Row| {
            Ok(DayCount {
                day: row.text(0)?.to_owned(),
                rule: row.opt_text(1)?.map(str::to_owned),
                verdict: row.text(2)?.to_owned(),
                count: row.count(3)?,
            })
        };
        rows.iter().map(count).collect()
    }
}
