//! The keys of the persons whose facts stand in a page of rows, asked for together. It holds those of some thousand persons, however
//! many a log is about.

use super::source::Page;
use crate::audit::MasterKey;
use crate::cli::Failure;
use crate::domain::ids::UserId;
use crate::engine::PersonKeys;
use crate::store::Store;
use serde_json::Map;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Of so many persons keys are kept from one page to the next.
const MOST: usize = 20_000;

/// Opens persons' keys, where somebody can.
pub(super) struct Persons {
    master: Option<MasterKey>,
    known: PersonKeys,
}

impl Persons {
    pub(super) fn new(master: Option<MasterKey>) -> Self {
        Self { master, known: PersonKeys::new() }
    }

    /// The keys of a page's persons; of nobody where nobody could open them.
    pub(super) async fn of(&mut self, page: &Page, store: Option<&dyn Store>) -> Result<Arc<PersonKeys>, Failure> {
        let (Some(master), Some(store)) = (&self.master, store) else { return Ok(Arc::default()) };
        let sealed = page.entries.iter().filter_map(|entry| entry.row.as_ref()?.sealed.as_ref()?.as_object());
        let persons: BTreeSet<&str> = sealed.flat_map(Map::keys).map(String::as_str).collect();
        if self.known.len().saturating_add(persons.len()) > MOST {
            self.known.clear();
        }
        let unknown: Vec<_> = persons.iter().copied().filter(|person| !self.known.contains_key(*person)).collect();
        // Whoever is no user of the platform has no key.
        let asked: Vec<_> = unknown.iter().filter_map(|person| UserId::new(*person).ok()).collect();
        let wrapped: HashMap<_, _> =
            if asked.is_empty() { HashMap::new() } else { store.person_keys(&asked).await?.into_iter().collect() };
        let open = |person: &str| wrapped.get(person).and_then(|wrapped| master.person_key(person, wrapped).ok());
        self.known.extend(unknown.into_iter().map(|person| (person.to_owned(), open(person))));
        let key = |person: &str| (person.to_owned(), self.known.get(person).cloned().flatten());
        Ok(Arc::new(persons.into_iter().map(key).collect()))
    }
}
