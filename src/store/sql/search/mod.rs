//! Looks for decisions: the conditions that were asked for become a statement of constant pieces, their values arguments.

mod asked;
mod counts;
mod rare;
mod spans;
mod words;

use super::{SqlStore, ledger, timestamp};
use crate::audit::{LeafRecord, Stream, TreeHash, audit_time};
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver, Row, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::ledger::{LeafRow, RowPlace};
use crate::store::search::{Cursor, DayCount, DecisionQuery, FoundDecision, FoundOutcome, Search};
use asked::{Asked, Listed};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rare::having;
use spans::{Span, latest_first};
use std::collections::BTreeSet;
use words::Words;

/// The first and the last time, of those that we can read: whoever owns the database can put another one there.
const TIMES: Sql = sql!(
    "select min(decided_at), max(decided_at) from decisions where decided_at >= '0001-01-01T00:00:00.000000Z'" AS_TIME
    " and decided_at <= '9999-12-30T00:00:00.000000Z'" AS_TIME
);
const POLICIES: Sql = sql!("select hash from policies where substr(hash, 1, length($1)) = $1");
/// Some of the reasons, of a few pages anywhere, for what is common in them.
const SOME_REASONS: Sql = Sql {
    postgres: "select reason from decision_reasons tablesample system ((select 400 / greatest(relpages, 4)::real from pg_class \
               where oid = 'decision_reasons'::regclass)) limit 250",
    sqlite: "",
};
/// The hashes of the reasons that have a text, by what is rare of it; the whole of it is no condition that an index could look for.
const REASONS: Sql = Sql {
    postgres: "select hashtextextended(reason, 0) from decision_reasons where reason ilike $1 and reason || '' ilike $2 limit $3",
    sqlite: "",
};
/// So few reasons are looked for together, in all months; with other conditions no more than these, as the server plans for each.
const FEW_REASONS: usize = 1_000;
/// So many are looked for one by one, in one month after the other; a text that more have, in the decisions themselves.
const MOST_REASONS: usize = 20_000;
/// How many of the last decisions are looked through for a text: one that one decision of a thousand has is found there in the time that
/// it takes to learn from the reasons' letters which have it, where these are thousands.
const NEWEST: i64 = 60_000;
/// So many of them first: what is common is found there before anything else begins.
const VERY_NEWEST: i64 = 2_000;
/// And so far back: to plan for every month takes a server process that is new longer than to look through two of them.
const NEWEST_WITHIN: SignedDuration = SignedDuration::from_hours(31 * 24);

fn is_few(listed: &Listed) -> bool {
    listed.count <= FEW_REASONS
}

/// The same in the last month, and what begins before it if there is more: most of a page stands there, and all months need not be
/// planned for. Only where a text is looked for by its reasons alone.
fn in_last_month<'q>(asked: &Asked<'q>, newest: Option<&Asked<'_>>) -> Option<(Asked<'q>, Option<Timestamp>)> {
    let span = newest.filter(|_| asked.reasons.is_some() && asked.is_text_alone())?.spans.first()?;
    let before = span.0.filter(|since| Some(*since) != asked.query.since);
    Some((Asked { spans: vec![*span], ..asked.clone() }, before))
}

/// A decision by its place, as rows of leaves are asked for.
fn reference(row: &Row) -> Result<LeafRow, StoreError> {
    let place = RowPlace { id: row.id(0)?, at: row.time(1)? };
    Ok(LeafRow { index: 0, stream: Stream::Decision, place, hash: TreeHash([0; 32]) })
}

fn outcome(row: &Row) -> Result<Option<FoundOutcome>, StoreError> {
    let first = ledger::rows::outcome_column();
    let Some(outcome) = row.opt_text(first)? else { return Ok(None) };
    Ok(Some(FoundOutcome {
        outcome: outcome.to_owned(),
        error_code: row.opt_text(first + 1)?.map(str::to_owned),
        at: audit_time(row.time(first + 2)?),
    }))
}

/// The statement for a page.
fn page(asked: &Asked<'_>, limit: u32) -> Words {
    let mut words = Words::new("select u.id, u.decided_at from (", "select u.id, u.decided_at from (");
    words.each_of(asked, "select d.id, d.decided_at", |words, is_unordered| {
        if is_unordered {
            words.say(" order by d.decided_at + interval '0 s' desc", " order by d.decided_at desc");
        } else {
            words.alike(" order by d.decided_at desc");
        }
        words.both(", d.id desc limit ?", i64::from(limit));
    });
    words.both(") u order by u.decided_at desc, u.id desc limit ?", i64::from(limit));
    words
}

impl<D: Driver> SqlStore<D> {
    /// What is asked for, once the policies are known that are like that.
    async fn asked<'q>(&self, query: &'q DecisionQuery, after: Option<&'q Cursor>) -> Result<Asked<'q>, StoreError> {
        let mut policies = Vec::new();
        if let Some(policy) = query.policy.as_ref().map(|policy| policy.to_lowercase()) {
            let rows = self.ask(POLICIES, args![policy.as_str()]).await?;
            policies = rows.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
            if policies.is_empty() {
                policies.push(policy);
            }
        }
        Ok(Asked::new(query, after, policies))
    }

    /// The same among the last decisions, where a text is asked for, reasons are listed by their letters, and nothing finds a few
    /// decisions at once.
    async fn among_newest<'q>(&self, asked: &Asked<'q>) -> Result<Option<Asked<'q>>, StoreError> {
        let DecisionQuery { since, until, text, actor, subject, tresor, operation, .. } = asked.query;
        let is_narrow = [actor, subject, tresor, operation].into_iter().any(Option::is_some);
        if text.is_none() || is_narrow || !self.driver.takes_sets() {
            return Ok(None);
        }
        let now = first(self.ask(sql!("select " NOW), args![]).await?).map(|row| timestamp(row.int(0)?)).transpose()?;
        let after = asked.after.and_then(|after| after.at.parse().ok());
        let top = [*until, after, now].into_iter().flatten().min();
        let from = top.map(|top| top.checked_sub(NEWEST_WITHIN).unwrap_or(Timestamp::MIN));
        // Until the end of the times that we can read: whoever owns the database can put another one there.
        let span = ((*since).max(from), Some(until.unwrap_or(Timestamp::MAX)));
        Ok(Some(Asked { newest: Some(NEWEST), spans: vec![span], ..asked.clone() }))
    }

    /// The same, with the reasons that are like the text that is asked for.
    async fn with_reasons<'q>(&self, mut asked: Asked<'q>) -> Result<Asked<'q>, StoreError> {
        if let Some(text) = &asked.query.text {
            let most = if asked.is_text_alone() { MOST_REASONS } else { FEW_REASONS };
            asked.reasons = self.reasons(text, most).await?;
        }
        Ok(asked)
    }

    /// The reasons that have a text, where they are known and at most so many.
    async fn reasons(&self, text: &str, most: usize) -> Result<Option<Listed>, StoreError> {
        if !self.driver.takes_sets() {
            return Ok(None);
        }
        let some = self.ask(SOME_REASONS, args![]).await?;
        let some = some.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
        let one_more = i64::try_from(most.saturating_add(1)).unwrap_or(i64::MAX);
        let rows = self.ask(REASONS, args![rare::pattern(text, &some), having(text), one_more]).await?;
        let hashes = rows.iter().map(|row| row.int(0)).collect::<Result<BTreeSet<_>, _>>()?;
        Ok((rows.len() <= most).then(|| Listed::new(&hashes)))
    }

    /// The times to look at, one after the other; those that begin before a time, where one is given.
    async fn spans(&self, asked: &Asked<'_>, before: Option<Timestamp>) -> Result<Vec<Span>, StoreError> {
        let Asked { query, after, reasons, .. } = asked;
        let until = before.or(query.until);
        if query.text.is_none() || reasons.as_ref().is_some_and(is_few) {
            return Ok(vec![(query.since, until)]);
        }
        let times = first(self.ask(TIMES, args![]).await?);
        let time = |column| times.as_ref().map_or(Ok(None), |row| row.opt_parsed(column, |text| text.parse::<Timestamp>().ok()));
        // Whatever is of the very last moment is behind it.
        let behind = |time: Timestamp| time.checked_add(SignedDuration::from_micros(1)).unwrap_or(time);
        let (Some(oldest), Some(newest)) = (time(0)?, time(1)?) else { return Ok(Vec::new()) };
        let top = after.and_then(|after| after.at.parse().ok()).map_or(newest, |after: Timestamp| after.min(newest));
        let top = until.map_or(behind(top), |until| until.min(behind(top)));
        Ok(latest_first(query.since.map_or(oldest, |since| since.max(oldest)), top, reasons.is_none()))
    }

    /// What is looked for one after the other, until there is enough of it.
    async fn steps<'q>(&self, asked: &Asked<'q>, before: Option<Timestamp>) -> Result<Vec<Asked<'q>>, StoreError> {
        let spans = self.spans(asked, before).await?.into_iter();
        Ok(spans.map(|span| Asked { spans: vec![span], ..asked.clone() }).collect())
    }

    /// The first that are found, step by step.
    async fn find_in_steps(
        &self,
        asked: &Asked<'_>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<FoundDecision>, StoreError> {
        let mut found = Vec::new();
        for step in self.steps(asked, before).await? {
            let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
            if left == 0 {
                break;
            }
            found.extend(self.found(page(&step, left)).await?);
        }
        Ok(found)
    }

    /// The first that have one of the reasons that are listed.
    async fn find_by_reasons(
        &self,
        asked: &Asked<'_>,
        newest: Option<&Asked<'_>>,
        limit: u32,
    ) -> Result<Vec<FoundDecision>, StoreError> {
        if asked.reasons.as_ref().is_some_and(|listed| listed.count == 0) {
            return Ok(Vec::new());
        }
        let Some((month, before)) = in_last_month(asked, newest) else { return self.find_in_steps(asked, None, limit).await };
        let mut found = self.found(page(&month, limit)).await?;
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(limit));
        if before.is_some() && left > 0 {
            found.extend(self.find_in_steps(asked, before, left).await?);
        }
        Ok(found)
    }

    /// As the question itself is asked: nobody who works waits for it, and that server process has looked up all the months.
    async fn ask(&self, sql: Sql, args: Vec<Arg>) -> Result<Vec<Row>, StoreError> {
        self.driver.ask(sql.postgres.to_owned(), sql.sqlite.to_owned(), args).await
    }

    async fn found(&self, words: Words) -> Result<Vec<FoundDecision>, StoreError> {
        self.read(&self.references(words).await?).await
    }

    async fn references(&self, words: Words) -> Result<Vec<LeafRow>, StoreError> {
        let rows = self.driver.ask(words.postgres, words.sqlite, words.args).await?;
        rows.iter().map(reference).collect()
    }

    /// Decisions by their places.
    async fn read(&self, references: &[LeafRow]) -> Result<Vec<FoundDecision>, StoreError> {
        if references.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, args) = ledger::rows::decisions_of_their_time(references);
        let rows = self.ask(sql, args).await?;
        let mut found = vec![None; references.len()];
        for row in &rows {
            let outcome = outcome(row)?;
            ledger::rows::put(&mut found, Stream::Decision, row, |record| (record, outcome))?;
        }
        let read = |(found, outcome): (LeafRecord, Option<FoundOutcome>)| {
            let record = found.record();
            let record = record.ok_or_else(|| StoreError::Corrupt("a decision is none; run `assent audit verify`".into()))?;
            Ok(FoundDecision { record, outcome })
        };
        found.into_iter().flatten().map(read).collect()
    }
}

#[async_trait]
impl<D: Driver> Search for SqlStore<D> {
    async fn find(&self, query: &DecisionQuery, after: Option<&Cursor>, limit: u32) -> Result<Vec<FoundDecision>, StoreError> {
        let asked = self.asked(query, after).await?;
        if asked.query.text.is_none() {
            return self.found(page(&asked, limit)).await;
        }
        let newest = self.among_newest(&asked).await?;
        let among_newest = async |count| {
            let Some(newest) = &newest else { return Ok(()) };
            let newest = Asked { newest: Some(count), ..newest.clone() };
            // What they cannot say is said by whatever comes after.
            let is_whole = |count: usize| count as u64 == u64::from(limit);
            let Ok(references) = self.references(page(&newest, limit)).await else { return Ok(()) };
            if !is_whole(references.len()) {
                return Ok(());
            }
            match self.read(&references).await {
                Ok(found) if is_whole(found.len()) => Err(Ok(found)),
                _ => Ok(()),
            }
        };
        // A list that failed is missed only where there is no answer without it.
        let listed = async {
            match self.with_reasons(asked.clone()).await {
                Ok(asked) if asked.reasons.is_some() => match self.find_by_reasons(&asked, newest.as_ref(), limit).await {
                    Ok(found) => Err(Ok(found)),
                    Err(failed) => Ok(Err(failed)),
                },
                other => Ok(other),
            }
        };
        if let Err(answer) = among_newest(VERY_NEWEST).await {
            return answer;
        }
        // Whichever has a whole answer first: what is not so common stands among more of them, what is rare in few reasons.
        match tokio::try_join!(listed, among_newest(NEWEST)) {
            Ok((asked, ())) => self.find_in_steps(&asked?, None, limit).await,
            Err(answer) => answer,
        }
    }

    async fn explain(&self, query: &DecisionQuery, limit: u32) -> Result<Vec<String>, StoreError> {
        let asked = self.asked(query, None).await?;
        let newest = self.among_newest(&asked).await?;
        let asked = self.with_reasons(asked).await?;
        let (month, before) = in_last_month(&asked, newest.as_ref()).unzip();
        let steps = self.steps(&asked, before.flatten()).await?;
        let mut plan = Vec::new();
        for step in newest.into_iter().chain(month).chain(steps) {
            let Words { postgres, sqlite, args } = page(&step, limit);
            let (postgres, sqlite) = (format!("explain {postgres}"), format!("explain query plan {sqlite}"));
            for row in self.driver.ask(postgres, sqlite, args).await? {
                // SQLite says it in its last column.
                plan.push(row.text(3).or_else(|_| row.text(0))?.to_owned());
            }
        }
        Ok(plan)
    }

    async fn decision(&self, id: &str) -> Result<Option<FoundDecision>, StoreError> {
        let mut words = Words::new("select d.id, d.decided_at from decisions d", "select d.id, d.decided_at from decisions d");
        words.with(" where d.id = ?::uuid", " where d.id = ?", id);
        Ok(self.found(words).await?.pop())
    }

    async fn count_by_day(&self, query: &DecisionQuery) -> Result<Vec<DayCount>, StoreError> {
        let words = counts::by_day(self.with_reasons(self.asked(query, None).await?).await?);
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
