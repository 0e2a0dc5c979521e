//! The keys of the persons whose facts stand in recorded decisions, asked for together, and what they open. It holds those of some
//! thousand persons, however many a log is about.

use crate::audit::{MasterKey, PersonKey, RecordedFacts};
use crate::domain::ids::UserId;
use crate::store::{Recorded, Store, StoreError};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Of so many persons keys are kept from one page to the next.
const MOST: usize = 20_000;
/// So many are asked for by one statement: whoever owns the database can name as many as there is room for.
const AT_ONCE: usize = 4_000;

/// The keys of persons that are at hand; nothing where one was destroyed.
pub type PersonKeys = HashMap<String, Option<PersonKey>>;

/// Opens persons' keys, where somebody can.
#[derive(Debug)]
pub struct Persons {
    master: Option<MasterKey>,
    known: PersonKeys,
}

impl Persons {
    /// Opens them with this key, if there is one.
    #[must_use]
    pub fn new(master: Option<MasterKey>) -> Self {
        Self { master, known: PersonKeys::new() }
    }

    /// The keys of the persons of these ciphertexts; of nobody where nobody could open them.
    ///
    /// # Errors
    /// The database.
    pub async fn of(&mut self, sealed: impl Iterator<Item = &Value>, store: &dyn Store) -> Result<Arc<PersonKeys>, StoreError> {
        let Some(master) = &self.master else { return Ok(Arc::default()) };
        let persons: BTreeSet<&str> = sealed.filter_map(Value::as_object).flat_map(Map::keys).map(String::as_str).collect();
        let mut unknown: Vec<_> = persons.iter().copied().filter(|person| !self.known.contains_key(*person)).collect();
        if self.known.len().saturating_add(unknown.len()) > MOST {
            self.known.clear();
            unknown = persons.iter().copied().collect();
        }
        // Whoever is no user of the platform has no key.
        let asked: Vec<_> = unknown.iter().filter_map(|person| UserId::new(*person).ok()).collect();
        let mut wrapped = HashMap::new();
        for some in asked.chunks(AT_ONCE) {
            wrapped.extend(store.person_keys(some).await?);
        }
        let open = |person: &str| wrapped.get(person).and_then(|wrapped| master.person_key(person, wrapped).ok());
        self.known.extend(unknown.into_iter().map(|person| (person.to_owned(), open(person))));
        let key = |person: &str| (person.to_owned(), self.known.get(person).cloned().flatten());
        Ok(Arc::new(persons.into_iter().map(key).collect()))
    }
}

/// The personal facts that can be read, and the persons of whom some were erased.
pub(super) fn opened(recorded: &Recorded, persons: &PersonKeys) -> (RecordedFacts, Vec<String>) {
    let (mut opened, mut erased) = (RecordedFacts::default(), Vec::new());
    for (person, sealed) in recorded.facts_personal.as_object().into_iter().flatten() {
        match persons.get(person) {
            Some(Some(key)) => {
                let plain = sealed.as_str().and_then(|sealed| key.open(&format!("decision {}", recorded.id), sealed).ok());
                match plain.map(|plain| serde_json::from_slice(&plain)) {
                    Some(Ok(facts)) => opened.add_all(facts),
                    // The person has another key now; the one that sealed this was destroyed.
                    _ => erased.push(person.clone()),
                }
            }
            Some(None) => erased.push(person.clone()),
            None => {}
        }
    }
    (opened, erased)
}
