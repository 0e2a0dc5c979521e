//! Another key in the place of the one that everything personal is sealed under.

use crate::audit::{MasterKey, VaultError};
use crate::store::{Rekeyed, Rekeying, Store, StoreError};

/// Why the key could not be replaced; nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new key cannot seal.
    #[error("the new key {0}")]
    Key(#[from] VaultError),
}

/// Seals all that is sealed under `old`, as it is for this database, under `new`.
///
/// # Errors
/// Something cannot be opened, or the database.
pub async fn rekey(
    store: &dyn Store,
    old: &MasterKey,
    new: &MasterKey,
    operator: &str,
    comment: Option<&str>,
) -> Result<Rekeyed, RekeyError> {
    let new = old.replaced_by(new);
    let reseal = |context: &str, sealed: &[u8]| new.seal(context, &old.open(context, sealed).ok()?).ok();
    Ok(store.rekey(Rekeying { reseal: &reseal, sentinel: new.sentinel()?, operator, comment }).await?)
}
