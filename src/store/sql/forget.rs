//! Destroys a person's key, so that nothing that was sealed under it can be read again: in no table, and in no dump from now on.

use super::events;
use crate::domain::ids::UserId;
use crate::store::StoreError;
use crate::store::connection::{Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::operating::Forgotten;

const DESTROY: Sql = sql!("delete from person_keys where person_id = $1");
const REGISTRATION: Sql = sql!("delete from registrations where user_id = $1");
/// Notifications that are not erased yet may name anybody.
const OPEN: Sql = sql!("select count(*) from operations where payload is not null");

pub(super) async fn forget(
    tx: &mut dyn Transaction,
    person: &UserId,
    operator: &str,
    comment: Option<&str>,
) -> Result<Forgotten, StoreError> {
    let had_key = tx.run(DESTROY, args![person.as_str()]).await? == 1;
    tx.run(REGISTRATION, args![person.as_str()]).await?;
    events::acted(tx, operator, "forget", person.as_str(), comment).await?;
    let open = first(tx.rows(OPEN, args![]).await?).ok_or_else(|| StoreError::Corrupt("a count has no row".into()))?;
    Ok(Forgotten { had_key, open: open.count(0)? })
}
