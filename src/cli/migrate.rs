//! `assent migrate`: brings the schema up to date.

use super::{ConfigArgument, Failure, config};
use crate::store;

pub(super) async fn run(options: &ConfigArgument) -> Result<(), Failure> {
    let url = config::read_database_url(&options.config)?;
    let store = store::open(&url, 2).await?;
    match store.migrate().await? {
        0 => println!("the schema is up to date"),
        1 => println!("1 migration applied; the schema is up to date"),
        applied => println!("{applied} migrations applied; the schema is up to date"),
    }
    Ok(())
}
