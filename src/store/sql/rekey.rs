//! Puts everything that is sealed under one key under another one, in one transaction, while nobody else is connected.

use super::events;
use crate::store::StoreError;
use crate::store::connection::{Arg, Transaction, args, first};
use crate::store::dialect::{Sql, sql};
use crate::store::operating::{Rekeyed, Rekeying};

/// Whoever starts meanwhile waits, and then finds that its key is another one.
const LOCK: Sql = Sql { postgres: "lock table key_sentinel in access exclusive mode", sqlite: "select 1 where 1 = 0" };
/// How many connections others have: daemons, and commands.
pub(super) const OTHERS: Sql = Sql {
    postgres: "select count(*) from pg_stat_activity where datname = current_database() and application_name like 'assent%' \
               and application_name <> current_setting('application_name')",
    sqlite: "select 0",
};
const SENTINEL: Sql = sql!("update key_sentinel set sealed = $1 where id = 1");
/// How many rows are read at once.
const PAGE: i64 = 500;

/// What is sealed in a table: how the next rows are read, and one is written.
struct Place {
    name: &'static str,
    next: Sql,
    write: Sql,
    /// How the context begins that its ciphertexts are bound to.
    context: &'static str,
}

const PLACES: [Place; 3] = [
    Place {
        name: "person_keys",
        next: sql!("select person_id, wrapped from person_keys where person_id > $1 order by person_id limit $2"),
        write: sql!("update person_keys set wrapped = $1 where person_id = $2"),
        context: "person",
    },
    Place {
        name: "operations",
        next: sql!("select id, payload from operations where payload is not null and id > $1 order by id limit $2"),
        write: sql!("update operations set payload = $1 where id = $2"),
        context: "payload",
    },
    Place {
        name: "registrations",
        next: sql!("select user_id, sealed from registrations where user_id > $1 order by user_id limit $2"),
        write: sql!("update registrations set sealed = $1 where user_id = $2"),
        context: "registration",
    },
];

pub(super) async fn rekey(tx: &mut dyn Transaction, rekeying: Rekeying<'_>) -> Result<Rekeyed, StoreError> {
    tx.run(LOCK, args![]).await?;
    let others = first(tx.rows(OTHERS, args![]).await?).map_or(Ok(0), |row| row.count(0))?;
    if others > 0 {
        return Ok(Rekeyed::InUse(others));
    }
    let mut count = 0_u64;
    for place in PLACES {
        let mut after = String::new();
        loop {
            let rows = tx.rows(place.next, args![after.as_str(), PAGE]).await?;
            for row in &rows {
                after = row.text(0)?.to_owned();
                let sealed = row.opt_bytes(1)?.unwrap_or_default();
                let fresh = (rekeying.reseal)(&format!("{} {after}", place.context), sealed);
                let fresh = fresh.ok_or_else(|| {
                    StoreError::Corrupt(format!("`{after}` of `{}` cannot be opened; nothing was changed", place.name))
                })?;
                tx.run(place.write, vec![Arg::Bytes(Some(fresh)), Arg::from(after.as_str())]).await?;
                count = count.saturating_add(1);
            }
            if rows.is_empty() {
                break;
            }
        }
    }
    tx.run(SENTINEL, vec![Arg::Bytes(Some(rekeying.sentinel))]).await?;
    events::acted(tx, rekeying.operator, "rekey", "encryption.key", rekeying.comment).await?;
    Ok(Rekeyed::Done(count))
}
