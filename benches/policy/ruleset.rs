//! The rule sets that are measured: the same rules for every engine, and one operation that the last of them approves.
//!
//! Shared with `benches/peers`, so that nobody measures something easier.

/// The sizes that are measured.
pub(crate) const SIZES: [usize; 4] = [1, 10, 100, 1_000];

/// What a rule says when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Approve,
    Escalate,
    Reject,
}

/// What a rule asks: the sorts of conditions that policies are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The tresor would have more members than this.
    MembersOver(i64),
    /// The subject's domain is one of these.
    DomainIn(Vec<String>),
    /// The subject is in this group.
    InGroup(String),
    /// The actor's id begins so.
    ActorStartsWith(String),
    /// The actor is a member, and shares with a colleague, in a tresor below this size.
    Colleague(i64),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: String,
    pub(crate) effect: Effect,
    pub(crate) condition: Condition,
}

/// So many rules; the last one approves [`OPERATION`], and no other matches it.
pub(crate) fn rules(count: usize) -> Vec<Rule> {
    let rule = |index: usize| {
        let (effect, condition) = match index % 5 {
            0 => (Effect::Reject, Condition::MembersOver(1_000 + i64::try_from(index).unwrap_or(i64::MAX))),
            1 => {
                let domains = (0..3).map(|at| format!("bad-{index}-{at}.example")).collect();
                (Effect::Reject, Condition::DomainIn(domains))
            }
            2 => (Effect::Escalate, Condition::InGroup(format!("guest-{index}"))),
            3 => (Effect::Reject, Condition::ActorStartsWith(format!("blocked-{index}-"))),
            // Too small for the operation, so that approvals are evaluated in vain, too.
            _ => (Effect::Approve, Condition::Colleague(2)),
        };
        Rule { id: format!("rule-{index}"), effect, condition }
    };
    let mut rules: Vec<_> = (0..count.saturating_sub(1)).map(rule).collect();
    rules.push(Rule { id: "members-share".to_owned(), effect: Effect::Approve, condition: Condition::Colleague(100) });
    rules
}

/// The facts of the one operation that is decided.
pub(crate) struct Operation {
    pub(crate) actor_id: &'static str,
    pub(crate) actor_is_member: bool,
    pub(crate) actor_domain: &'static str,
    pub(crate) subject_domain: &'static str,
    pub(crate) subject_groups: [&'static str; 3],
    pub(crate) members_after: i64,
}

pub(crate) const OPERATION: Operation = Operation {
    actor_id: "20160601121212.tlq1d0hp@tenant1234.tresorit.io",
    actor_is_member: true,
    actor_domain: "example.com",
    subject_domain: "example.com",
    subject_groups: ["staff", "legal-eu", "berlin"],
    members_after: 7,
};
