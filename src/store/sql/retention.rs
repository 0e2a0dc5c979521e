//! Dropping months: which statements do it. SQLite has none to drop.

use super::{SqlStore, events};
use crate::audit::DroppedMonth;
use crate::fault::Step;
use crate::store::StoreError;
use crate::store::connection::{Driver, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::ledger::{LEAVES_AT_ONCE, LeafRow};
use crate::store::retention::{Dropping, Retention};
use async_trait::async_trait;

const MONTHS: Sql = Sql { postgres: "select month from assent_months()", sqlite: "select '' where 1 = 0" };
/// An action's target begins with the month.
const LAST_DROPPED: Sql = sql!("select max(substr(target, 1, 7)) from operator_actions where action = $1");
/// A month's leaves. The times in a leaf's row are its own row's, and so is the month.
const LEAVES: Sql = sql!(
    "select leaf, stream, id, at, hash from leaves where leaf >= $1 and stream in (1, 2) and at >= $2" AS_TIME
    " and at < $3" AS_TIME " order by leaf limit $4"
);
const UNSEALED: Sql = sql!(
    "select (select count(*) from unsealed where at < $1" AS_TIME ") + (select count(*) from unsealed_history where at < $1" AS_TIME ")"
);
const DROP: Sql = Sql { postgres: "select assent_drop_month($1, $2)", sqlite: "select 1 where 1 = 0" };

/// When a month begins, and when the next one does.
fn bounds(month: &str) -> Result<(String, String), StoreError> {
    let bad = || StoreError::Corrupt(format!("`{month}` is no month"));
    let first: jiff::civil::Date = format!("{month}-01").parse().map_err(|_| bad())?;
    let next = first.last_of_month().tomorrow().map_err(|_| bad())?;
    Ok((format!("{first}T00:00:00.000000Z"), format!("{next}T00:00:00.000000Z")))
}

#[async_trait]
impl<D: Driver> Retention for SqlStore<D> {
    async fn months(&self) -> Result<Vec<String>, StoreError> {
        self.driver.read(MONTHS, args![]).await?.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
    }

    async fn last_dropped(&self) -> Result<Option<String>, StoreError> {
        let row = first(self.driver.read(LAST_DROPPED, args![DroppedMonth::ACTION]).await?);
        let month = row.as_ref().map_or(Ok(None), |row| row.opt_text(0))?.filter(|month| bounds(month).is_ok());
        Ok(month.map(str::to_owned))
    }

    async fn leaves_of_month(&self, month: &str, from: u64) -> Result<Vec<LeafRow>, StoreError> {
        let (since, until) = bounds(month)?;
        let args = args![super::ledger::number(from)?, since, until, i64::from(LEAVES_AT_ONCE)];
        self.driver.read(LEAVES, args).await?.iter().map(super::ledger::leaf).collect()
    }

    async fn unsealed_of_month(&self, month: &str) -> Result<u64, StoreError> {
        let (_, until) = bounds(month)?;
        first(self.driver.read(UNSEALED, args![until]).await?).map_or(Ok(0), |row| row.count(0))
    }

    async fn drop_month(&self, dropped: &DroppedMonth, operator: &str, comment: Option<&str>) -> Result<Dropping, StoreError> {
        let mut tx = self.driver.begin(Step::Retain).await?;
        let said = first(tx.rows(DROP, args![dropped.month.as_str(), super::ledger::number(dropped.leaves)?]).await?);
        match said.as_ref().map(|row| row.text(0)).transpose()? {
            Some("dropped") => {}
            why => return Ok(Dropping::Stays(why.unwrap_or("this database has no months").to_owned())),
        }
        let action = events::acted(tx.as_mut(), operator, DroppedMonth::ACTION, &dropped.to_string(), comment).await?;
        tx.commit().await?;
        Ok(Dropping::Done(action))
    }
}
