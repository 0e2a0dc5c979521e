//! Bugs to plant one at a time, each of a kind that people really make: a statement that is changed, a commit that never
//! happens, or a place in the code that asks. The tests must catch every one of them.

use super::Step;

/// One bug.
#[derive(Debug, Clone, Copy)]
pub struct Bug {
    /// What `ASSENT_BUG` calls it.
    pub name: &'static str,
    /// What is wrong.
    pub what: &'static str,
    /// Parts of statements, and what stands in their place.
    pub sql: &'static [(&'static str, &'static str)],
    /// The step whose commit never happens.
    pub lost: Option<Step>,
}

/// The bug of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Bug> {
    ALL.iter().find(|bug| bug.name == name)
}

const fn sql(name: &'static str, what: &'static str, sql: &'static [(&'static str, &'static str)]) -> Bug {
    Bug { name, what, sql, lost: None }
}

const fn lost(name: &'static str, what: &'static str, step: Step) -> Bug {
    Bug { name, what, sql: &[], lost: Some(step) }
}

const fn code(name: &'static str, what: &'static str) -> Bug {
    Bug { name, what, sql: &[], lost: None }
}

/// All of them.
pub const ALL: &[Bug] = &[];
