//! Policies: the language, the author's tools, and how a policy comes into force.

mod attacks;
mod conformance;
mod docs;
mod language;
mod properties;
mod record;
mod rollout;
mod tools;
