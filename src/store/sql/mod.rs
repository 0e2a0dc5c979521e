//! The store's logic, once for both databases: which statements run in which transaction, and in which order.

mod archive;
mod by_hand;
mod claim;
mod decide;
mod effects;
mod events;
mod finish;
mod forget;
mod front;
mod group;
mod intake;
mod ledger;
mod line;
mod operating;
mod outbox;
mod pauses;
mod rekey;
mod resolve;
mod retention;
mod retire;
mod reviews;
mod search;
mod types;
mod view;

use super::connection::{Driver, Row, Transaction, args, first};
use super::dialect::sql;
use super::group::answered;
use super::incoming::{NewOperation, Received};
use super::recorded::{PolicyActivation, Recorded, RecordedRange};
use super::types::{
    Claimed, ClaimedEffect, Decided, Deciding, EffectLease, EffectResult, Finished, Finishing, HandOrder, LaneFacts, LaneRules,
    LastFailure, Lease, OperationView, Ordered, Passed,
};
use super::{Judge, Rewritten, Store, StoreError};
use crate::audit::{WrappedKey, audit_time};
use crate::domain::duration::{from_micros, micros};
use crate::domain::ids::{DecisionId, RecordId, UserId};
use crate::domain::operation::{Intent, Lane};
use crate::fault::{self, Moment, Step};
use async_trait::async_trait;
use front::Front;
use group::{Groups, ReceiveRequest};
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

pub(super) struct SqlStore<D> {
    driver: Arc<D>,
    /// Where the database takes sets: the way of what is plain.
    groups: Option<Groups>,
    /// Policies that are known to be in the archive, so that not every decision writes them again.
    archived: Arc<Mutex<HashSet<String>>>,
    /// Decisions that wait to be sealed.
    fresh: ledger::FreshLeaves,
    /// Where in the table of rows that wait to be sealed the last were found.
    sealed_to: Front<String>,
    /// Since when the last operation that was claimed had been due, while there are more than are asked for.
    claimed_to: Front<i64>,
}

impl<D: Driver> SqlStore<D> {
    pub(super) fn new(driver: D) -> Self {
        let driver = Arc::new(driver);
        let groups = driver.takes_sets().then(|| Groups::start(&driver));
        Self {
            driver,
            groups,
            archived: Arc::default(),
            fresh: ledger::FreshLeaves::default(),
            sealed_to: Front::new(ledger::ON_AT_MOST),
            claimed_to: Front::new(claim::ON_AT_MOST),
        }
    }

    /// How long until the time that a statement gives as its distance from now; nothing where it gives none.
    async fn time_until(&self, next: super::dialect::Sql) -> Result<Option<Duration>, StoreError> {
        let wait = first(self.driver.read(next, args![]).await?).map(|row| row.opt_int(0)).transpose()?.flatten();
        Ok(wait.map(from_micros))
    }

    fn is_archived(&self, hash: &str) -> bool {
        self.archived.lock().unwrap_or_else(PoisonError::into_inner).contains(hash)
    }
}

fn timestamp(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| StoreError::Corrupt(format!("`{micros}` is no time")))
}

/// When a day begins, UTC; nothing beyond the end of time.
fn midnight(day: Date) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(day.to_datetime(Time::midnight())).ok()
}

/// The database's clock inside a transaction.
async fn transaction_now(tx: &mut dyn Transaction) -> Result<Timestamp, StoreError> {
    let row = first(tx.rows(sql!("select " NOW), args![]).await?);
    timestamp(row.ok_or_else(|| StoreError::Corrupt("no clock".into()))?.int(0)?)
}

/// A write under a lease: it must have touched its one row.
fn fenced(touched: u64) -> Result<(), StoreError> {
    if touched == 1 { Ok(()) } else { Err(StoreError::Fenced) }
}

#[async_trait]
impl<D: Driver> Store for SqlStore<D> {
    async fn migrate(&self) -> Result<usize, StoreError> {
        fault::reach(Step::Migrate, Moment::Before).await;
        let applied = self.driver.migrate().await?;
        fault::reach(Step::Migrate, Moment::After).await;
        self.maintain().await?;
        Ok(applied)
    }

    async fn grant(&self, daemon: Option<&str>) -> Result<Vec<String>, StoreError> {
        self.driver.grant(daemon).await
    }

    async fn is_to_rewrite(&self) -> Result<bool, StoreError> {
        const OLD: super::dialect::Sql = super::dialect::Sql {
            postgres: "select atttypid = 'jsonb'::regtype from pg_attribute where attrelid = 'decisions'::regclass and attname = 'trace'",
            sqlite: "select 0",
        };
        first(self.driver.read(OLD, args![]).await?).map_or(Ok(false), |row| Ok(row.int(0)? != 0))
    }

    async fn rewrite(&self) -> Result<Rewritten, StoreError> {
        const REWRITE: super::dialect::Sql = super::dialect::Sql { postgres: "select assent_keep_json()", sqlite: "select null" };
        let others = first(self.driver.read(rekey::OTHERS, args![]).await?).map_or(Ok(0), |row| row.count(0))?;
        if others > 0 {
            return Ok(Rewritten::InUse(others));
        }
        let rewritten = first(self.driver.read(REWRITE, args![]).await?).map_or(Ok(None), |row| row.opt_int(0))?;
        Ok(rewritten.map_or(Rewritten::Before, |decisions| Rewritten::Decisions(decisions.unsigned_abs())))
    }

    async fn may_change_log(&self) -> Result<bool, StoreError> {
        const MAY: super::dialect::Sql = super::dialect::Sql {
            postgres: "select has_table_privilege('decisions', 'UPDATE') or has_table_privilege('decisions', 'DELETE') \
                       or pg_has_role((select relowner from pg_class where oid = 'decisions'::regclass), 'USAGE')",
            // Whoever can write the file can do anything to it.
            sqlite: "select 1",
        };
        first(self.driver.read(MAY, args![]).await?).map_or(Ok(true), |row| Ok(row.int(0)? != 0))
    }

    async fn check_schema(&self) -> Result<(), StoreError> {
        self.driver.check_schema().await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        let row = first(self.driver.read(sql!("select " NOW), args![]).await?);
        timestamp(row.ok_or_else(|| StoreError::Corrupt("no clock".into()))?.int(0)?)
    }

    async fn key_sentinel(&self, fresh: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, StoreError> {
        const KEEP: super::dialect::Sql =
            sql!("insert into key_sentinel (id, sealed) values (1, $1) on conflict (id) do nothing");
        if fresh.is_some() {
            let mut tx = self.driver.begin(Step::KeepSentinel).await?;
            tx.run(KEEP, vec![super::connection::Arg::Bytes(fresh)]).await?;
            tx.commit().await?;
        }
        let row = first(self.driver.read(sql!("select sealed from key_sentinel where id = 1"), args![]).await?);
        Ok(row.map(|row| row.opt_bytes(0).map(|bytes| bytes.map(<[u8]>::to_vec))).transpose()?.flatten())
    }

    async fn receive(&self, new: NewOperation) -> Result<Received, StoreError> {
        if let Some(groups) = &self.groups {
            let (answer, comes) = oneshot::channel();
            groups.receive.add(ReceiveRequest { new: new.clone(), answer });
            if let Some(received) = answered(comes, group::ended).await? {
                return Ok(received);
            }
        }
        let mut tx = self.driver.begin(Step::Receive).await?;
        let received = intake::receive(tx.as_mut(), new).await?;
        if !matches!(received, Received::WebhookReused | Received::Incomplete) {
            tx.commit().await?;
        }
        Ok(received)
    }

    async fn operation(&self, id: RecordId) -> Result<Option<OperationView>, StoreError> {
        let rows = self.driver.read(view::BY_ID, args![id.to_string()]).await?;
        first(rows).map(|row| view::read(&row)).transpose()
    }

    async fn claim(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<Claimed>, StoreError> {
        let mut tx = self.driver.begin(Step::Claim).await?;
        let rows = claim::claim(tx.as_mut(), &self.claimed_to, owner, lease, limit).await?;
        tx.commit().await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in &rows {
            match claim::read(row) {
                Ok(one) => claimed.push(one),
                // The others are claimed, and nobody else may work on them.
                Err(error) => {
                    let id = row.text(0).unwrap_or_default();
                    tracing::error!(record.id = id, error.message = %error, "an operation cannot be read; it is looked at again after its lease");
                }
            }
        }
        Ok(claimed)
    }

    async fn claim_one(&self, id: RecordId, owner: &str, lease: Duration) -> Result<Option<Claimed>, StoreError> {
        let mut tx = self.driver.begin(Step::ClaimOne).await?;
        let row = first(tx.rows(claim::CLAIM_ONE, args![owner, micros(lease), id.to_string()]).await?);
        tx.commit().await?;
        row.map(|row| claim::read(&row)).transpose()
    }

    async fn order_by_hand(&self, order: HandOrder) -> Result<Ordered, StoreError> {
        let mut tx = self.driver.begin(Step::OrderByHand).await?;
        let ordered = by_hand::order(tx.as_mut(), order).await?;
        tx.commit().await?;
        Ok(ordered)
    }

    async fn keep_registration(&self, user: &UserId, sealed: Vec<u8>) -> Result<(), StoreError> {
        const KEEP: super::dialect::Sql =
            sql!("insert into registrations (user_id, sealed, created_at) values ($1, $2, " NOW ")");
        let mut tx = self.driver.begin(Step::KeepRegistration).await?;
        tx.run(KEEP, vec![user.as_str().into(), super::connection::Arg::Bytes(Some(sealed))]).await?;
        tx.commit().await
    }

    async fn registration(&self, user: &UserId, max_age: Duration) -> Result<Option<Vec<u8>>, StoreError> {
        const FIND: super::dialect::Sql =
            sql!("select sealed from registrations where user_id = $1 and created_at > " NOW " - $2");
        let row = first(self.driver.read(FIND, args![user.as_str(), micros(max_age)]).await?);
        Ok(row.map(|row| row.opt_bytes(0).map(|bytes| bytes.map(<[u8]>::to_vec))).transpose()?.flatten())
    }

    async fn erase_registrations(&self, older_than: Duration) -> Result<u64, StoreError> {
        const ERASE: super::dialect::Sql = sql!("delete from registrations where created_at <= (select " NOW ") - $1");
        let mut tx = self.driver.begin(Step::EraseRegistrations).await?;
        let erased = tx.run(ERASE, args![micros(older_than)]).await?;
        tx.commit().await?;
        Ok(erased)
    }

    async fn claim_effects(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<ClaimedEffect>, StoreError> {
        let mut tx = self.driver.begin(Step::ClaimEffects).await?;
        let claimed = effects::claim(tx.as_mut(), owner, lease, limit).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn effect_again(&self, lease: EffectLease, delay: Duration, counts: bool) -> Result<(), StoreError> {
        let mut tx = self.driver.begin(Step::EffectAgain).await?;
        effects::again(tx.as_mut(), lease, delay, counts).await?;
        tx.commit().await
    }

    async fn finish_effect(&self, lease: EffectLease, result: &EffectResult) -> Result<(), StoreError> {
        let mut tx = self.driver.begin(Step::FinishEffect).await?;
        effects::finish(tx.as_mut(), lease, result).await?;
        tx.commit().await
    }

    async fn next_effect_due(&self) -> Result<Option<Duration>, StoreError> {
        self.time_until(effects::NEXT).await
    }

    async fn leased(&self, lease: &Lease) -> Result<Claimed, StoreError> {
        let rows = self.driver.read(claim::LEASED, args![lease.id.to_string(), lease.fence]).await?;
        first(rows).map_or(Err(StoreError::Fenced), |row| claim::read(&row))
    }

    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError> {
        const EXTEND: super::dialect::Sql =
            sql!("update operations set due_at = " NOW " + $3 where id = $1 and fence = $2 and coalesce(due_at, 0) > 0");
        let mut tx = self.driver.begin(Step::Extend).await?;
        fenced(tx.run(EXTEND, args![lease.id.to_string(), lease.fence, micros(duration)]).await?)?;
        tx.commit().await
    }

    async fn lane_facts(&self, lane: &Lane, tresor: Option<&str>) -> Result<LaneFacts, StoreError> {
        if let Some(groups) = &self.groups
            && let Some(facts) = groups.lane_facts(lane.as_str(), tresor).await?
        {
            return Ok(facts);
        }
        const FACTS: super::dialect::Sql = sql!("select (select version from lanes where lane = $1), (select creator_id from tresors where id = $2), (select created_at from tresors where id = $2), " NOW);
        let rows = self.driver.read(FACTS, args![lane.as_str(), tresor.map(str::to_owned)]).await?;
        let row = first(rows).ok_or_else(|| StoreError::Corrupt("no clock".into()))?;
        Ok(LaneFacts {
            version: row.opt_int(0)?.unwrap_or(0),
            creator: row.opt_parsed(1, |text| UserId::new(text).ok())?,
            created_at: row.opt_int(2)?.map(timestamp).transpose()?,
            now: timestamp(row.int(3)?)?,
        })
    }

    fn new_lane_facts(&self, lane: &Lane) -> Option<LaneFacts> {
        self.groups.as_ref()?.new_lane_facts(lane.as_str())
    }

    async fn intent_of(&self, decision: DecisionId) -> Result<Intent, StoreError> {
        const INTENT: super::dialect::Sql =
            sql!("select kind, tresor_id, actor_id, subject_id from decisions where id = $1" AS_UUID);
        let row = first(self.driver.read(INTENT, args![decision.to_string()]).await?);
        view::intent(&row.ok_or_else(|| StoreError::Corrupt("a decision vanished".into()))?)
    }

    fn decides_arrivals(&self) -> bool {
        self.groups.is_some()
    }

    async fn decide_arrival(
        &self,
        new: &NewOperation,
        deciding: Deciding<'_>,
        judge: Judge<'_>,
    ) -> Result<Option<Decided>, StoreError> {
        let Some(groups) = self.groups.as_ref().filter(|_| self.is_archived(deciding.policy.0)) else { return Ok(None) };
        let decided = group::ask_to_decide(groups, &deciding, Some(new), judge).await?;
        decided.iter().for_each(|decided| self.fresh.note(decided));
        Ok(decided)
    }

    async fn decide(&self, deciding: Deciding<'_>, judge: Judge<'_>) -> Result<Decided, StoreError> {
        let hash = deciding.policy.0;
        let archived = self.is_archived(hash);
        if let Some(groups) = self.groups.as_ref().filter(|_| archived)
            && let Some(decided) = group::ask_to_decide(groups, &deciding, None, judge).await?
        {
            self.fresh.note(&decided);
            return Ok(decided);
        }
        if let Some(groups) = &self.groups {
            groups.forget_lane(deciding.lane.as_str());
        }
        let mut tx = self.driver.begin(Step::Decide).await?;
        let lane = deciding.lane;
        let decided = decide::decide(tx.as_mut(), deciding, archived, judge).await?;
        tx.commit().await?;
        if let (Some(groups), Decided::Parked(_)) = (&self.groups, &decided) {
            groups.set_awaited(lane.as_str(), true);
        }
        self.fresh.note(&decided);
        if !archived && matches!(decided, Decided::Ruled { .. }) {
            self.archived.lock().unwrap_or_else(PoisonError::into_inner).insert(hash.to_owned());
        }
        Ok(decided)
    }

    async fn resend(&self, lease: &Lease) -> Result<u32, StoreError> {
        const RESEND: super::dialect::Sql = sql!(
            "update operations set sends = sends + 1, last_failure = null, sent_at = " NOW " where id = $1 and fence = $2 and verdict is not null "
            "returning sends"
        );
        let mut tx = self.driver.begin(Step::Resend).await?;
        let row = first(tx.rows(RESEND, args![lease.id.to_string(), lease.fence]).await?).ok_or(StoreError::Fenced)?;
        let sends = u32::try_from(row.int(0)?).unwrap_or(u32::MAX);
        tx.commit().await?;
        Ok(sends)
    }

    async fn reschedule(
        &self,
        lease: &Lease,
        delay: Duration,
        counts: bool,
        unsent: bool,
        failure: Option<&LastFailure>,
    ) -> Result<(), StoreError> {
        const RESCHEDULE: super::dialect::Sql = sql!(
            "update operations set due_at = " NOW " + $3, owner = null, tries = tries + $4, "
            "sends = case when $5 = 1 then 0 else sends end, last_failure = coalesce($6, last_failure) where id = $1 and fence = $2 and coalesce(due_at, 0) > 0"
        );
        let mut tx = self.driver.begin(Step::Reschedule).await?;
        let failure = failure.and_then(|failure| serde_json::to_string(failure).ok());
        let args = args![lease.id.to_string(), lease.fence, micros(delay), i64::from(counts), i64::from(unsent), failure];
        fenced(tx.run(RESCHEDULE, args).await?)?;
        tx.commit().await
    }

    async fn finish(&self, finishing: Finishing<'_>) -> Result<Finished, StoreError> {
        if let Some(groups) = &self.groups
            && let Some(finished) = groups.finish(&finishing).await?
        {
            return Ok(finished);
        }
        let lane = finishing.ruling.map(|ruling| Lane::of(&ruling.record.intent));
        let mut tx = self.driver.begin(Step::Finish).await?;
        let passed = finish::finish(tx.as_mut(), finishing).await?;
        tx.commit().await?;
        if let (Some(groups), Some(lane)) = (&self.groups, &lane) {
            // Where one had waited, more may.
            groups.set_awaited(lane.as_str(), passed.handed_to.is_some());
            groups.forget_lane(lane.as_str());
        }
        Ok(Finished { passed, ..Finished::default() })
    }

    async fn tidy(&self, rules: LaneRules) -> Result<Passed, StoreError> {
        let mut passed = Passed::default();
        for row in self.driver.read(line::DUE_LANES, args![]).await? {
            // Each by itself, so that no two lanes are ever locked together.
            let mut tx = self.driver.begin(Step::Tidy).await?;
            let one = line::tidy(tx.as_mut(), row.text(0)?, rules).await?;
            tx.commit().await?;
            passed = passed.and(one);
        }
        Ok(passed)
    }

    async fn listen(&self) -> Result<Option<mpsc::Receiver<RecordId>>, StoreError> {
        self.driver.listen().await
    }

    async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        const NEXT: super::dialect::Sql = sql!(
            "select min(at) - " NOW " from (select min(due_at) as at from operations where due_at is not null"
            " union all select min(turn_until) from flows where turn_until is not null"
            " union all select min(wait_until) from operations where state = 'waiting') times"
        );
        self.time_until(NEXT).await
    }

    async fn activate_policy(&self, hash: &str, body: &str, replica: &str) -> Result<(), StoreError> {
        let mut tx = self.driver.begin(Step::ActivatePolicy).await?;
        archive::activate(tx.as_mut(), hash, body, replica).await?;
        tx.commit().await
    }

    async fn last_activation(&self) -> Result<Option<PolicyActivation>, StoreError> {
        let row = first(self.driver.read(archive::LAST_ACTIVATION, args![]).await?);
        row.map(|row| archive::activation(&row)).transpose()
    }

    async fn archived_policy(&self, hash: &str) -> Result<Option<String>, StoreError> {
        let row = first(self.driver.read(archive::POLICY, args![hash]).await?);
        row.map(|row| row.text(0).map(str::to_owned)).transpose()
    }

    async fn recorded(&self, decision: DecisionId) -> Result<Option<Recorded>, StoreError> {
        let row = first(self.driver.read(archive::DECISION, args![decision.to_string()]).await?);
        row.map(|row| archive::recorded(&row)).transpose()
    }

    async fn recorded_page(&self, range: &RecordedRange) -> Result<Vec<Recorded>, StoreError> {
        let (sql, args) = archive::page(range);
        self.driver.read(sql, args).await?.iter().map(archive::recorded).collect()
    }

    async fn person_keys(&self, persons: &[UserId]) -> Result<Vec<(String, WrappedKey)>, StoreError> {
        let persons: serde_json::Value = persons.iter().map(UserId::as_str).collect();
        let rows = self.driver.read(decide::PERSONS, args![persons.to_string()]).await?;
        let key = |row: &Row| Ok((row.text(0)?.to_owned(), WrappedKey(row.opt_bytes(1)?.unwrap_or_default().to_vec())));
        rows.iter().map(key).collect()
    }

    async fn retire(&self, after: Option<RecordId>, older_than: Duration) -> Result<Option<RecordId>, StoreError> {
        let mut tx = self.driver.begin(Step::Retire).await?;
        let next = retire::retire(tx.as_mut(), after, older_than).await?;
        tx.commit().await?;
        Ok(next)
    }

    async fn maintain(&self) -> Result<(), StoreError> {
        const PARTITIONS: super::dialect::Sql =
            super::dialect::Sql { postgres: "select assent_ensure_partitions(3)::text", sqlite: "select ''" };
        fault::reach(Step::Maintain, Moment::Before).await;
        self.driver.read(PARTITIONS, args![]).await?;
        fault::reach(Step::Maintain, Moment::After).await;
        Ok(())
    }
}
