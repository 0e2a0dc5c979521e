//! Keeps what a source answered for a while, and asks it once however many want the same thing at the same time.
//!
//! What it has not is kept for a shorter while; that it is down is never kept.

use super::claims::Claims;
use super::{DirectorySettings, Down, Lookup, Subject};
use crate::domain::fact::Source;
use async_trait::async_trait;
use moka::Expiry;
use moka::future::Cache;
use std::sync::Arc;
use std::time::{Duration, Instant};

type Entry = Option<Arc<Claims>>;

/// What a record of a person takes, usually.
const USUAL_BYTES: u32 = 4 * 1024;

pub(super) struct Cached {
    source: Arc<dyn Lookup>,
    entries: Cache<Subject, Entry>,
}

struct Ages {
    found: Duration,
    not_found: Duration,
}

impl Expiry<Subject, Entry> for Ages {
    fn expire_after_create(&self, _: &Subject, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(if entry.is_some() { self.found } else { self.not_found })
    }
}

impl Cached {
    pub(super) fn new(source: Arc<dyn Lookup>, settings: &DirectorySettings) -> Self {
        let ages = Ages { found: settings.cache_ttl, not_found: settings.negative_ttl };
        let entries = Cache::builder()
            .max_capacity(u64::from(settings.cache_entries))
            // A large record takes the place of several usual ones.
            .weigher(|_, entry: &Entry| 1 + entry.as_ref().map_or(0, |claims| claims.bytes() / USUAL_BYTES))
            .expire_after(ages)
            .build();
        Self { source, entries }
    }
}

#[async_trait]
impl Lookup for Cached {
    fn source(&self) -> Source {
        self.source.source()
    }

    fn knows_of(&self, subject: &Subject) -> bool {
        self.source.knows_of(subject)
    }

    async fn look_up(&self, subject: &Subject) -> Result<Entry, Down> {
        let found = self.entries.try_get_with(subject.clone(), self.source.look_up(subject)).await;
        found.map_err(|down| (*down).clone())
    }
}
