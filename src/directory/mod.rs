//! User facts: what is known of a person beyond the platform's ids.
//!
//! Today the signed notification is the one source; files, HTTP and SQL get their place here. It never guesses: a user
//! of whom nothing was said has absent facts.

use crate::domain::domain_name::DomainName;
use crate::domain::fact::{FactName, FactSet, FactState, FactValue, Source};
use crate::domain::fact_catalogue::{FactType, typed_state};
use crate::domain::ids::UserId;
use crate::domain::operation::UserClaims;
use std::collections::BTreeMap;

/// States the facts of one user under a prefix such as `actor`.
pub fn put_user_facts(facts: &mut FactSet, prefix: &str, user: &UserId, claims: &BTreeMap<UserId, UserClaims>) {
    let Some(claims) = claims.get(user) else { return };
    let name = |suffix: &str| format!("{prefix}.{suffix}");
    if let Some(email) = &claims.email {
        facts.know(&name("email"), FactValue::Text(email.clone()), Source::Notification);
        // What is no valid address has no domain: absent, and so never a match.
        if let Some(domain) = DomainName::of_email(email) {
            facts.know(&name("email_domain"), FactValue::Domain(domain), Source::Notification);
        }
    }
    if let Some(groups) = &claims.groups {
        facts.know(&name("groups"), FactValue::List(groups.clone()), Source::Notification);
    }
    for (key, value) in &claims.attributes {
        let state = typed_state(FactType::Scalar, value, Source::Notification);
        if state != FactState::Absent {
            facts.put(FactName::new(name(&format!("attributes.{key}"))), state);
        }
    }
}
