//! Policies: the language, the author's tools, and how a policy comes into force.

mod conformance;
mod docs;
mod language;
mod properties;
mod record;
mod rollout;
mod tools;
