//! The facts of a decision, read back from its row. What does not stand there is not made up.

use super::stored::StoredValue;
use crate::domain::fact::{FactName, FactSet, FactState, Source};
use crate::domain::fact_catalogue;
use serde::de::value::StrDeserializer;
use serde::de::{Error, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// Facts as they were recorded: as a policy asks for them, and which of them stand elsewhere, sealed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordedFacts {
    facts: FactSet,
    sealed: Vec<FactName>,
}

/// One fact: its value and where it came from, or why it has none.
#[derive(Deserialize)]
struct RecordedFact {
    #[serde(default)]
    value: Option<StoredValue>,
    #[serde(default, deserialize_with = "source")]
    source: Option<Source>,
    #[serde(default)]
    unknown: Option<String>,
    /// Its value stands elsewhere, sealed.
    #[serde(default)]
    personal: bool,
}

/// A fact's name.
struct Named(FactName);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Named;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a fact's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Named, E> {
                Ok(Named(FactName::new(name)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for RecordedFacts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Facts;
        impl<'de> Visitor<'de> for Facts {
            type Value = RecordedFacts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("facts by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RecordedFacts, A::Error> {
                let mut read = RecordedFacts::default();
                while let Some(Named(name)) = entries.next_key()? {
                    let fact: RecordedFact = entries.next_value()?;
                    if fact.personal {
                        read.sealed.push(name.clone());
                    }
                    let state = fact.state(name.as_str());
                    read.facts.put(name, state);
                }
                Ok(read)
            }
        }
        deserializer.deserialize_map(Facts)
    }
}

/// Where a fact came from; nothing where that is a place that this release does not know.
fn source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Source>, D::Error> {
    struct Named;
    impl Visitor<'_> for Named {
        type Value = Option<Source>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("where a fact came from")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<Option<Source>, E> {
            let name: StrDeserializer<'_, E> = name.into_deserializer();
            Ok(Source::deserialize(name).ok())
        }
    }
    deserializer.deserialize_str(Named)
}

impl RecordedFacts {
    /// Whether anything was recorded of a fact.
    #[must_use]
    pub fn has(&self, name: &FactName) -> bool {
        self.facts.has(name)
    }

    /// Others, too.
    pub fn add_all(&mut self, others: Self) {
        self.facts.put_all(others.facts);
        self.sealed.extend(others.sealed);
    }

    /// As a policy asks for them, and whether any that is sealed is still unknown. Of what was opened only what is sealed here counts.
    #[must_use]
    pub fn with(self, opened: &Self) -> (FactSet, bool) {
        let Self { mut facts, sealed } = self;
        let mut is_any_unknown = false;
        for name in sealed {
            if opened.has(&name) {
                facts.put(name.clone(), opened.facts.get(&name).clone());
            }
            is_any_unknown |= matches!(facts.get(&name), FactState::Unknown(_));
        }
        (facts, is_any_unknown)
    }
}

impl RecordedFact {
    fn state(self, name: &str) -> FactState {
        if self.personal {
            return FactState::Unknown("personal, and cannot be read".into());
        }
        if let Some(cause) = self.unknown {
            return FactState::Unknown(cause.into());
        }
        let Some(StoredValue(value)) = self.value else { return FactState::Absent };
        match fact_catalogue::find(name) {
            Some(spec) => fact_catalogue::typed_state(spec.fact_type, value, self.source.unwrap_or(Source::Record)),
            None => FactState::Unknown("this fact is not in the catalogue any more".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::FactValue;

    fn read(text: &str) -> RecordedFacts {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_fact_is_what_was_recorded_of_it() {
        let facts = read(
            r#"{"actor.email":{"personal":true,"source":"users"},"operation.id":{"absent":true},"tresor.id":{"unknown":"time-out"},
                "tresor.member_count":{"source":"a place of tomorrow","value":3},"tresor.creator_id":{"value":null,"source":"record"},
                "gone":{"value":1,"source":"record"}}"#,
        );
        let state = |facts: &FactSet, name: &str| facts.get(&FactName::new(name)).clone();
        let (sealed, is_any_unknown) = facts.clone().with(&RecordedFacts::default());
        assert!(is_any_unknown);
        assert_eq!(state(&sealed, "actor.email"), FactState::Unknown("personal, and cannot be read".into()));
        assert_eq!(state(&sealed, "operation.id"), FactState::Absent);
        assert_eq!(state(&sealed, "tresor.id"), FactState::Unknown("time-out".into()));
        assert_eq!(state(&sealed, "tresor.member_count"), FactState::Known(FactValue::Int(3), Source::Record));
        assert_eq!(state(&sealed, "tresor.creator_id"), FactState::Absent);
        assert_eq!(state(&sealed, "gone"), FactState::Unknown("this fact is not in the catalogue any more".into()));
        // Of what was opened only what was sealed counts.
        let opened = read(
            r#"{"actor.email":{"value":"ann@example.com","source":"users"},"tresor.member_count":{"value":9,"source":"members"}}"#,
        );
        let (open, is_any_unknown) = facts.with(&opened);
        assert!(!is_any_unknown);
        assert_eq!(state(&open, "actor.email"), FactState::Known(FactValue::Text("ann@example.com".into()), Source::Users));
        assert_eq!(state(&open, "tresor.member_count"), FactState::Known(FactValue::Int(3), Source::Record));
    }

    #[test]
    fn what_is_no_record_of_facts_is_not_read() {
        for odd in [r#""text""#, r#"{"operation.id":1}"#, r#"{"operation.id":{"unknown":1}}"#, "[]"] {
            assert!(serde_json::from_str::<RecordedFacts>(odd).is_err(), "{odd}");
        }
        let magic = r#"{"context.x":{"value":{"$serde_json::private::RawValue":"\"approve\""},"source":"stated"}}"#;
        let (facts, _) = read(magic).with(&RecordedFacts::default());
        assert!(matches!(facts.get(&FactName::new("context.x")), FactState::Unknown(_)), "{facts:?}");
    }
}
